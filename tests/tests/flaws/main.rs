//! What went wrong in protocols like this one before, each as a test that it does not go wrong here.

mod data;
mod handshake;
