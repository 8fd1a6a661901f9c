//! PKCS#11 URIs (RFC 7512), strictly.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest URI that is read, in bytes.
pub const MAX_URI_LEN: usize = 4096;

/// Names a module, a token and an object within it, as RFC 7512 has it.
///
/// Every attribute that is there has to match, and one that is not there matches everything: `pkcs11:` names every
/// object of every token. Where one token or one key is meant and several match, whoever asks gets an error.
///
/// [`Display`](fmt::Display) writes the canonical form, which parses to an equal URI.
///
/// ```
/// use b4ae_hsm::Pkcs11Uri;
///
/// let uri: Pkcs11Uri = "pkcs11:token=Rack%207;object=b4ae?module-path=/usr/lib/pkcs11/token.so".parse()?;
/// assert_eq!(uri.token(), Some("Rack 7"));
/// # Ok::<(), b4ae_hsm::UriError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pkcs11Uri {
    token: Option<String>,
    manufacturer: Option<String>,
    serial: Option<String>,
    model: Option<String>,
    library_manufacturer: Option<String>,
    library_description: Option<String>,
    library_version: Option<(u8, u8)>,
    object: Option<String>,
    kind: Option<ObjectType>,
    id: Option<Vec<u8>>,
    slot_manufacturer: Option<String>,
    slot_description: Option<String>,
    slot_id: Option<u64>,
    pin_source: Option<PathBuf>,
    module_path: Option<PathBuf>,
}

/// The attribute `type`: the class of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObjectType {
    /// `public`
    Public,
    /// `private`
    Private,
    /// `cert`
    Certificate,
    /// `secret-key`
    SecretKey,
    /// `data`
    Data,
}

impl ObjectType {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Public, "public"),
        (Self::Private, "private"),
        (Self::Certificate, "cert"),
        (Self::SecretKey, "secret-key"),
        (Self::Data, "data"),
    ];
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

/// Why a text is no PKCS#11 URI, or not one that can be used here. Names attributes and never prints a value: one might
/// be a PIN.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It begins otherwise.
    #[error("a PKCS#11 URI begins with \"pkcs11:\"")]
    Scheme,
    /// Longer than [`MAX_URI_LEN`].
    #[error("the PKCS#11 URI has {0} bytes; at most {MAX_URI_LEN} are read")]
    TooLong(usize),
    /// An attribute, the first being number 1, is not `name=value`.
    #[error("attribute {0} of the PKCS#11 URI is not name=value")]
    Syntax(usize),
    /// A `%` without two hexadecimal digits, or a character that has to be written as one.
    #[error("{0} in the PKCS#11 URI: a character is not allowed, or % is not followed by two hexadecimal digits")]
    Encoding(&'static str),
    /// Given twice.
    #[error("{0} is twice in the PKCS#11 URI")]
    Duplicate(&'static str),
    /// An attribute of the path that RFC 7512 does not have, number 1 being the first: it would match nothing.
    #[error("attribute {0} of the PKCS#11 URI is none that RFC 7512 has; such a URI matches nothing")]
    Unknown(usize),
    /// Everything but an id is text.
    #[error("{0} in the PKCS#11 URI is not UTF-8")]
    NotUtf8(&'static str),
    /// The value is not one that the attribute can have.
    #[error("{attribute} in the PKCS#11 URI has to be {expected}")]
    Value {
        /// The attribute.
        attribute: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// `pin-value`.
    #[error(
        "pin-value in the PKCS#11 URI: a PIN does not belong in a URI, which is stored, logged and shown; \
         use pin-source=file:/PATH"
    )]
    PinValue,
    /// `module-name`.
    #[error(
        "module-name in the PKCS#11 URI: where a name is looked for differs between systems; use module-path=/PATH"
    )]
    ModuleName,
}

impl FromStr for Pkcs11Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > MAX_URI_LEN {
            return Err(UriError::TooLong(text.len()));
        }
        let (scheme, rest) = text.split_at_checked("pkcs11:".len()).ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("pkcs11:") {
            return Err(UriError::Scheme);
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut uri = Self::default();
        let mut number = 0;
        if !path.is_empty() {
            for attribute in path.split(';') {
                number += 1;
                let (name, value) = attribute.split_once('=').ok_or(UriError::Syntax(number))?;
                uri.take_path(name, value, number)?;
            }
        }
        if let Some(query) = query {
            for attribute in query.split('&') {
                number += 1;
                let (name, value) = attribute.split_once('=').ok_or(UriError::Syntax(number))?;
                uri.take_query(name, value)?;
            }
        }
        Ok(uri)
    }
}

impl Pkcs11Uri {
    /// The token's label.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The token's serial number.
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// The token's manufacturer.
    pub fn manufacturer(&self) -> Option<&str> {
        self.manufacturer.as_deref()
    }

