//! The calls of AWS-LC that `b4ae-core`'s feature `aws-lc` needs and `aws-lc-rs` does not have.
//!
//! - **ML-KEM-1024 with given randomness.** The core draws all randomness itself, so that a run replays, and keeps keys
//!   as seeds. `aws-lc-rs` generates and encapsulates with AWS-LC's own random numbers only.
//! - **X25519 and ChaCha20-Poly1305 without a key object.** `aws-lc-rs` allocates one for each key, and computes the
//!   public key of a private key with each exchange. The core has a new AEAD key for every cell, and may not allocate
//!   for it.
//!
//! What `aws-lc-rs` does have, decapsulation and ML-DSA, the core takes from there. All `unsafe` code of the product's
//! own is in this file. Every function takes and gives arrays and slices, keeps no pointer beyond its call, and leaves
//! nothing allocated.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

#[cfg(feature = "fips")]
use aws_lc_fips_sys as sys;
#[cfg(not(feature = "fips"))]
use aws_lc_sys as sys;

/// What the C functions return on success.
const DONE: c_int = 1;

/// Length of an ML-KEM-1024 decapsulation key in its expanded form (FIPS 203), in bytes.
pub const ML_KEM_DK_LEN: usize = 3168;
/// Length of an ML-KEM-1024 encapsulation key, in bytes.
pub const ML_KEM_EK_LEN: usize = 1568;
/// Length of an ML-KEM-1024 ciphertext, in bytes.
pub const ML_KEM_CT_LEN: usize = 1568;
/// Length of a ChaCha20-Poly1305 tag, in bytes.
pub const TAG_LEN: usize = 16;

/// The X25519 public key of `private` (RFC 7748).
pub fn x25519_public_key(private: &[u8; 32]) -> [u8; 32] {
    let mut public = [0; 32];
    // SAFETY: both are 32 bytes, which is what is written and read.
    unsafe { sys::X25519_public_from_private(public.as_mut_ptr(), private.as_ptr()) };
    public
}

/// Writes the X25519 shared secret (RFC 7748). `false` where it is all zero, because the peer's point is of low order.
#[must_use]
pub fn x25519(private: &[u8; 32], public: &[u8; 32], shared: &mut [u8; 32]) -> bool {
    // SAFETY: all three are 32 bytes, which is what is written and read.
    unsafe { sys::X25519(shared.as_mut_ptr(), private.as_ptr(), public.as_ptr()) == DONE }
}

/// Frees what AWS-LC allocated. It overwrites all memory that it frees.
struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    /// # Safety
    ///
    /// `raw` is null or owned by the caller, and `free` frees it.
    unsafe fn new(raw: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self(raw, free))
    }

    fn raw(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: owned, by the contract of `new`, and not used after this.
        unsafe { (self.1)(self.raw()) };
    }
}

/// Expands the ML-KEM-1024 seed `d || z` into a decapsulation key and its encapsulation key (FIPS 203, algorithm 16).
///
/// `None` if memory ran out.
#[must_use]
pub fn ml_kem_key_pair(seed: &[u8; 64], dk: &mut [u8; ML_KEM_DK_LEN], ek: &mut [u8; ML_KEM_EK_LEN]) -> Option<()> {
    // SAFETY: a new context is the caller's, and this frees it.
    let context =
        unsafe { Owned::new(sys::EVP_PKEY_CTX_new_id(sys::EVP_PKEY_KEM, ptr::null_mut()), sys::EVP_PKEY_CTX_free) }?;
    // SAFETY: the context is live.
    done(unsafe { sys::EVP_PKEY_CTX_kem_set_params(context.raw(), sys::NID_MLKEM1024) })?;
    // SAFETY: the context is live.
    done(unsafe { sys::EVP_PKEY_keygen_init(context.raw()) })?;
    let (mut key, mut len) = (ptr::null_mut(), seed.len());
    // SAFETY: the context is live; `len` bytes of the seed are read; a null key is replaced by a new one.
    let made = unsafe { sys::EVP_PKEY_keygen_deterministic(context.raw(), &raw mut key, seed.as_ptr(), &raw mut len) };
    // SAFETY: still null, or a new key that is the caller's; this frees it.
    let key = unsafe { Owned::new(key, sys::EVP_PKEY_free) };
    done(made)?;
    let key = key?;

    let mut len = dk.len();
    // SAFETY: the key is live; at most `len` bytes are written.
    done(unsafe { sys::EVP_PKEY_get_raw_private_key(key.raw(), dk.as_mut_ptr(), &raw mut len) })?;
    whole(len, dk)?;
    let mut len = ek.len();
    // SAFETY: the key is live; at most `len` bytes are written.
    done(unsafe { sys::EVP_PKEY_get_raw_public_key(key.raw(), ek.as_mut_ptr(), &raw mut len) })?;
    whole(len, ek)
}

