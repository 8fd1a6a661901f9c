//! Bytes as a program: each instruction takes what it needs from the front, and what has run out is zero, so that a
//! small change of the bytes is a small change of what happens.

/// The bytes not read yet.
pub(crate) struct Program<'b>(&'b [u8]);

impl<'b> Program<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Up to `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.take(N);
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    /// One of the first `n` numbers.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::from(self.u8()) % n.max(1)
    }

    /// A number where protocols break: small, near `around`, near a power of two, or any.
    pub(crate) fn number(&mut self, around: u64) -> u64 {
        let how = self.u8();
        let small = u64::from(how >> 2);
        match how & 3 {
            0 => small,
            1 => around.wrapping_add(small).wrapping_sub(32),
            2 => (1_u64 << small).wrapping_sub(small & 1),
            _ => u64::from_le_bytes(self.bytes()),
        }
    }

    /// Changes a few bytes of `data`.
    pub(crate) fn edit(&mut self, data: &mut [u8]) {
        for _ in 0..self.below(8) {
            let (at, with) = (usize::from(self.u16()), self.u8());
            let len = data.len().max(1);
            if let Some(byte) = data.get_mut(at % len) {
                *byte ^= with;
            }
        }
    }
}
