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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_not_shown() {
        let pin = Pin::try_from("hunter2".to_owned()).unwrap();
        assert_eq!(format!("{pin:?}"), "Pin(..)");
    }

    #[test]
    fn a_pin_has_a_length() {
        assert_eq!(Pin::try_from(String::new()).unwrap_err(), HsmError::PinMissing);
        assert!(Pin::try_from("1".repeat(MAX_PIN_LEN)).is_ok());
        assert_eq!(Pin::try_from("1".repeat(MAX_PIN_LEN + 1)).unwrap_err(), HsmError::PinTooLong);
    }

    #[test]
    fn a_file_is_read_without_its_line_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let longest = "1".repeat(MAX_PIN_LEN);
        for (content, pin) in [
            ("1234", Ok("1234")),
            ("1234\n", Ok("1234")),
            ("1234\r\n", Ok("1234")),
            (" 12\n34 \n", Ok(" 12\n34 ")),
            (&format!("{longest}\r\n"), Ok(&longest)),
            (&format!("{longest}1"), Err(HsmError::PinTooLong)),
            (&longest.repeat(9), Err(HsmError::PinTooLong)),
            ("\n", Err(HsmError::PinMissing)),
            ("", Err(HsmError::PinMissing)),
        ] {
            std::fs::write(file.path(), content).unwrap();
            let read = Pin::from_file(file.path());
            assert_eq!(read.as_ref().map(|pin| &pin.0[..]), pin.as_ref().map(|pin: &&str| pin.as_bytes()));
        }
        let error = Pin::from_file(Path::new("/nowhere/pin")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/pin"), "{error}");
    }
}
