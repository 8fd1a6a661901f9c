//! ML-DSA-87 keys on a token: finding, reading, making and destroying them.

use std::fmt::{self, Write as _};

use b4ae_core::{ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, verify_signature};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::object::{Attribute, AttributeType, KeyType, MlDsaParameterSetType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::token::TokenInfo;
use crate::uri::ObjectType;
use crate::{HsmError, KeyRefusal, Pkcs11Uri};

/// The longest label or id of a key that is made, in bytes.
pub const MAX_KEY_NAME_LEN: usize = 255;

/// An ML-DSA-87 private key on a token, as the token describes it. What the token does not tell counts as the worse.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// `CKA_LABEL`.
    pub label: String,
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// The public key (FIPS 204, `pk`).
    pub public_key: Box<[u8; ML_DSA_PUBLIC_KEY_LEN]>,
    /// `CKA_SENSITIVE`: it cannot be read.
    pub sensitive: bool,
    /// `CKA_ALWAYS_SENSITIVE`: it never could.
    pub always_sensitive: bool,
    /// `CKA_EXTRACTABLE`: it can be taken out, encrypted under another key.
    pub extractable: bool,
    /// `CKA_NEVER_EXTRACTABLE`: it never could.
    pub never_extractable: bool,
    /// `CKA_LOCAL`: it was made in the token.
    pub local: bool,
    /// `CKA_PRIVATE`: it cannot be used without the PIN.
    pub private: bool,
    /// `CKA_TOKEN`: it outlives the session.
    pub stored: bool,
    /// `CKA_MODIFIABLE`: attributes can be changed, as far as the standard lets them be.
    pub modifiable: bool,
    /// `CKA_COPYABLE`: it can be copied within the token.
    pub copyable: bool,
    /// `CKA_ALWAYS_AUTHENTICATE`: it asks for the PIN with each signature.
    pub always_authenticate: bool,
    uri: Pkcs11Uri,
}

impl KeyInfo {
    /// Names exactly this key: module, the token's label and serial number, label, id and `type=private`.
    pub fn uri(&self) -> Pkcs11Uri {
        self.uri.clone()
    }

    /// Whether an identity may be this key.
    pub(crate) fn usable(&self) -> Result<(), HsmError> {
        let reason = if !self.sensitive {
            KeyRefusal::NotSensitive
        } else if self.extractable {
            KeyRefusal::Extractable
        } else if self.always_authenticate {
            KeyRefusal::AlwaysAuthenticate
        } else {
            return Ok(());
        };
        Err(self.refused(reason))
    }

    /// Whether it is as [`generate`] promises.
    fn as_required(&self) -> Result<(), HsmError> {
        self.usable()?;
        let reason = if !self.private {
            KeyRefusal::NotPrivate
        } else if !self.stored {
            KeyRefusal::NotStored
        } else if !(self.local && self.always_sensitive && self.never_extractable) {
            KeyRefusal::NotVouchedFor
        } else {
            return Ok(());
        };
        Err(self.refused(reason))
    }

    fn refused(&self, reason: KeyRefusal) -> HsmError {
        HsmError::KeyRefused { key: self.uri.to_string(), reason }
    }
}

impl fmt::Debug for KeyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyInfo")
            .field("uri", &format_args!("{}", self.uri))
            .field("sensitive", &self.sensitive)
            .field("always_sensitive", &self.always_sensitive)
            .field("extractable", &self.extractable)
            .field("never_extractable", &self.never_extractable)
            .field("local", &self.local)
            .field("modifiable", &self.modifiable)
            .field("copyable", &self.copyable)
            .finish_non_exhaustive()
    }
}

/// Every ML-DSA private key that `uri` matches.
pub(crate) fn find(session: &Session, uri: &Pkcs11Uri, token: &TokenInfo) -> Result<Vec<ObjectHandle>, HsmError> {
    if uri.object_type().is_some_and(|kind| kind != ObjectType::Private) {
        return Err(HsmError::NotAPrivateKey { uri: uri.to_string() });
    }
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(KeyType::ML_DSA)];
    template.extend(uri.object().map(|label| Attribute::Label(label.as_bytes().to_vec())));
    template.extend(uri.id().map(|id| Attribute::Id(id.to_vec())));
    session.find_objects(&template).map_err(|error| HsmError::of(&error, &token.name()))
}

