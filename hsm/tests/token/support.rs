//! A token for each test, in a process of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use b4ae_hsm::{HsmError, Pin, Pkcs11Signer, Pkcs11Uri, SignerOptions, Token};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

pub(crate) const LABEL: &str = "rack7";
pub(crate) const PIN: &str = "87654321";
const SO_PIN: &str = "12345678";

const MODULE: &str = "B4AE_TEST_TOKEN_MODULE";
const DIRECTORY: &str = "B4AE_HSM_TEST_DIRECTORY";

/// Slots of the test token's configuration.
const SLOTS: usize = 3;

/// Tests with a token of their own, each in a process of its own: a module takes its configuration, the file of faults
/// and the log from the environment, which has to be there before the process is.
macro_rules! token_tests {
    ($($(#[$attribute:meta])* fn $name:ident($token:ident) $body:block)*) => {
        $(
            $(#[$attribute])*
            #[test]
            #[ignore = "needs the test token: scripts/check hsm"]
            fn $name() {
                crate::support::alone(concat!(module_path!(), "::", stringify!($name)), 1, |$token| $body);
            }
        )*
    };
}
pub(crate) use token_tests;

/// Runs `test` in a process of its own, which is this function called anew, so many times. Each has to end well.
pub(crate) fn alone(path: &str, times: usize, test: impl FnOnce(&TestToken)) {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return test(&TestToken { directory: directory.into() });
    }
    for _ in 0..times {
        run_alone(path);
    }
}

fn run_alone(path: &str) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let slots: Vec<String> = (0..SLOTS)
        .map(|slot| {
            let database = at(&format!("token{slot}.sql"));
            format!("[[slots]]\nslot = {slot}\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", database.display())
        })
        .collect();
    fs::write(at("kryoptic.conf"), slots.concat()).unwrap();
    fs::create_dir(at("softhsm")).unwrap();
    fs::write(at("softhsm.conf"), format!("directories.tokendir = {}\n", at("softhsm").display())).unwrap();

    // The test's name is its path without the crate's.
    let name = path.split_once("::").unwrap().1;
    let output = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory.path())
        .env("KRYOPTIC_CONF", at("kryoptic.conf"))
        .env("SOFTHSM2_CONF", at("softhsm.conf"))
        .env("B4AE_TEST_TOKEN_FAULT", at("faults"))
        .env("B4AE_TEST_TOKEN_LOG", at("calls"))
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{name}: {}", output.status);
    assert!(said.contains("1 passed"), "{name} did not run");
}

/// The test token: its module, and what steers it.
pub(crate) struct TestToken {
    directory: PathBuf,
}

impl TestToken {
    /// The module of the test token.
    pub(crate) fn module() -> PathBuf {
        PathBuf::from(
            env::var_os(MODULE).unwrap_or_else(|| {
                panic!("{MODULE} has to name the library that `cargo build` makes in hsm/test-token")
            }),
        )
    }

    /// Sets up the first token.
    #[expect(clippy::unused_self, reason = "its configuration is in this process's environment")]
    pub(crate) fn set_up(&self) -> Pkcs11Uri {
        set_up(&Self::module(), LABEL)
    }

    /// Sets up the first token with a key on it, and opens a signer for that.
    pub(crate) fn signer(&self, options: SignerOptions) -> Pkcs11Signer {
        let key = Token::open(&self.set_up(), Some(pin())).unwrap().generate("b4ae", None).unwrap();
        Pkcs11Signer::open_with(&key.uri(), pin(), options).unwrap()
    }

    /// From now on, these faults: see `faults.rs` of the test token.
    pub(crate) fn faults(&self, faults: &str) {
        // Whole or not at all, and another file each time.
        let new = self.directory.join("faults.new");
        fs::write(&new, faults).unwrap();
        fs::rename(new, self.directory.join("faults")).unwrap();
    }

    /// From now on, none.
    pub(crate) fn no_faults(&self) {
        self.faults("");
    }

    /// How often the module's `function` has been called.
    pub(crate) fn calls(&self, function: &str) -> usize {
        self.log().lines().filter(|line| *line == function).count()
    }

    /// The functions that have been called, one a line.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("calls")).unwrap()
    }

    /// Waits until `function` has been called more often than `before`.
    pub(crate) fn wait_for_call(&self, function: &str, before: usize) {
        while self.calls(function) <= before {
            std::thread::yield_now();
        }
    }
}

