//! Real tokens, each with a home, a configuration and a database of its own: the test token of `hsm/test-token`, which
//! fails when it is told to, and `SoftHSM2`, which has no ML-DSA.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::run::{Home, Outcome, Running, SERVE, Server};

pub(crate) const PIN: &str = "123456";
const SO_PIN: &str = "12345678";
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The label of either token.
pub(crate) const LABEL: &str = "B4AE test";
/// Names the token in a URI.
pub(crate) const TOKEN: &str = "pkcs11:token=B4AE%20test";
/// Names a key in it.
pub(crate) const KEY: &str = "pkcs11:token=B4AE%20test;object=node";

/// A token that was set up with `pkcs11-tool`, and who uses it.
#[derive(Debug)]
pub(crate) struct Token {
    home: Home,
    module: PathBuf,
}

impl Token {
    /// One with ML-DSA. `scripts/check hsm` builds it and says where it is.
    pub(crate) fn new() -> Self {
        let module = std::env::var_os("B4AE_TEST_TOKEN_MODULE").expect("B4AE_TEST_TOKEN_MODULE names the test token");
        let token = Self { home: Home::new(), module: module.into() };
        let database = token.home.path("token.sql");
        let text = format!("[[slots]]\nslot = 0\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", database.display());
        fs::write(token.home.path("token.conf"), text).unwrap();
        token.initialise();
        token
    }

    /// One without.
    pub(crate) fn without_ml_dsa() -> Self {
        let token = Self { home: Home::new(), module: SOFTHSM.into() };
        let folder = token.home.path("tokens");
        fs::create_dir(&folder).unwrap();
        fs::write(token.home.path("token.conf"), format!("directories.tokendir = {}\n", folder.display())).unwrap();
        token.initialise();
        token
    }

    fn initialise(&self) {
        let slot = ["--slot-index", "0", "--so-pin", SO_PIN];
        self.tool(&[&slot[..], &["--init-token", "--label", LABEL]].concat());
        self.tool(&[&slot[..], &["--login", "--login-type", "so", "--init-pin", "--pin", PIN]].concat());
    }

    fn tool(&self, args: &[&str]) -> Output {
        let mut command = Command::new("pkcs11-tool");
        command.arg("--module").arg(&self.module).args(args);
        let done = self.with_token(&mut command).output().expect("OpenSC's pkcs11-tool is installed");
        assert!(done.status.success(), "{args:?}: {done:?}");
        done
    }

    fn with_token<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("KRYOPTIC_CONF", self.home.path("token.conf"))
            .env("SOFTHSM2_CONF", self.home.path("token.conf"))
            .env("B4AE_TEST_TOKEN_FAULT", self.faults())
            .env("B4AE_TEST_TOKEN_LOG", self.home.path("calls"))
    }

    fn faults(&self) -> PathBuf {
        self.home.path("faults")
    }

    /// Where its module is.
    pub(crate) fn module(&self) -> &str {
        self.module.to_str().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path(name)
    }

    /// The node, with this token's module, and no PIN.
    pub(crate) fn command_without_pin(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        self.with_token(&mut command).env("B4AE_HSM_MODULE", &self.module);
        command
    }

    /// The node, with this token's module and PIN.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_without_pin(args);
        command.env("B4AE_HSM_PIN", PIN);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        Running::start(self.command(args)).outcome()
    }

    /// Makes an identity with its key in the token, in the default place.
    pub(crate) fn keygen(&self) -> Outcome {
        self.run(&["keygen", "--hsm", KEY]).ok()
    }

    /// Listens with the identity in the default place.
    pub(crate) fn serve(&self, args: &[&str]) -> Server {
        Server::start(self.command(&[&SERVE, args].concat()))
    }

    /// From now on, calls of the token's functions go wrong as these lines say.
    pub(crate) fn fail(&self, faults: &str) {
        // Renamed, so that nobody reads half of it.
        let new = self.home.path("faults.new");
        fs::write(&new, faults).unwrap();
        fs::rename(new, self.faults()).unwrap();
    }

    /// From now on, nothing goes wrong.
    pub(crate) fn recover(&self) {
        fs::remove_file(self.faults()).unwrap();
    }

    /// How often a function was called until now, by everybody.
    pub(crate) fn calls(&self, function: &str) -> usize {
        let log = fs::read_to_string(self.home.path("calls")).unwrap_or_default();
        log.lines().filter(|line| *line == function).count()
    }
}

/// Writes a key file that refers to the key `uri` in a token, as none that `keygen` would write: the token has no such
/// key.
pub(crate) fn write_key_file(path: &Path, uri: &str) {
    use data_encoding::BASE64;
    // An open file's keys in postcard: the X25519 key, and the third of the places that an ML-DSA-87 key may be in.
    let mut bytes = vec![0];
    bytes.extend([7; 32]);
    bytes.push(2);
    bytes.push(u8::try_from(uri.len()).ok().filter(|len| *len < 0x80).expect("a short URI"));
    bytes.extend(uri.as_bytes());
    bytes.extend([0xa0, 0x14]);
    bytes.extend([5; 2592]);
    fs::write(path, format!("b4ae-identity-v1\n{}\n", BASE64.encode(&bytes))).unwrap();
    let mut permissions = fs::metadata(path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(path, permissions).unwrap();
}
