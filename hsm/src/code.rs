//! What a PKCS#11 function returned, by its name in the standard.

use std::fmt;

use cryptoki::error::{Error, RvError};

/// A function of PKCS#11 and what it returned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct P11Code {
    function: String,
    code: String,
    pub(crate) error: Option<RvError>,
}

impl P11Code {
    pub(crate) fn new(error: &Error) -> Self {
        match error {
            Error::Pkcs11(rv, function) => {
                Self { function: format!("C_{function:?}"), code: standard_name(*rv), error: Some(*rv) }
            }
            other => Self { function: "the module".to_owned(), code: other.to_string(), error: None },
        }
    }

    /// The function, as in `C_Sign`.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The standard's name for what it returned, as in `CKR_DEVICE_REMOVED`, or its number.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl fmt::Display for P11Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} returned {}", self.function, self.code)
    }
}

/// `CKR_DEVICE_REMOVED` of `DeviceRemoved`.
fn standard_name(error: RvError) -> String {
    match error {
        RvError::VendorDefined(number) | RvError::UnknownErrorCode(number) => format!("{number:#x}"),
        named => {
            let mut name = "CKR".to_owned();
            for letter in format!("{named:?}").chars() {
                if letter.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn codes_have_the_standards_names() {
        for (error, name) in [
            (RvError::DeviceRemoved, "CKR_DEVICE_REMOVED"),
            (RvError::GeneralError, "CKR_GENERAL_ERROR"),
            (RvError::RandomNoRng, "CKR_RANDOM_NO_RNG"),
            (RvError::UserPinNotInitialized, "CKR_USER_PIN_NOT_INITIALIZED"),
            (RvError::VendorDefined(0x8000_0001), "0x80000001"),
            (RvError::UnknownErrorCode(0x4321), "0x4321"),
        ] {
            let code = P11Code::new(&Error::Pkcs11(error, Function::GetSlotList));
            assert_eq!((code.function(), code.code()), ("C_GetSlotList", name));
        }
    }
}
