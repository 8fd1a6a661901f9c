//! The key file's bytes: what is in them, how they are sealed, and what is refused.
//!
//! Two lines of text: a version, and base64 of a postcard value. Postcard and base64 both take more than one spelling
//! of the same value, so a file counts only if encoding what was read gives back the very same bytes.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use b4ae_core::{ML_DSA_PUBLIC_KEY_LEN, Secret};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// The first line of a key file.
const HEADER: &str = "b4ae-identity-v1\n";
/// No key file is longer than this, in bytes.
pub(crate) const MAX_LEN: usize = 12 * 1024;

/// The longest name of a key in a token, in bytes.
const MAX_URI_LEN: usize = 4096;

/// What a passphrase costs to try: 64 MiB and three passes, the second recommendation of RFC 9106.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
/// The most a key file may ask for, so that a hostile one takes neither all memory nor all day.
const MOST: Cost = Cost { memory_kib: 256 * 1024, passes: 16, lanes: 4 };

/// Why bytes are not a usable key file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Invalid {
    /// Not a key file, or damaged.
    Format,
    /// It asks for more work than any key file of ours.
    Cost,
    /// The passphrase does not open it.
    Passphrase,
}

/// Argon2id parameters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The keys of an identity.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Keys {
    #[serde(with = "secret")]
    pub(crate) x25519: Secret<32>,
    pub(crate) ml_dsa: MlDsa,
}

/// Where an identity's ML-DSA-87 key is.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum MlDsa {
    /// Nowhere: the identity is for mode A alone.
    None,
    /// Here, as its FIPS 204 seed.
    Seed(#[serde(with = "secret")] Secret<32>),
    /// In a token.
    Token {
        /// Names the key (RFC 7512).
        uri: String,
        /// The public key, `ML_DSA_PUBLIC_KEY_LEN` bytes: who the identity is can be told without the token.
        public_key: Vec<u8>,
    },
}

