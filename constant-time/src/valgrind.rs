//! Requests to the valgrind that runs this program.

use std::sync::atomic::{AtomicUsize, Ordering};

use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};

unsafe extern "C" {
    safe fn request_is_watched() -> c_int;
    fn request_secret(bytes: *mut c_void, len: usize);
    fn request_secrets(bytes: *const u8, len: usize) -> usize;
    fn request_declassify(bytes: *mut c_void, len: usize);
    safe fn request_errors() -> c_ulong;
    safe fn request_count();
    fn request_counted(name: *const c_char);
}

/// Whether there is a valgrind: without it nothing would be found.
pub(crate) fn is_watched() -> bool {
    request_is_watched() != 0
}

/// Marks bytes as secret: for memcheck, as never written.
pub(crate) fn secret(bytes: &mut [u8]) {
    // SAFETY: the bytes are ours; they stay what they are, only memcheck's opinion of them changes.
    unsafe { request_secret(bytes.as_mut_ptr().cast(), bytes.len()) }
}

static DECLASSIFIED: AtomicUsize = AtomicUsize::new(0);

/// Marks bytes as no longer secret, and counts those that were.
pub(crate) fn declassify(bytes: &mut [u8]) {
    // SAFETY: as above.
    let secrets = unsafe { request_secrets(bytes.as_ptr(), bytes.len()) };
    DECLASSIFIED.fetch_add(secrets, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { request_declassify(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// How many secret bytes have been declassified since this was last asked.
pub(crate) fn take_declassified() -> usize {
    DECLASSIFIED.swap(0, Ordering::Relaxed)
}

/// How often memcheck has seen a branch or an address depend on a secret.
pub(crate) fn errors() -> u64 {
    request_errors()
}

/// Has callgrind count from here.
pub(crate) fn count() {
    request_count();
}

/// Has callgrind write what it counted to a file that mentions `name`.
pub(crate) fn counted(name: &CStr) {
    // SAFETY: a string that ends.
    unsafe { request_counted(name.as_ptr()) }
}