/// The one that `uri` matches.
pub(crate) fn find_one(session: &Session, uri: &Pkcs11Uri, token: &TokenInfo) -> Result<ObjectHandle, HsmError> {
    match *find(session, uri, token)?.as_slice() {
        [key] => Ok(key),
        [] => Err(HsmError::NoKey { token: token.name(), uri: uri.to_string() }),
        ref keys => Err(HsmError::SeveralKeys { token: token.name(), uri: uri.to_string(), count: keys.len() }),
    }
}

/// Reads a private key's attributes and its public key. `opened_as` names the module.
pub(crate) fn read(
    session: &Session,
    key: ObjectHandle,
    opened_as: &Pkcs11Uri,
    token: &TokenInfo,
) -> Result<KeyInfo, HsmError> {
    let failed = |error| HsmError::of(&error, &token.name());
    let label = bytes(session, key, AttributeType::Label).map_err(failed)?.unwrap_or_default();
    let id = bytes(session, key, AttributeType::Id).map_err(failed)?.unwrap_or_default();
    let uri = opened_as.of_key(&token.label, &token.serial, &label, &id);
    let refused = |reason| HsmError::KeyRefused { key: uri.to_string(), reason };
    let set = session.get_attributes(key, &[AttributeType::ParameterSet]).map_err(failed)?;
    if let Some(Attribute::ParameterSet(set)) = set.first()
        && MlDsaParameterSetType::from(*set) != MlDsaParameterSetType::ML_DSA_87
    {
        return Err(refused(KeyRefusal::NotMlDsa87));
    }
    let public_key = public_key(session, key, &label, &id).map_err(failed)?.map_err(refused)?;
    let flag = |attribute, worse| flag(session, key, attribute).map(|is| is.unwrap_or(worse)).map_err(failed);
    Ok(KeyInfo {
        label: String::from_utf8_lossy(&label).into_owned(),
        id,
        public_key,
        sensitive: flag(AttributeType::Sensitive, false)?,
        always_sensitive: flag(AttributeType::AlwaysSensitive, false)?,
        extractable: flag(AttributeType::Extractable, true)?,
        never_extractable: flag(AttributeType::NeverExtractable, false)?,
        local: flag(AttributeType::Local, false)?,
        private: flag(AttributeType::Private, false)?,
        stored: flag(AttributeType::Token, false)?,
        modifiable: flag(AttributeType::Modifiable, true)?,
        copyable: flag(AttributeType::Copyable, true)?,
        // The one attribute whose absence is the rule: it came with PKCS#11 2.20, and is false unless set.
        always_authenticate: flag(AttributeType::AlwaysAuthenticate, false)?,
        uri,
    })
}