/// Encapsulates to `ek` with the randomness `m` (FIPS 203, algorithm 17). `None` if the key is not reduced (FIPS 203,
/// section 7.2), or if memory ran out.
#[must_use]
pub fn ml_kem_encapsulate(
    ek: &[u8; ML_KEM_EK_LEN],
    m: &[u8; 32],
    ct: &mut [u8; ML_KEM_CT_LEN],
    shared: &mut [u8; 32],
) -> Option<()> {
    // SAFETY: as many bytes are read as there are; a new key is the caller's, and this frees it.
    let key = unsafe {
        Owned::new(sys::EVP_PKEY_kem_new_raw_public_key(sys::NID_MLKEM1024, ek.as_ptr(), ek.len()), sys::EVP_PKEY_free)
    }?;
    // SAFETY: the key is live, and counted by the context; a new context is the caller's, and this frees it.
    let context = unsafe { Owned::new(sys::EVP_PKEY_CTX_new(key.raw(), ptr::null_mut()), sys::EVP_PKEY_CTX_free) }?;
    let (mut ct_len, mut shared_len, mut m_len) = (ct.len(), shared.len(), m.len());
    // SAFETY: the context is live; at most as many bytes as the lengths say are written, and read.
    done(unsafe {
        sys::EVP_PKEY_encapsulate_deterministic(
            context.raw(),
            ct.as_mut_ptr(),
            &raw mut ct_len,
            shared.as_mut_ptr(),
            &raw mut shared_len,
            m.as_ptr(),
            &raw mut m_len,
        )
    })?;
    whole(ct_len, ct)?;
    whole(shared_len, shared)
}

fn done(returned: c_int) -> Option<()> {
    (returned == DONE).then_some(())
}

/// That a buffer was filled.
fn whole(written: usize, buffer: &[u8]) -> Option<()> {
    (written == buffer.len()).then_some(())
}

/// An AEAD context, where it was made: on the stack, at one address, overwritten in the end.
struct Context(sys::EVP_AEAD_CTX);

impl Context {
    fn unset() -> Self {
        Self(sys::EVP_AEAD_CTX::default())
    }

    /// Takes the key. ChaCha20-Poly1305 keeps it within the context, and allocates nothing.
    fn set(&mut self, key: &[u8; 32]) {
        // SAFETY: no arguments; what is returned is static.
        let algorithm = unsafe { sys::EVP_aead_chacha20_poly1305() };
        // SAFETY: a context of zeros is unset; as many bytes of the key are read as there are; no engine is needed.
        let set = unsafe {
            sys::EVP_AEAD_CTX_init(&raw mut self.0, algorithm, key.as_ptr(), key.len(), TAG_LEN, ptr::null_mut())
        };
        assert_eq!(set, DONE, "key and tag have the lengths of the algorithm");
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: a context of zeros or one that was set.
        unsafe { sys::EVP_AEAD_CTX_cleanup(&raw mut self.0) };
        // SAFETY: the context's own bytes, which nothing reads after this.
        unsafe { sys::OPENSSL_cleanse((&raw mut self.0).cast(), size_of_val(&self.0)) };
    }
}

/// Encrypts `buffer` in place with ChaCha20-Poly1305 (RFC 8439) and returns the tag. Allocates nothing.
///
/// # Panics
///
/// If `buffer` is longer than 256 GiB.
pub fn seal(key: &[u8; 32], nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> [u8; TAG_LEN] {
    let mut context = Context::unset();
    context.set(key);
    let (mut tag, mut tag_len) = ([0; TAG_LEN], 0);
    let len = buffer.len();
    let text = buffer.as_mut_ptr();
    // SAFETY: the context is set and stays where it is; text is written over itself, which is allowed where both
    // begin at one address; the tag has room for as many bytes as are said; there is no further text.
    let sealed = unsafe {
        sys::EVP_AEAD_CTX_seal_scatter(
            &raw const context.0,
            text,
            tag.as_mut_ptr(),
            &raw mut tag_len,
            tag.len(),
            nonce.as_ptr(),
            nonce.len(),
            text,
            len,
            ptr::null(),
            0,
            ad.as_ptr(),
            ad.len(),
        )
    };
    assert!(sealed == DONE && tag_len == TAG_LEN, "no buffer is longer than 256 GiB");
    tag
}

/// Decrypts `buffer` in place if the tag is right. **Otherwise overwrites it with zeros.** Allocates nothing but, at a
/// thread's first failure, AWS-LC's room for its errors.
#[must_use]
pub fn open(key: &[u8; 32], nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
    let mut context = Context::unset();
    context.set(key);
    let len = buffer.len();
    let text = buffer.as_mut_ptr();
    // SAFETY: the context is set and stays where it is; text is written over itself, which is allowed where both
    // begin at one address; as many bytes are read and written as the lengths say.
    let opened = unsafe {
        sys::EVP_AEAD_CTX_open_gather(
            &raw const context.0,
            text,
            nonce.as_ptr(),
            nonce.len(),
            text,
            len,
            tag.as_ptr(),
            tag.len(),
            ad.as_ptr(),
            ad.len(),
        )
    };
    opened == DONE
}
