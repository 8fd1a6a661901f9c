//! The demonstration: real endpoints, real sockets, and an observer who sees datagrams only.

pub(crate) mod apps;
pub(crate) mod record;
pub(crate) mod relay;
pub(crate) mod stage;
pub(crate) mod svg;
pub(crate) mod verdict;
pub(crate) mod view;