/// One attribute at a time: what a token does not have it leaves out, and one that it does not know may spoil the
/// answer for the others.
fn attribute(session: &Session, object: ObjectHandle, attribute: AttributeType) -> Result<Option<Attribute>, Error> {
    match session.get_attributes(object, &[attribute]) {
        Ok(mut found) => Ok(found.pop()),
        Err(Error::Pkcs11(RvError::AttributeSensitive | RvError::AttributeTypeInvalid, _)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn flag(session: &Session, object: ObjectHandle, which: AttributeType) -> Result<Option<bool>, Error> {
    Ok(match attribute(session, object, which)? {
        Some(
            Attribute::Sensitive(is)
            | Attribute::AlwaysSensitive(is)
            | Attribute::Extractable(is)
            | Attribute::NeverExtractable(is)
            | Attribute::Local(is)
            | Attribute::Private(is)
            | Attribute::Token(is)
            | Attribute::Modifiable(is)
            | Attribute::Copyable(is)
            | Attribute::AlwaysAuthenticate(is),
        ) => Some(is),
        _ => None,
    })
}

fn bytes(session: &Session, object: ObjectHandle, which: AttributeType) -> Result<Option<Vec<u8>>, Error> {
    Ok(match attribute(session, object, which)? {
        Some(Attribute::Label(is) | Attribute::Id(is) | Attribute::Value(is) | Attribute::PublicKeyInfo(is)) => {
            Some(is)
        }
        _ => None,
    })
}

/// What comes before the public key in a `SubjectPublicKeyInfo` of an ML-DSA-87 key (RFC 9881): two headers, the object
/// identifier 2.16.840.1.101.3.4.3.19 and the bit string's header.
const SPKI_HEADER: [u8; 22] = [
    0x30, 0x82, 0x0a, 0x32, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13, 0x03, 0x82,
    0x0a, 0x21, 0x00,
];

type PublicKey = Box<[u8; ML_DSA_PUBLIC_KEY_LEN]>;

/// From the public key object with the same id, or without ids with the same label; else from the private key itself.
pub(crate) fn public_key(
    session: &Session,
    private: ObjectHandle,
    label: &[u8],
    id: &[u8],
) -> Result<Result<PublicKey, KeyRefusal>, Error> {
    let name = if id.is_empty() { Attribute::Label(label.to_vec()) } else { Attribute::Id(id.to_vec()) };
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(KeyType::ML_DSA), name];
    let mut values = Vec::new();
    for object in session.find_objects(&template)? {
        values.extend(bytes(session, object, AttributeType::Value)?);
    }
    values.sort_unstable();
    values.dedup();
    if values.is_empty() {
        let info = bytes(session, private, AttributeType::PublicKeyInfo)?.unwrap_or_default();
        values.extend(info.strip_prefix(&SPKI_HEADER).map(<[u8]>::to_vec));
    }
    Ok(match <[Vec<u8>; 1]>::try_from(values) {
        Ok([value]) => value.into_boxed_slice().try_into().map_err(|_| KeyRefusal::NotMlDsa87),
        Err(values) if values.is_empty() => Err(KeyRefusal::NoPublicKey),
        Err(_) => Err(KeyRefusal::SeveralPublicKeys),
    })
}

/// Signs `message` by FIPS 204, pure. The parameters hold a raw pointer to `context`, whose lifetime cryptoki 0.12 does
/// not check: they are made here, beside the call, and nowhere else.
pub(crate) fn sign_with(
    session: &Session,
    key: ObjectHandle,
    hedge: HedgeType,
    context: Option<&[u8]>,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    session.sign(&Mechanism::MlDsa(SignAdditionalContext::new(hedge, context)), key, message)
}

/// Signs `message` with the empty context and verifies the signature: `None` if it is not `public_key`'s. That tells a
/// broken token, or a handle that came to mean another key, from a sound one.
pub(crate) fn sign(
    session: &Session,
    key: ObjectHandle,
    public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN],
    message: &[u8; 64],
) -> Result<Option<Box<[u8; ML_DSA_SIGNATURE_LEN]>>, Error> {
    // Hedged where the token can: a few can only sign deterministically, which is as good a signature.
    let signature = sign_with(session, key, HedgeType::Preferred, None, message)?;
    let signature: Option<Box<[u8; ML_DSA_SIGNATURE_LEN]>> = signature.into_boxed_slice().try_into().ok();
    Ok(signature.filter(|signature| verify_signature(public_key, message, signature)))
}

/// What is signed to see whether a key works: text and 16 random bytes. The protocol signs hashes, and no hash is 48
/// bytes of this text.
pub(crate) fn test_message() -> Result<[u8; 64], HsmError> {
    let mut message = *b"B4AE2: does this key sign? Not part of a session................";
    getrandom::fill(&mut message[48..]).map_err(|_| HsmError::System { what: "random numbers" })?;
    Ok(message)
}

/// Signs a test message and verifies it.
pub(crate) fn try_out(
    session: &Session,
    handle: ObjectHandle,
    key: &KeyInfo,
    token: &TokenInfo,
) -> Result<(), HsmError> {
    match sign(session, handle, &key.public_key, &test_message()?)
        .map_err(|error| HsmError::of(&error, &token.name()))?
    {
        Some(_) => Ok(()),
        None => Err(key.refused(KeyRefusal::PublicKeyMismatch)),
    }
}

/// `trial` is another session: an operation that fails may stay active in it.
pub(crate) fn generate(
    session: &Session,
    trial: &Session,
    label: &str,
    id: Option<&[u8]>,
    opened_as: &Pkcs11Uri,
    token: &TokenInfo,
) -> Result<KeyInfo, HsmError> {
    if label.is_empty() || label.len() > MAX_KEY_NAME_LEN || label.contains('\0') {
        return Err(HsmError::KeyName { what: "label has to have 1 to 255 bytes, none of them zero" });
    }
    let id = match id {
        Some(id) if id.is_empty() || id.len() > MAX_KEY_NAME_LEN => {
            return Err(HsmError::KeyName { what: "id has to have 1 to 255 bytes" });
        }
        Some(id) => id.to_vec(),
        None => random_id()?,
    };
    let failed = |error| HsmError::of(&error, &token.name());
    let name = [Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id)];
    no_more_than(0, session, &name, token)?;
    let (public, private) = generate_pair(session, &name, Kept::OnToken).map_err(failed)?;
    // Again: whoever makes one at the same time found none before, either.
    let made = no_more_than(1, session, &name, token).and_then(|()| {
        let key = read(session, private, opened_as, token)?;
        key.as_required()?;
        try_out(trial, private, &key, token)?;
        Ok(key)
    });
    if made.is_err() {
        // What matters to the caller is why it is not kept.
        let _ = session.destroy_object(private);
        let _ = session.destroy_object(public);
    }
    made
}

