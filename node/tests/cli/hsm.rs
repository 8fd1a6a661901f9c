//! Identities whose ML-DSA-87 key is in a token.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::run::{Home, Running};
use crate::token::{KEY, LABEL, PIN, TOKEN, Token, write_key_file};

const NEEDS: &str = "this token has no ML-DSA";

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn both_sides_sign_with_keys_that_are_in_tokens() {
    let (server, client) = (Token::new(), Token::new());
    let made = server.keygen();
    let fingerprint = made.out.trim();
    let peer = client.keygen().out.trim().to_owned();
    let node = server.serve(&["--mode", "b", "--rate", "200", "--allow", &peer]);
    assert!(node.uri.ends_with(fingerprint), "{} of {fingerprint}", node.uri);
    let before = client.calls("C_Sign");
    client.run(&["send", "--mode", "b", &node.uri, "signed twice"]).ok();
    assert!(client.calls("C_Sign") > before, "the client's token signs");
    let opened = node.next_of("session_opened");
    assert_eq!((opened["mode"].as_str(), opened["peer"].as_str()), (Some("b"), Some(peer.as_str())));
    assert_eq!(node.next_of("message")["text"], "signed twice");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn an_identity_is_told_without_its_token_and_its_pin() {
    let token = Token::new();
    let made = token.keygen();
    let home = Home::new();
    let key = token.path("data/b4ae/identity.key");
    let id = home.run(&["id", "--no-qr", "--host", "h", "--key", key.to_str().unwrap()]).ok();
    assert!(id.out.contains(made.out.trim()), "{id:#?}");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn mode_a_works_while_the_token_is_away() {
    let token = Token::new();
    token.keygen();
    token.fail("* CKR_DEVICE_REMOVED");
    let node = token.serve(&["--mode", "a", "--rate", "200"]);
    Home::new().run(&["send", "--mode", "a", &node.uri, "deniable"]).ok();
    assert_eq!(node.next_of("message")["text"], "deniable");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn keygen_makes_a_key_or_takes_the_one_that_is_there() {
    let token = Token::new();
    let first = token.keygen();
    assert!(first.err.contains("made the key node"), "{first:#?}");
    let path = token.path("second.key");
    let second = token.run(&["keygen", "--hsm", KEY, "-o", path.to_str().unwrap()]).ok();
    assert!(second.err.contains("using the key node"), "{second:#?}");
    assert_ne!(first.out, second.out, "the X25519 keys differ");
    let listed = token.run(&["hsm", "list", TOKEN, "--json"]).ok();
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let keys = listed["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1, "{listed:#}");
    for (attribute, is) in
        [("sensitive", true), ("always_sensitive", true), ("extractable", false), ("never_extractable", true)]
    {
        assert_eq!(keys[0][attribute], is, "{attribute} in {listed:#}");
    }
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn another_key_under_the_same_name_is_not_taken_for_the_identity() {
    let token = Token::new();
    token.run(&["hsm", "generate", KEY]).ok();
    let path = token.path("forged.key");
    write_key_file(&path, KEY);
    let args = ["serve", "--listen", "127.0.0.1:0", "--key", path.to_str().unwrap()];
    token.run(&args).fails(14, &["is not the key that the key file", "forged.key was made with"]);
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn a_pin_comes_from_a_file_a_credential_or_the_environment_and_never_from_the_command_line() {
    let token = Token::new();
    token.keygen();
    let test = ["hsm", "test", KEY];
    let says = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = token.command_without_pin(args);
        command.envs(variables.iter().copied());
        Running::start(command).outcome()
    };
    says(&test, &[]).fails(5, &["needs a PIN", "B4AE_HSM_PIN", "--pin-file", "b4ae-hsm-pin"]);
    says(&test, &[("B4AE_HSM_PIN", PIN)]).ok();

    let (file, folder) = (token.path("pin"), token.path("credentials"));
    fs::write(&file, format!("{PIN}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::copy(&file, folder.join("b4ae-hsm-pin")).unwrap();
    // What the service manager guards with an access list looks like this.
    fs::set_permissions(folder.join("b4ae-hsm-pin"), fs::Permissions::from_mode(0o440)).unwrap();
    let (file, folder) = (file.to_str().unwrap(), folder.to_str().unwrap());
    says(&[&test[..], &["--pin-file", file]].concat(), &[]).ok();
    says(&["hsm", "test", &format!("{KEY}?pin-source=file:{file}")], &[]).ok();
    says(&test, &[("CREDENTIALS_DIRECTORY", folder)]).ok();
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    says(&[&test[..], &["--pin-file", file]].concat(), &[]).fails(5, &["PIN file", "by others", "another PIN"]);

    let refused = says(&["hsm", "test", &format!("{KEY}?pin-value=271828")], &[]);
    refused.fails(2, &["pin-value"]);
    assert!(!refused.err.contains("271828"), "{refused:#?}");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn a_key_is_destroyed_by_its_exact_id_and_not_unasked() {
    let token = Token::new();
    let uri = |id: &str| format!("{TOKEN};id={id}");
    let named = format!("{KEY};id=%01%02");
    token.run(&["hsm", "generate", &named]).ok();
    token.run(&["hsm", "destroy", KEY, "--yes"]).fails(2, &["by its id"]);
    token.run(&["hsm", "destroy", &uri("%01"), "--yes"]).fails(14, &["no ML-DSA private key"]);
    token.run(&["hsm", "destroy", &uri("%01%02")]).fails(2, &["nobody is there to ask", "--yes"]);
    token.run(&["hsm", "test", KEY]).ok();
    let done = token.run(&["hsm", "destroy", &uri("%01%02"), "--yes"]).ok();
    assert!(done.err.contains("destroyed pkcs11:") && done.err.contains("object=node"), "{done:#?}");
    token.run(&["hsm", "test", KEY]).fails(14, &["no ML-DSA private key"]);
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn what_a_token_can_do_is_reported() {
    let token = Token::new();
    token.keygen();
    let people = token.run(&["hsm", "test", KEY]).ok();
    for words in ["CKM_ML_DSA, signs", "the signature verifies", "ms in the median", "not extractable", "object=node"] {
        assert!(people.out.contains(words), "{words:?} in {people:#?}");
    }
    let report = token.run(&["hsm", "test", TOKEN, "--json"]).ok();
    let report: Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!((&report["signs"], &report["key"]), (&Value::Bool(true), &Value::Null), "{report:#}");
    assert_eq!(report["token"]["label"], LABEL);
    let listed: Value = serde_json::from_str(&token.run(&["hsm", "list", TOKEN, "--json"]).ok().out).unwrap();
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(1), "the key made for the test is gone: {listed:#}");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn the_bench_measures_every_number_of_sessions() {
    let token = Token::new();
    token.keygen();
    let bench = token.run(&["hsm", "bench", KEY, "--seconds", "1", "--sessions", "2", "--json"]).ok();
    let bench: Value = serde_json::from_str(&bench.out).unwrap();
    let rows = bench["bench"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["sessions"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert!(rows.iter().all(|row| row["signatures"].as_u64() > Some(0)), "{bench:#}");
}

#[test]
#[ignore = "needs SoftHSM2: scripts/check hsm"]
fn a_token_without_ml_dsa_is_called_so() {
    let token = Token::without_ml_dsa();
    token.run(&["hsm", "generate", KEY]).fails(14, &[NEEDS, "PKCS#11 3.2"]);
    token.run(&["keygen", "--hsm", KEY]).fails(14, &[NEEDS]);
    let test = token.run(&["hsm", "test", TOKEN]);
    test.fails(14, &[NEEDS]);
    assert!(test.out.contains("none for ML-DSA"), "{test:#?}");
    let list = token.run(&["hsm", "list", TOKEN]);
    list.fails(14, &[NEEDS]);
    assert!(list.out.contains("SoftHSM"), "{list:#?}");
    let path = token.path("soft.key");
    write_key_file(&path, KEY);
    let at_start = ["serve", "--listen", "127.0.0.1:0", "--key", path.to_str().unwrap()];
    token.run(&at_start).fails(14, &[NEEDS]);
}

#[test]
fn what_names_no_token_is_refused() {
    let home = Home::new();
    home.run(&["hsm", "list"]).fails(14, &["names no module", "module-path"]);
    home.run(&["hsm", "list", "pkcs11:token=a;token=b"]).fails(2, &["token"]);
    home.run(&["hsm", "list", "https://example.org"]).fails(2, &["pkcs11:"]);
    let missing = home.path("none.so");
    home.run(&["hsm", "list", "--module", missing.to_str().unwrap()]).fails(14, &["cannot be loaded", "none.so"]);
    let text = home.path("text.so");
    fs::write(&text, "no library").unwrap();
    home.run(&["hsm", "list", "--module", text.to_str().unwrap()]).fails(14, &["cannot be loaded", "text.so"]);
    home.run(&["hsm", "list", "--module", "relative.so"]).fails(2, &["--module", "absolute"]);
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn a_successor_is_named_by_the_old_key_in_the_token_and_the_old_key_is_destroyed() {
    let token = Token::new();
    let (old, new, statement) = (token.path("old.key"), token.path("new.key"), token.path("statement"));
    let [old, new, statement] = [&old, &new, &statement].map(|path| path.to_str().unwrap());
    let generate = |name: &str, path: &str| {
        let uri = format!("{TOKEN};object={name};id={name}");
        token.run(&["keygen", "--hsm", &uri, "-o", path]).ok().out.trim().to_owned()
    };
    let (first, second) = (generate("old", old), generate("new", new));
    let make = ["rotation", "make", "--key", old, "--to", new, "--days", "7", "-o", statement];

    token.fail("C_Sign CKR_DEVICE_ERROR");
    token.run(&make).fails(14, &["CKR_DEVICE_ERROR"]);
    assert!(!token.path("statement").exists());
    token.recover();
    let before = token.calls("C_Sign");
    token.run(&make).ok();
    assert!(token.calls("C_Sign") >= before + 2, "both keys sign in the token");
    token.run(&make).fails(2, &["already"]);

    // Peers have neither token nor PIN.
    let peer = Home::new();
    let shown = peer.run(&["rotation", "show", statement, "--json"]).ok();
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((&shown["old"], &shown["new"]), (&first.into(), &second.into()));
    assert_eq!(shown["until"].as_u64().unwrap() - shown["from"].as_u64().unwrap(), 7 * 86_400);
    assert_eq!(shown["old_accepted"], true);
    let text = fs::read_to_string(statement).unwrap();
    let forged = token.path("forged");
    fs::write(&forged, text.replace("\nQ", "\nR")).unwrap();
    peer.run(&["rotation", "show", forged.to_str().unwrap()]).fails(15, &["forged", "not a rotation statement"]);

    token.run(&["hsm", "destroy", &format!("{TOKEN};id=old"), "--yes"]).ok();
    token.run(&["rotation", "make", "--key", old, "--to", new]).fails(14, &["no ML-DSA private key"]);
    token.run(&["hsm", "test", &format!("{TOKEN};object=new")]).ok();
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn a_key_is_found_where_the_options_say_that_it_is_now() {
    let token = Token::new();
    let module = token.path("vendor.so");
    std::os::unix::fs::symlink(token.module(), &module).unwrap();
    let module = module.to_str().unwrap();
    token.run(&["keygen", "--hsm", KEY, "--module", module]).ok();
    fs::remove_file(module).unwrap();
    let start = |more: &[&str]| {
        let mut command = token.command(&[&["serve", "--listen", "127.0.0.1:0", "--allow"], more].concat());
        command.env_remove("B4AE_HSM_MODULE");
        Running::start(command).outcome()
    };
    // Nobody's fingerprint: it starts, and then the command line is refused.
    start(&["none"]).fails(2, &["none"]);
    let peer = token.run(&["id", "--no-qr", "--host", "h"]).ok().out.split_whitespace().nth(1).unwrap().to_owned();
    start(&[&peer]).fails(14, &["cannot be loaded", "vendor.so"]);
    for now in [&["--module", token.module()][..], &["--hsm", &format!("{KEY}?module-path={}", token.module())]] {
        let mut command = token.command(&[&["serve", "--listen", "127.0.0.1:0", "--json"], now].concat());
        command.env_remove("B4AE_HSM_MODULE");
        crate::run::Server::start(command);
    }
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn a_pin_is_obtained_once_and_tried_once_whatever_the_command() {
    let token = Token::new();
    let path = token.path("new.key");
    let new = path.to_str().unwrap();
    token.keygen();
    token.run(&["keygen", "--hsm", &format!("{TOKEN};object=new"), "-o", new]).ok();
    let pipe = |pin: &str, args: &str| {
        let mut command = std::process::Command::new("bash");
        let line = format!("exec \"$0\" {args} --pin-file <(echo {pin})");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_b4ae")]);
        for (name, value) in token.command_without_pin(&[]).get_envs() {
            command.env(name, value.unwrap());
        }
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        Running::start(command).outcome()
    };
    pipe(PIN, &format!("hsm test '{KEY}'")).ok();
    pipe(PIN, &format!("keygen --hsm '{TOKEN};object=third' -o '{new}.third'")).ok();
    for args in ["hsm test", "hsm list", "hsm bench", "hsm generate"] {
        let before = token.calls("C_Login");
        pipe("271828", &format!("{args} '{KEY}'")).fails(5, &["refused the PIN"]);
        assert_eq!(token.calls("C_Login") - before, 1, "{args}");
        // All tries are given back.
        token.run(&["hsm", "test", KEY]).ok();
    }
    let before = token.calls("C_Login");
    let mut command = token.command(&["rotation", "make", "--to", new]);
    command.env("B4AE_HSM_PIN", "271828");
    Running::start(command).outcome().fails(5, &["refused the PIN"]);
    assert_eq!(token.calls("C_Login") - before, 1);
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn a_token_that_is_not_there_is_not_mistaken_for_a_missing_pin() {
    let token = Token::new();
    for args in [["hsm", "test"], ["hsm", "list"], ["hsm", "bench"], ["hsm", "generate"], ["keygen", "--hsm"]] {
        let mut command = token.command_without_pin(&args);
        command.arg("pkcs11:token=another;object=node");
        Running::start(command).outcome().fails(14, &["no token matches", "b4ae hsm list"]);
    }
    token.run(&["hsm", "generate", TOKEN]).fails(2, &["names no key", "object="]);
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn the_module_in_another_users_key_file_is_not_loaded() {
    let token = Token::new();
    token.keygen();
    let key = token.path("data/b4ae/identity.key");
    if std::os::unix::fs::chown(&key, Some(12345), None).is_err() {
        // Only root can give a file away, and only root reads such a file.
        return;
    }
    let mut command = token.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env_remove("B4AE_HSM_MODULE");
    Running::start(command).outcome().fails(4, &["another user's", "names a module", "--module"]);
    token.serve(&["--rate", "200"]);
}
