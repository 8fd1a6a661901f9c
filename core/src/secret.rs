//! Secrets: wiped on drop, compared in constant time, absent from every print.
//!
//! What decides what happens next is no secret any more, since time tells it. Where something computed from secrets
//! does, [`declassify`] says so: the check of constant time (`constant-time/`) lets nothing else pass.

use alloc::boxed::Box;
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// `N` secret bytes. No `Clone`, no `Debug` of the content, `==` in constant time.
///
/// They stay where they were first written: moving a `Secret` moves a pointer, and leaves no copy behind that nobody
/// would wipe.
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes the bytes over. The caller's own copy is the caller's to wipe.
    pub fn new(mut bytes: [u8; N]) -> Self {
        let this = Self::copy_of(&bytes);
        bytes.zeroize();
        this
    }

    /// A second copy of bytes that somebody else owns.
    pub(crate) fn copy_of(bytes: &[u8; N]) -> Self {
        let mut this = Self::zero();
        this.0.copy_from_slice(bytes);
        this
    }

    /// The bytes, in the open: name what you do with them.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Room for a secret that is still to be written.
    pub(crate) fn zero() -> Self {
        // Zeros that the compiler does not know for zeros: it would have the allocator clear the memory, and glibc's
        // `calloc` passes over what the thread has just freed, at several times the cost.
        Self(Box::new(core::hint::black_box([0; N])))
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// A second copy, for a second owner. Not `Clone`: copies of secrets are to be seen in the code.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::copy_of(&self.0)
    }
}

/// `N` secret bytes that stand within a larger value, so that what is used together lies together. They are written
/// only once that value is where it stays: a move would leave a copy behind that nobody would wipe.
pub(crate) struct InPlace<const N: usize>([u8; N]);

impl<const N: usize> InPlace<N> {
    pub(crate) fn zero() -> Self {
        Self([0; N])
    }

    pub(crate) fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    pub(crate) fn wipe(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl<const N: usize> Drop for InPlace<N> {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        same(self.expose(), other.expose())
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Whether two strings of bytes are the same, in constant time. That they are or not is known from what follows.
pub(crate) fn same<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    #[cfg(b4ae_leaks)]
    if !crate::constant_time::leaks::same(a, b) {
        return false;
    }
    verdict(a.as_slice().ct_eq(b.as_slice()).into())
}

/// The outcome of a comparison, which may decide what follows.
#[inline]
pub(crate) fn verdict(outcome: bool) -> bool {
    let mut byte = [u8::from(outcome)];
    declassify(&mut byte);
    byte[0] != 0
}

/// Lets bytes that were computed from secrets decide what follows, and addresses in memory; the caller says why that
/// gives nothing away. It changes nothing.
#[inline]
pub(crate) fn declassify(bytes: &mut [u8]) {
    #[cfg(b4ae_constant_time)]
    crate::constant_time::declassify(bytes);
    #[cfg(not(b4ae_constant_time))]
    let _ = bytes;
}
