//! One module a subcommand.

pub(crate) mod id;
pub(crate) mod keygen;
