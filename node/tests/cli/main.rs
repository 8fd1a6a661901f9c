//! The binary as its users meet it: processes, files, sockets, exit codes.

#![cfg(unix)]

mod demo;
mod errors;
mod faults;
mod hsm;
mod impaired;
mod keys;
mod leaving;
mod messages;
mod output;
mod run;
mod token;
