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
    home.run(&["id", "--passphrase-file", wrong]).fails(5, &["does not open the key file", "identity.key"]);
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
    home.run(&["id", "--no-qr", "--host", &"x".repeat(254)]).fails(2, &["--host", "253"]);
    home.run(&["id", "--no-qr", "--host", &"x".repeat(253)]).ok();
    let id = home.run(&["id", "--no-qr", "--host", "[2001:db8::1]"]).ok();
    assert!(id.out.contains("b4ae://[2001:db8::1]:46254#"));
}

#[test]
fn a_passphrase_file_that_cannot_be_used_is_not_taken_for_a_key_file() {
    let home = Home::new();
    let path = home.path("pass");
    let args = ["keygen", "--passphrase-file", path.to_str().unwrap()];
    let says = |words: &[&str]| {
        let outcome = home.run(&args);
        outcome.fails(5, &[&["passphrase file", path.to_str().unwrap()], words].concat());
        assert!(!outcome.err.contains("key file") && !outcome.err.contains("identity"), "{outcome:#?}");
    };
    says(&["there is no such file", "--passphrase-file"]);
    fs::write(&path, "correct horse").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    says(&["by others", "0644", "chmod 600", "choose another passphrase"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    says(&["directory"]);
}

#[test]
fn a_passphrase_is_called_by_where_it_comes_from() {
    let home = Home::new();
    let with = |args: &[&str], passphrase: &str| {
        let mut command = home.command(args);
        command.env("B4AE_PASSPHRASE", passphrase);
        Running::start(command).outcome()
    };
    with(&["keygen"], "").fails(5, &["the passphrase in B4AE_PASSPHRASE is empty"]);
    with(&["keygen"], &"x".repeat(1025)).fails(5, &["B4AE_PASSPHRASE is longer"]);
    with(&["keygen"], "correct horse").ok();
    with(&["id"], "battery staple").fails(5, &["the passphrase in B4AE_PASSPHRASE does not open", "identity.key"]);
    let path = home.path("wrong");
    write_private(&path, "battery staple");
    home.run(&["id", "--passphrase-file", path.to_str().unwrap()])
        .fails(5, &[&format!("in the file {}", path.display())]);
}

#[test]
fn what_is_no_file_is_not_replaced_by_a_key_file_even_by_force() {
    let home = Home::new();
    for place in [home.path("."), "/dev/null".into()] {
        for args in [&["keygen", "-o"][..], &["keygen", "--force", "-o"]] {
            let outcome = home.run(&[args, &[place.to_str().unwrap()]].concat());
            outcome.fails(4, &["directory, a device", "-o"]);
            assert!(!outcome.err.contains("--force"), "{outcome:#?}");
        }
    }
}

#[test]
fn by_force_what_a_link_leads_to_is_replaced() {
    let home = Home::with_key();
    let link = home.path("link");
    std::os::unix::fs::symlink(home.key(), &link).unwrap();
    let before = fs::read(home.key()).unwrap();
    home.run(&["keygen", "-o", link.to_str().unwrap()]).fails(4, &["already"]);
    home.run(&["keygen", "--force", "-o", link.to_str().unwrap()]).ok();
    assert!(link.is_symlink());
    assert_ne!(fs::read(home.key()).unwrap(), before, "the old keys are gone");
}

#[test]
fn a_place_that_cannot_be_written_to_is_named_as_it_was_given() {
    let home = Home::new();
    let path = "/proc/b4ae.key";
    let outcome = home.run(&["keygen", "-o", path]);
    outcome.fails(4, &["cannot write the key file /proc/b4ae.key:", "-o"]);
    assert!(!outcome.err.contains(".b4ae-key."), "{outcome:#?}");
}

#[test]
fn one_identity_takes_the_place_of_another() {
    let home = Home::with_key();
    let old = home.run(&["id", "--no-qr", "--host", "h"]).ok();
    let path = home.path("new.key");
    let new = home.run(&["keygen", "-o", path.to_str().unwrap()]).ok();
    let made = home.run(&["rotation", "make", "--to", path.to_str().unwrap()]).ok();
    let statement = home.path("statement");
    fs::write(&statement, &made.out).unwrap();
    let shown = home.run(&["rotation", "show", statement.to_str().unwrap()]).ok();
    let fingerprint = |line: &str| line.split_whitespace().nth(1).unwrap().to_owned();
    let lines: Vec<&str> = shown.out.lines().collect();
    assert_eq!(fingerprint(lines[0]), fingerprint(old.out.lines().next().unwrap()));
    assert_eq!(fingerprint(lines[1]), new.out.trim());
    assert!(lines[2].starts_with("from   20") && lines[3].starts_with("until  20"), "{shown:#?}");
    home.run(&["rotation", "make", "--to", home.key().to_str().unwrap()]).fails(15, &["are the same"]);
    home.run(&["rotation", "show", home.path("none").to_str().unwrap()]).fails(1, &["none"]);
}