    /// The token's model.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The module's manufacturer.
    pub fn library_manufacturer(&self) -> Option<&str> {
        self.library_manufacturer.as_deref()
    }

    /// The module's description.
    pub fn library_description(&self) -> Option<&str> {
        self.library_description.as_deref()
    }

    /// The module's version, major and minor.
    pub fn library_version(&self) -> Option<(u8, u8)> {
        self.library_version
    }

    /// The slot's manufacturer.
    pub fn slot_manufacturer(&self) -> Option<&str> {
        self.slot_manufacturer.as_deref()
    }

    /// The slot's description.
    pub fn slot_description(&self) -> Option<&str> {
        self.slot_description.as_deref()
    }

    /// The slot's number. Many modules number anew when a token is plugged in.
    pub fn slot_id(&self) -> Option<u64> {
        self.slot_id
    }

    /// The object's label.
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// The object's id: bytes of any kind.
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// The object's class.
    pub fn object_type(&self) -> Option<ObjectType> {
        self.kind
    }

    /// The file that holds the PIN.
    pub fn pin_source(&self) -> Option<&Path> {
        self.pin_source.as_deref()
    }

    /// The module: a shared library. Absolute, so that no search path decides what is loaded.
    pub fn module_path(&self) -> Option<&Path> {
        self.module_path.as_deref()
    }

    /// The same URI with another module. An error if the path is not absolute or not UTF-8.
    pub fn with_module_path(mut self, path: &Path) -> Result<Self, UriError> {
        let text = path.to_str().ok_or(UriError::NotUtf8(MODULE_PATH))?;
        self.module_path = Some(absolute(MODULE_PATH, text.to_owned())?);
        Ok(self)
    }

    /// The same module and PIN, this token and this private key. A label that is not text, and an empty label or id,
    /// are left out.
    pub(crate) fn of_key(&self, token: &str, serial: &str, label: &[u8], id: &[u8]) -> Self {
        let label = std::str::from_utf8(label).ok().filter(|label| !label.is_empty());
        Self {
            token: Some(token.to_owned()),
            serial: Some(serial.to_owned()),
            object: label.map(str::to_owned),
            kind: Some(ObjectType::Private),
            id: (!id.is_empty()).then(|| id.to_owned()),
            pin_source: self.pin_source.clone(),
            module_path: self.module_path.clone(),
            ..Self::default()
        }
    }

    /// The same module and this token.
    pub(crate) fn of_token(&self, token: &str, serial: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            serial: Some(serial.to_owned()),
            module_path: self.module_path.clone(),
            ..Self::default()
        }
    }

    fn take_path(&mut self, name: &str, value: &str, number: usize) -> Result<(), UriError> {
        match name {
            "token" => set("token", &mut self.token, text("token", value, PATH)?),
            "manufacturer" => set("manufacturer", &mut self.manufacturer, text("manufacturer", value, PATH)?),
            "serial" => set("serial", &mut self.serial, text("serial", value, PATH)?),
            "model" => set("model", &mut self.model, text("model", value, PATH)?),
            "library-manufacturer" => {
                let name = "library-manufacturer";
                set(name, &mut self.library_manufacturer, text(name, value, PATH)?)
            }
            "library-description" => {
                let name = "library-description";
                set(name, &mut self.library_description, text(name, value, PATH)?)
            }
            "library-version" => {
                let name = "library-version";
                let value = text(name, value, PATH)?;
                let version = version(&value)
                    .ok_or(UriError::Value { attribute: name, expected: "MAJOR or MAJOR.MINOR, each at most 255" })?;
                set(name, &mut self.library_version, version)
            }
            "object" => set("object", &mut self.object, text("object", value, PATH)?),
            "type" => {
                let value = text("type", value, PATH)?;
                let kind = ObjectType::ALL.iter().find(|(_, name)| *name == value).map(|(kind, _)| *kind);
                let expected = "public, private, cert, secret-key or data";
                set("type", &mut self.kind, kind.ok_or(UriError::Value { attribute: "type", expected })?)
            }
            "id" => set("id", &mut self.id, decode("id", value, PATH)?),
            "slot-manufacturer" => {
                let name = "slot-manufacturer";
                set(name, &mut self.slot_manufacturer, text(name, value, PATH)?)
            }
            "slot-description" => {
                let name = "slot-description";
                set(name, &mut self.slot_description, text(name, value, PATH)?)
            }
            "slot-id" => {
                let value = text("slot-id", value, PATH)?;
                let number = digits(&value).ok_or(UriError::Value { attribute: "slot-id", expected: "a number" })?;
                set("slot-id", &mut self.slot_id, number)
            }
            _ => Err(UriError::Unknown(number)),
        }
    }

    fn take_query(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        match name {
            PIN_SOURCE => set(PIN_SOURCE, &mut self.pin_source, pin_source(text(PIN_SOURCE, value, QUERY)?)?),
            MODULE_PATH => {
                set(MODULE_PATH, &mut self.module_path, absolute(MODULE_PATH, text(MODULE_PATH, value, QUERY)?)?)
            }
            "pin-value" => Err(UriError::PinValue),
            "module-name" => Err(UriError::ModuleName),
            // "An unrecognized query attribute MUST be ignored" (RFC 7512, section 2.4).
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let version = self.library_version.map(|(major, minor)| format!("{major}.{minor}"));
        let kind = self.kind.map(|kind| kind.to_string());
        let slot_id = self.slot_id.map(|id| id.to_string());
        let path = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
            ("library-manufacturer", &self.library_manufacturer),
            ("library-description", &self.library_description),
            ("library-version", &version),
            ("slot-manufacturer", &self.slot_manufacturer),
            ("slot-description", &self.slot_description),
            ("slot-id", &slot_id),
            ("object", &self.object),
            ("type", &kind),
        ];
        let mut separator = "";
        for (name, value) in path {
            if let Some(value) = value {
                write!(f, "{separator}{name}={}", Encoded(value.as_bytes(), b":@,+="))?;
                separator = ";";
            }
        }
        if let Some(id) = &self.id {
            // RFC 7512 recommends that all of an id is encoded.
            write!(f, "{separator}id=")?;
            id.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
        }
        let mut separator = "?";
        if let Some(path) = &self.pin_source {
            // The attribute's value is a URI in turn, where two slashes begin a host's name: none is named then.
            let path = path.to_string_lossy();
            let host = if path.starts_with("//") { "//" } else { "" };
            let file = format!("file:{host}{}", Encoded(path.as_bytes(), b"/:@,+="));
            write!(f, "{separator}pin-source={}", Encoded(file.as_bytes(), b"/:@,+="))?;
            separator = "&";
        }
        if let Some(path) = &self.module_path {
            write!(f, "{separator}module-path={}", Encoded(path.to_string_lossy().as_bytes(), b"/:@,+="))?;
        }
        Ok(())
    }
}