/// A secret's bytes, without a copy that is not wiped.
mod secret {
    use b4ae_core::Secret;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(secret: &Secret<32>, to: S) -> Result<S::Ok, S::Error> {
        secret.expose().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret<32>, D::Error> {
        let bytes = Zeroizing::new(<[u8; 32]>::deserialize(from)?);
        Ok(Secret::new(*bytes))
    }
}

#[derive(Deserialize, Serialize)]
enum Body {
    Open(Keys),
    Sealed(Sealed),
}

#[derive(Deserialize, Serialize)]
struct Sealed {
    cost: Cost,
    salt: [u8; 16],
    nonce: [u8; 12],
    ciphertext: Vec<u8>,
}

/// The file holding `keys`, sealed under `passphrase` if there is one. `random` makes the salt and nonce.
pub(crate) fn encode(keys: Keys, passphrase: Option<&[u8]>, random: &[u8; 28]) -> Result<Zeroizing<Vec<u8>>, Invalid> {
    keys.check()?;
    let body = match passphrase {
        None => Body::Open(keys),
        Some(passphrase) => Body::Sealed(Sealed::seal(&keys, passphrase, random)?),
    };
    armour(&body)
}

/// The keys in `file`. `passphrase` is asked for only when they are sealed.
pub(crate) fn decode<E: From<Invalid>>(
    file: &[u8],
    passphrase: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Keys, E> {
    let keys = match unarmour(file)? {
        Body::Open(keys) => keys,
        Body::Sealed(sealed) => {
            sealed.cost.check()?;
            sealed.open(&passphrase()?)?
        }
    };
    keys.check()?;
    Ok(keys)
}

impl Keys {
    /// What the types do not say: lengths.
    fn check(&self) -> Result<(), Invalid> {
        match &self.ml_dsa {
            MlDsa::Token { uri, public_key }
                if uri.len() > MAX_URI_LEN || public_key.len() != ML_DSA_PUBLIC_KEY_LEN =>
            {
                Err(Invalid::Format)
            }
            _ => Ok(()),
        }
    }
}

fn armour(body: &Body) -> Result<Zeroizing<Vec<u8>>, Invalid> {
    let bytes = to_bytes(body)?;
    let mut file = Zeroizing::new(vec![0; HEADER.len() + BASE64.encode_len(bytes.len()) + 1]);
    let (header, rest) = file.split_at_mut(HEADER.len());
    header.copy_from_slice(HEADER.as_bytes());
    let (line, end) = rest.split_at_mut(rest.len() - 1);
    BASE64.encode_mut(&bytes, line);
    end[0] = b'\n';
    Ok(file)
}

fn unarmour(file: &[u8]) -> Result<Body, Invalid> {
    if file.len() > MAX_LEN {
        return Err(Invalid::Format);
    }
    let line = file.strip_prefix(HEADER.as_bytes()).and_then(|rest| rest.strip_suffix(b"\n")).ok_or(Invalid::Format)?;
    let mut bytes = Zeroizing::new(vec![0; BASE64.decode_len(line.len()).map_err(|_| Invalid::Format)?]);
    let len = BASE64.decode_mut(line, &mut bytes).map_err(|_| Invalid::Format)?;
    let body = postcard::from_bytes(&bytes[..len]).map_err(|_| Invalid::Format)?;
    if *armour(&body)? == file { Ok(body) } else { Err(Invalid::Format) }
}

/// `value` in postcard's encoding, in memory that is wiped and never moved while it fills.
fn to_bytes(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Invalid> {
    let mut memory = Zeroizing::new(vec![0; MAX_LEN]);
    let len = postcard::to_slice(value, &mut memory).map_err(|_| Invalid::Format)?.len();
    memory.truncate(len);
    Ok(memory)
}

impl Cost {
    fn check(self) -> Result<(), Invalid> {
        let within = |value, most| (1..=most).contains(&value);
        let fits = within(self.memory_kib, MOST.memory_kib)
            && within(self.passes, MOST.passes)
            && within(self.lanes, MOST.lanes);
        if fits { Ok(()) } else { Err(Invalid::Cost) }
    }
}

impl Sealed {
    fn seal(keys: &Keys, passphrase: &[u8], random: &[u8; 28]) -> Result<Self, Invalid> {
        let (salt, nonce) = random.split_first_chunk::<16>().ok_or(Invalid::Format)?;
        let nonce = *nonce.first_chunk::<12>().ok_or(Invalid::Format)?;
        let mut sealed = Self { cost: COST, salt: *salt, nonce, ciphertext: Vec::new() };
        // Encrypted where it lies: only once it is ciphertext does it leave the memory that is wiped.
        let mut text = to_bytes(keys)?;
        let tag = sealed
            .cipher(passphrase)?
            .encrypt_inout_detached(&Nonce::from(nonce), &sealed.associated()?, text.as_mut_slice().into())
            .map_err(|_| Invalid::Format)?;
        sealed.ciphertext.extend_from_slice(&text);
        sealed.ciphertext.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open(&self, passphrase: &[u8]) -> Result<Keys, Invalid> {
        let (text, tag) = self.ciphertext.split_last_chunk::<16>().ok_or(Invalid::Format)?;
        let mut text = Zeroizing::new(text.to_vec());
        self.cipher(passphrase)?
            .decrypt_inout_detached(
                &Nonce::from(self.nonce),
                &self.associated()?,
                text.as_mut_slice().into(),
                &(*tag).into(),
            )
            .map_err(|_| Invalid::Passphrase)?;
        let keys: Keys = postcard::from_bytes(&text).map_err(|_| Invalid::Format)?;
        if *to_bytes(&keys)? == *text { Ok(keys) } else { Err(Invalid::Format) }
    }

    fn cipher(&self, passphrase: &[u8]) -> Result<ChaCha20Poly1305, Invalid> {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| Invalid::Cost)?;
        let mut memory = vec![Block::default(); params.block_count()];
        let mut key = Zeroizing::new([0; 32]);
        let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
            passphrase,
            &self.salt,
            key.as_mut_slice(),
            &mut memory,
        );
        memory.zeroize();
        done.map_err(|_| Invalid::Cost)?;
        Ok(ChaCha20Poly1305::new((&*key).into()))
    }

    /// Binds the version and the cost to the ciphertext; salt and nonce are bound by their use.
    fn associated(&self) -> Result<Vec<u8>, Invalid> {
        let mut associated = HEADER.as_bytes().to_vec();
        associated.extend_from_slice(&to_bytes(&self.cost)?);
        Ok(associated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ml_dsa: MlDsa) -> Keys {
        Keys { x25519: Secret::new([7; 32]), ml_dsa }
    }

    fn seeds() -> Keys {
        keys(MlDsa::Seed(Secret::new([9; 32])))
    }

    fn in_token(uri: &str, public_key: usize) -> Keys {
        keys(MlDsa::Token { uri: uri.into(), public_key: vec![5; public_key] })
    }

    fn open(file: &[u8], passphrase: &[u8]) -> Result<Keys, Invalid> {
        decode(file, || Ok(Zeroizing::new(passphrase.to_vec())))
    }

    fn refused(file: &[u8]) -> Option<Invalid> {
        decode::<Invalid>(file, || Err(Invalid::Passphrase)).err()
    }

    fn with_cost(cost: Cost) -> Vec<u8> {
        let sealed = Sealed { cost, salt: [1; 16], nonce: [2; 12], ciphertext: vec![3; 82] };
        armour(&Body::Sealed(sealed)).unwrap().to_vec()
    }

    #[test]
    fn keys_come_back_with_and_without_a_passphrase() {
        let stored: [fn() -> Keys; 4] = [
            || keys(MlDsa::None),
            seeds,
            || in_token("pkcs11:token=B4AE;object=node", ML_DSA_PUBLIC_KEY_LEN),
            || in_token(&"u".repeat(MAX_URI_LEN), ML_DSA_PUBLIC_KEY_LEN),
        ];
        for keys in stored {
            for passphrase in [None, Some(b"correct horse".as_slice())] {
                let file = encode(keys(), passphrase, &[4; 28]).unwrap();
                assert!(file.len() <= MAX_LEN);
                let back = open(&file, b"correct horse").unwrap();
                assert!(back.x25519 == keys().x25519);
                match (back.ml_dsa, keys().ml_dsa) {
                    (MlDsa::None, MlDsa::None) => {}
                    (MlDsa::Seed(back), MlDsa::Seed(seed)) => assert!(back == seed),
                    (MlDsa::Token { uri: a, public_key: b }, MlDsa::Token { uri, public_key }) => {
                        assert_eq!((a, b), (uri, public_key));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_key_in_a_token_has_a_name_and_a_public_key_of_fitting_lengths() {
        for unfit in [in_token("u", 32), in_token(&"u".repeat(MAX_URI_LEN + 1), ML_DSA_PUBLIC_KEY_LEN)] {
            let file = armour(&Body::Open(unfit)).unwrap();
            assert_eq!(refused(&file), Some(Invalid::Format));
        }
        assert_eq!(encode(in_token("u", 32), None, &[0; 28]).err(), Some(Invalid::Format));
    }

    /// Files of versions that knew of no tokens are read, and written, as ever.
    #[test]
    fn the_bytes_of_a_file_are_as_documented() {
        let file = encode(seeds(), None, &[0; 28]).unwrap();
        let line = file.strip_prefix(HEADER.as_bytes()).unwrap().strip_suffix(b"\n").unwrap();
        let documented = [&[0][..], &[7; 32], &[1], &[9; 32]].concat();
        assert_eq!(BASE64.decode(line).unwrap(), documented);
    }

    #[test]
    fn a_sealed_file_shows_no_key_and_opens_to_its_passphrase_alone() {
        let file = encode(seeds(), Some(b"right"), &[4; 28]).unwrap();
        let line = file.strip_prefix(HEADER.as_bytes()).unwrap().strip_suffix(b"\n").unwrap();
        let bytes = BASE64.decode(line).unwrap();
        assert!(!bytes.windows(8).any(|w| w == [7; 8] || w == [9; 8]));
        assert_eq!(open(&file, b"wrong").err(), Some(Invalid::Passphrase));
        assert_eq!(refused(&file), Some(Invalid::Passphrase));
    }

    #[test]
    fn one_value_has_one_spelling() {
        let file = encode(seeds(), None, &[0; 28]).unwrap();
        for end in [b"\n".as_slice(), b"AAAA", b"\r\n", b" "] {
            assert_eq!(refused(&[&file, end].concat()), Some(Invalid::Format));
        }
        let line = file.strip_prefix(HEADER.as_bytes()).unwrap().strip_suffix(b"\n").unwrap();
        let mut bytes = BASE64.decode(line).unwrap();
        bytes.push(0);
        let trailing = [HEADER.as_bytes(), BASE64.encode(&bytes).as_bytes(), b"\n"].concat();
        assert_eq!(refused(&trailing), Some(Invalid::Format));
        bytes.pop();
        assert_eq!(bytes[0], 0);
        // The variant 0 as a varint that is one byte too long.
        bytes.splice(0..1, [0x80, 0]);
        let long = [HEADER.as_bytes(), BASE64.encode(&bytes).as_bytes(), b"\n"].concat();
        assert_eq!(refused(&long), Some(Invalid::Format));
    }

    #[test]
    fn a_hostile_cost_is_refused_before_any_work() {
        for cost in [
            Cost { memory_kib: u32::MAX, ..COST },
            Cost { memory_kib: MOST.memory_kib + 1, ..COST },
            Cost { memory_kib: 0, ..COST },
            Cost { passes: u32::MAX, ..COST },
            Cost { lanes: 1 << 24, ..COST },
        ] {
            assert_eq!(refused(&with_cost(cost)), Some(Invalid::Cost), "{cost:?}");
        }
        assert_eq!(refused(&with_cost(MOST)), Some(Invalid::Passphrase));
    }

    #[test]
    fn a_changed_cost_does_not_open() {
        let file = encode(seeds(), Some(b"right"), &[4; 28]).unwrap();
        let Ok(Body::Sealed(mut sealed)) = unarmour(&file) else { panic!("sealed") };
        sealed.cost.passes = 1;
        assert_eq!(open(&armour(&Body::Sealed(sealed)).unwrap(), b"right").err(), Some(Invalid::Passphrase));
    }

    #[test]
    fn junk_is_refused() {
        let file = encode(seeds(), None, &[0; 28]).unwrap();
        for len in 0..file.len() {
            assert_eq!(refused(&file[..len]), Some(Invalid::Format));
        }
        assert_eq!(refused(&[b'A'; MAX_LEN + 1]), Some(Invalid::Format));
    }
}
