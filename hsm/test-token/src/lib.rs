//! stub
pub use kryoptic_lib::pkcs11;
