//! Key files: private, kept, sealed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::run::{Home, Running, mode};

fn write_private(path: &Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_new_key_file_is_private_and_names_the_same_identity_ever_after() {
    let home = Home::new();
    let made = home.run(&["keygen"]).ok();
    assert_eq!(mode(&home.key()), 0o600);
    assert_eq!(mode(home.key().parent().unwrap()), 0o700);
    let fingerprint = made.out.trim();
    let id = home.run(&["id", "--host", "node.example.org", "--port", "4000"]).ok();
    assert!(id.out.contains(&format!("fingerprint  {fingerprint}\n")), "{id:#?}");
    assert!(id.out.contains(&format!("address      b4ae://node.example.org:4000#{fingerprint}\n")), "{id:#?}");
    assert!(id.out.contains("█▀"), "a QR code: {id:#?}");
}

#[test]
fn two_identities_differ() {
    let home = Home::new();
    let path = home.path("second");
    let first = home.run(&["keygen"]).ok();
    let second = home.run(&["keygen", "-o", path.to_str().unwrap()]).ok();
    assert_ne!(first.out, second.out);
}

#[test]
fn a_key_file_is_private_even_under_a_careless_umask() {
    let home = Home::new();
    let path = home.path("careless.key");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\" keygen -o \"$1\"", env!("CARGO_BIN_EXE_b4ae")]).arg(&path);
    assert!(shell.output().unwrap().status.success());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn an_existing_key_file_is_replaced_only_by_force() {
    let home = Home::with_key();
    let before = fs::read(home.key()).unwrap();
    home.run(&["keygen"]).fails(4, &["already", "--force", home.key().to_str().unwrap()]);
    assert_eq!(fs::read(home.key()).unwrap(), before);
    home.run(&["keygen", "--force"]).ok();
    assert_ne!(fs::read(home.key()).unwrap(), before);
    assert_eq!(mode(&home.key()), 0o600);
    let left = fs::read_dir(home.key().parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "no temporary file is left");
}

#[test]
fn a_sealed_key_file_opens_to_its_passphrase_alone() {
    let home = Home::new();
    let (right, wrong) = (home.path("right"), home.path("wrong"));
    write_private(&right, "correct horse\n");
    write_private(&wrong, "battery staple\n");
    let (right, wrong) = (right.to_str().unwrap(), wrong.to_str().unwrap());
    let made = home.run(&["keygen", "--passphrase-file", right]).ok();
    let id = home.run(&["id", "--no-qr", "--passphrase-file", right]).ok();
    assert!(id.out.contains(made.out.trim()));
    home.run(&["id", "--passphrase-file", wrong]).fails(5, &["passphrase does not open", "identity.key"]);
    home.run(&["id"]).fails(5, &["needs a passphrase", "B4AE_PASSPHRASE", "--passphrase-file"]);
    let mut command = home.command(&["id", "--no-qr"]);
    command.env("B4AE_PASSPHRASE", "correct horse");
    let id = Running::start(command).outcome().ok();
    assert!(id.out.contains(made.out.trim()));
}

#[test]
fn a_passphrase_in_the_environment_seals_a_new_key_file() {
    let home = Home::new();
    let mut command = home.command(&["keygen"]);
    command.env("B4AE_PASSPHRASE", "correct horse");
    Running::start(command).outcome().ok();
    home.run(&["id"]).fails(5, &["needs a passphrase"]);
}

#[test]
fn an_unfit_passphrase_makes_no_key_file() {
    let home = Home::new();
    home.run(&["keygen", "--passphrase"]).fails(5, &["needs a passphrase"]);
    let path = home.path("empty");
    write_private(&path, "\n");
    home.run(&["keygen", "--passphrase-file", path.to_str().unwrap()]).fails(5, &["is empty"]);
    write_private(&path, "x".repeat(1025));
    home.run(&["keygen", "--passphrase-file", path.to_str().unwrap()]).fails(5, &["longer than 1024"]);
    assert!(!home.key().exists());
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let home = Home::with_key();
    for open in [0o640, 0o604, 0o620, 0o602] {
        fs::set_permissions(home.key(), fs::Permissions::from_mode(open)).unwrap();
        home.run(&["id"]).fails(4, &["by others", &format!("{open:04o}"), "chmod 600"]);
    }
    fs::set_permissions(home.key(), fs::Permissions::from_mode(0o400)).unwrap();
    home.run(&["id"]).ok();
}

#[test]
fn what_is_not_a_key_file_is_refused() {
    let home = Home::with_key();
    let good = fs::read(home.key()).unwrap();
    let path = home.path("bad.key");
    for bad in [b"".as_slice(), b"ssh-ed25519 AAAA", &good[1..], &[&good[..], b"\n"].concat()] {
        write_private(&path, bad);
        home.run(&["id", "--key", path.to_str().unwrap()]).fails(4, &["not a b4ae key file", "bad.key"]);
    }
    let folder = home.path("data");
    home.run(&["id", "--key", folder.to_str().unwrap()]).fails(4, &["directory"]);
}

#[test]
fn a_missing_key_file_is_named() {
    let home = Home::new();
    for command in ["id", "serve"] {
        home.run(&[command]).fails(4, &["no key file", home.key().to_str().unwrap(), "b4ae keygen"]);
    }
}

#[test]
fn a_host_that_is_none_is_refused() {
    let home = Home::with_key();
    for host in ["", "two words", "a/b", "user@host"] {
        home.run(&["id", "--host", host]).fails(2, &["not a host name"]);
    }
    let id = home.run(&["id", "--no-qr", "--host", "[2001:db8::1]"]).ok();
    assert!(id.out.contains("b4ae://[2001:db8::1]:46254#"));
}