const PIN_SOURCE: &str = "pin-source";
const MODULE_PATH: &str = "module-path";

/// What may stand in a path unencoded, beside letters and digits (RFC 7512, section 2.3).
const PATH: &[u8] = b"-._~:[]@!$'()*+,=&";
/// The same, for a query.
const QUERY: &[u8] = b"-._~:[]@!$'()*+,=/?|";

fn set<T>(name: &'static str, field: &mut Option<T>, value: T) -> Result<(), UriError> {
    if field.replace(value).is_some() { Err(UriError::Duplicate(name)) } else { Ok(()) }
}

fn decode(name: &'static str, value: &str, allowed: &[u8]) -> Result<Vec<u8>, UriError> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else { return Err(UriError::Encoding(name)) };
            decoded.push((high << 4 | low) as u8);
        } else if byte.is_ascii_alphanumeric() || allowed.contains(&byte) {
            decoded.push(byte);
        } else {
            return Err(UriError::Encoding(name));
        }
    }
    Ok(decoded)
}

fn text(name: &'static str, value: &str, allowed: &[u8]) -> Result<String, UriError> {
    let text = String::from_utf8(decode(name, value, allowed)?).map_err(|_| UriError::NotUtf8(name))?;
    // PKCS#11 pads with blanks and C ends strings with zeros: neither can be told apart from what it is not.
    if text.contains('\0') {
        return Err(UriError::Value { attribute: name, expected: "free of zero bytes" });
    }
    Ok(text)
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn version(text: &str) -> Option<(u8, u8)> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some((u8::try_from(digits(major)?).ok()?, u8::try_from(digits(minor)?).ok()?))
}

fn absolute(name: &'static str, path: String) -> Result<PathBuf, UriError> {
    let path = PathBuf::from(path);
    if path.is_absolute() { Ok(path) } else { Err(UriError::Value { attribute: name, expected: "an absolute path" }) }
}

/// An absolute path, or a `file:` URI of this machine (RFC 8089).
fn pin_source(value: String) -> Result<PathBuf, UriError> {
    let wrong = UriError::Value { attribute: PIN_SOURCE, expected: "file: and an absolute path; no command is run" };
    let path = match value.split_at_checked("file:".len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file:") => {
            let path = match rest.strip_prefix("//") {
                Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
                None => rest,
            };
            text(PIN_SOURCE, path, b"-._~:@!$'()*+,=&/;")?
        }
        _ => value,
    };
    absolute(PIN_SOURCE, path).map_err(|_| wrong)
}

/// Writes letters, digits, `-._~` and what is in the second field as they are, the rest as `%` and two digits.
struct Encoded<'a>(&'a [u8], &'a [u8]);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || self.1.contains(byte) {
                write!(f, "{}", char::from(*byte))
            } else {
                write!(f, "%{byte:02X}")
            }
        })
    }
}