/// An id that nobody has.
pub(crate) fn random_id() -> Result<Vec<u8>, HsmError> {
    let mut id = vec![0; 16];
    getrandom::fill(&mut id).map_err(|_| HsmError::System { what: "random numbers" })?;
    Ok(id)
}

/// An error if more than so many key pairs have the label or the id.
fn no_more_than(count: usize, session: &Session, name: &[Attribute; 2], token: &TokenInfo) -> Result<(), HsmError> {
    for attribute in name {
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            let found = session
                .find_objects(&[Attribute::Class(class), attribute.clone()])
                .map_err(|error| HsmError::of(&error, &token.name()))?;
            if found.len() > count {
                let what = match attribute {
                    Attribute::Label(label) => format!("label {:?}", String::from_utf8_lossy(label)),
                    Attribute::Id(id) => format!("id {}", hex(id)),
                    other => other.attribute_type().to_string(),
                };
                return Err(HsmError::KeyExists { token: token.name(), what });
            }
        }
    }
    Ok(())
}

/// How long a pair that is made lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kept {
    /// Until it is destroyed.
    OnToken,
    /// As long as the session.
    InSession,
}

/// Makes the pair, as unchangeable as the token lets it be made.
pub(crate) fn generate_pair(
    session: &Session,
    name: &[Attribute; 2],
    kept: Kept,
) -> Result<(ObjectHandle, ObjectHandle), Error> {
    let stored = kept == Kept::OnToken;
    let mut public = name.to_vec();
    public.extend([
        Attribute::Token(stored),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_87.into()),
    ]);
    let mut private = name.to_vec();
    private.extend([
        Attribute::Token(stored),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    let fixed = [Attribute::Modifiable(false), Attribute::Copyable(false)];
    let mut result = Err(Error::InvalidValue);
    for count in (0..=fixed.len()).rev() {
        let private = [&private, &fixed[..count]].concat();
        result = session.generate_key_pair(&Mechanism::MlDsaKeyPairGen, &public, &private);
        let Err(Error::Pkcs11(
            RvError::AttributeReadOnly
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::TemplateInconsistent,
            _,
        )) = result
        else {
            break;
        };
    }
    result
}

pub(crate) fn delete(session: &Session, id: &[u8], token: &TokenInfo) -> Result<(), HsmError> {
    let failed = |error| HsmError::of(&error, &token.name());
    let uri = || format!("id={}", hex(id));
    // An empty id would match every key without one.
    if id.is_empty() {
        return Err(HsmError::NoKey { token: token.name(), uri: uri() });
    }
    let find = |class| {
        session
            .find_objects(&[Attribute::Class(class), Attribute::KeyType(KeyType::ML_DSA), Attribute::Id(id.to_vec())])
            .map_err(failed)
    };
    let (private, public) = (find(ObjectClass::PRIVATE_KEY)?, find(ObjectClass::PUBLIC_KEY)?);
    if private.len() > 1 {
        return Err(HsmError::SeveralKeys { token: token.name(), uri: uri(), count: private.len() });
    }
    if private.is_empty() && public.is_empty() {
        return Err(HsmError::NoKey { token: token.name(), uri: uri() });
    }
    // The secret first: if the second call fails, what is left is no key to anything.
    private.into_iter().chain(public).try_for_each(|object| session.destroy_object(object).map_err(failed))
}

/// As an id is written in a URI.
fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "%{byte:02X}");
        text
    })
}
