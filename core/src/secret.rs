//! Secrets: wiped on drop, compared in constant time, absent from every print.

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
        Self(Box::new([0; N]))
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

/// `N` secret bytes that stand within a larger value, so that what is used together lies together. They are written only
/// once that value is where it stays: a move would leave a copy behind that nobody would wipe.
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
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