/// The module as others in the process use it, without this crate.
pub(crate) struct Others {
    pub(crate) context: Pkcs11,
    pub(crate) slot: Slot,
}

impl Others {
    pub(crate) fn of(module: &Path, label: &str) -> Self {
        let context = Pkcs11::new(module).unwrap();
        // This crate may have done it.
        let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let labelled = |slot: &Slot| context.get_token_info(*slot).unwrap().label() == label;
        let slot = context.get_slots_with_token().unwrap().into_iter().find(labelled).unwrap();
        Self { context, slot }
    }

    pub(crate) fn session(&self) -> Session {
        self.session_with(PIN)
    }

    pub(crate) fn session_with(&self, pin: &str) -> Session {
        let session = self.context.open_rw_session(self.slot).unwrap();
        // Somebody in the process may have done it.
        let _ = session.login(UserType::User, Some(&AuthPin::new(pin.into())));
        session
    }
}

/// Sets up a token in a slot that has none.
pub(crate) fn set_up(module: &Path, label: &str) -> Pkcs11Uri {
    let Others { context, slot } = set_up_without_pin(module, label);
    let session = context.open_rw_session(slot).unwrap();
    session.login(UserType::So, Some(&AuthPin::new(SO_PIN.into()))).unwrap();
    session.init_pin(&AuthPin::new(PIN.into())).unwrap();
    session.logout().unwrap();
    uri(module, label)
}

/// The same, without a user PIN.
pub(crate) fn set_up_without_pin(module: &Path, label: &str) -> Others {
    let context = Pkcs11::new(module).unwrap();
    // Somebody in the process may have done it.
    let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let blank = |slot: &Slot| !context.get_token_info(*slot).unwrap().token_initialized();
    let slot = context.get_slots_with_token().unwrap().into_iter().find(blank).unwrap();
    context.init_token(slot, &AuthPin::new(SO_PIN.into()), label).unwrap();
    // Some give it another slot then; of several with one label the one without a PIN is the new one.
    let new = |slot: &Slot| {
        let token = context.get_token_info(*slot).unwrap();
        token.label() == label && !token.user_pin_initialized()
    };
    let slot = context.get_slots_with_token().unwrap().into_iter().find(new).unwrap();
    Others { context, slot }
}

pub(crate) fn uri(module: &Path, label: &str) -> Pkcs11Uri {
    format!("pkcs11:token={label}").parse::<Pkcs11Uri>().unwrap().with_module_path(module).unwrap()
}

pub(crate) fn pin() -> Pin {
    Pin::try_from(PIN.to_owned()).unwrap()
}

/// So many sessions, and as much time as a busy machine takes.
pub(crate) fn sessions(max: usize) -> SignerOptions {
    let mut options = SignerOptions::default();
    options.max_sessions = max;
    options.wait = Duration::from_secs(120);
    options.open_wait = Duration::from_secs(120);
    options
}

/// By somebody else's implementation of FIPS 204 too.
pub(crate) fn verifies(public_key: &[u8; 2592], message: &[u8; 64], signature: &[u8; 4627]) -> bool {
    use libcrux_ml_dsa::ml_dsa_87 as libcrux;
    use ml_dsa::{EncodedSignature, EncodedVerifyingKey, MlDsa87, Signature, VerifyingKey};

    let key = libcrux::MLDSA87VerificationKey::new(*public_key);
    let first = libcrux::verify(&key, message, b"", &libcrux::MLDSA87Signature::new(*signature)).is_ok();

    let key = VerifyingKey::<MlDsa87>::decode(&EncodedVerifyingKey::<MlDsa87>::try_from(&public_key[..]).unwrap());
    let encoded = EncodedSignature::<MlDsa87>::try_from(&signature[..]).unwrap();
    let second = Signature::<MlDsa87>::decode(&encoded).is_some_and(|it| key.verify_with_context(message, b"", &it));

    assert_eq!(first, second, "two implementations disagree");
    first
}

/// A signature that verifies, or the error.
pub(crate) fn sign(signer: &Pkcs11Signer, fill: u8) -> Result<(), HsmError> {
    let message = [fill; 64];
    let signature = signer.try_sign(&message)?;
    assert!(verifies(&signer.key().public_key, &message, &signature));
    Ok(())
}
