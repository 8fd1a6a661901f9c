//! One module a subcommand.

pub(crate) mod chat;
pub(crate) mod demo;
pub(crate) mod hsm;
pub(crate) mod id;
pub(crate) mod keygen;
pub(crate) mod rotation;
pub(crate) mod send;
pub(crate) mod serve;
