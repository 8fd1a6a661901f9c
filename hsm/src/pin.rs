//! PINs.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use cryptoki::types::RawAuthPin;
use zeroize::Zeroizing;

use crate::HsmError;

/// The longest PIN, in bytes. Tokens have bounds of their own, mostly shorter.
pub const MAX_PIN_LEN: usize = 255;

/// A user PIN: wiped when it is dropped, absent from `Debug` and from every error.
pub struct Pin(Zeroizing<Vec<u8>>);

impl Pin {
    /// An error if it is empty or longer than [`MAX_PIN_LEN`].
    pub fn new(pin: Zeroizing<Vec<u8>>) -> Result<Self, HsmError> {
        match pin.len() {
            0 => Err(HsmError::PinMissing),
            1..=MAX_PIN_LEN => Ok(Self(pin)),
            _ => Err(HsmError::PinTooLong),
        }
    }

    /// The PIN in a file, without the end of its line: what `pin-source` in a URI names.
    pub fn from_file(path: &Path) -> Result<Self, HsmError> {
        let unreadable =
            |error: std::io::Error| HsmError::PinFile { path: path.to_owned(), reason: error.kind().to_string() };
        // All at once: a vector that grows leaves copies.
        let mut pin = Zeroizing::new(Vec::with_capacity(MAX_PIN_LEN + 3));
        File::open(path)
            .and_then(|file| file.take(MAX_PIN_LEN as u64 + 3).read_to_end(&mut pin))
            .map_err(unreadable)?;
        if pin.ends_with(b"\n") {
            pin.pop();
            if pin.ends_with(b"\r") {
                pin.pop();
            }
        }
        Self::new(pin)
    }

    pub(crate) fn copy(&self) -> Self {
        Self(self.0.clone())
    }

    /// As the call wants it, which wipes it too.
    pub(crate) fn to_raw(&self) -> RawAuthPin {
        RawAuthPin::new(Box::new(self.0.to_vec()))
    }
}

impl TryFrom<String> for Pin {
    type Error = HsmError;

    fn try_from(pin: String) -> Result<Self, HsmError> {
        Self::new(Zeroizing::new(pin.into_bytes()))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}
