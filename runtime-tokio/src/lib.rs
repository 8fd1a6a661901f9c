//! B4AE for Tokio: an endpoint, peers, messages.
