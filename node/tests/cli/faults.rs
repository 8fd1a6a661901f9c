//! Tokens that fail while a node serves with a key in them. Whatever becomes of the token, a session that was open
//! before loses no slot, and mode A is as ever.

use rustix::process::Signal;
use serde_json::Value;

use crate::run::{Home, Outcome, Running, Server};
use crate::token::{KEY, Token};

/// Ten slots a second: a machine that is busy with other tests keeps them, a loop that waits for a token does not.
const SCHEDULE: [&str; 4] = ["--rate", "10", "--sessions", "8"];
/// How long somebody tries whose handshake will fail.
const IN_VAIN: &str = "6";

/// A node with its key in a token, and a peer who has had a session with it since before anything went wrong.
struct Scene {
    token: Token,
    server: Server,
    bystander: Running,
    others: Home,
}

impl Scene {
    fn begin() -> Self {
        let token = Token::new();
        token.keygen();
        let server = token.serve(&SCHEDULE);
        let others = Home::new();
        let args = ["send", "--mode", "b", "--rate", "10", &server.uri, "-"];
        let bystander = Running::start(others.command_with_stdin(&args));
        let mut scene = Self { token, server, bystander, others };
        scene.bystander_is_heard("before");
        scene
    }

    fn bystander_is_heard(&mut self, text: &str) {
        self.bystander.say(format!("{text}\n").as_bytes());
        self.message(text);
    }

    #[track_caller]
    fn message(&self, text: &str) {
        assert_eq!(self.server.next_of("message")["text"], text);
    }

    fn send(&self, mode: &str, text: &str, more: &[&str]) -> Outcome {
        self.others.run(&[&["send", "--mode", mode, "--rate", "10", &self.server.uri, text], more].concat())
    }

    /// A new handshake in mode B succeeds.
    #[track_caller]
    fn signs(&self, text: &str) {
        self.send("b", text, &[]).ok();
        self.message(text);
    }

    /// A new handshake in mode B fails.
    #[track_caller]
    fn does_not_sign(&self) {
        self.send("b", "nobody hears this", &["--timeout", IN_VAIN]).fails(6, &["no answer"]);
    }

    /// The node says that the token is lost, and why.
    #[track_caller]
    fn is_told_lost(&self, why: &str) {
        let lost = self.server.next_of("token_lost");
        assert!(lost["reason"].as_str().unwrap().contains(why), "{why:?} in {lost}");
        let line = self.server.running.err_with("new handshakes in mode B fail");
        assert!(line.contains(why), "{why:?} in {line:?}");
    }

    /// The node says that the token is back, though nobody has come.
    #[track_caller]
    fn is_told_back(&self) {
        self.server.next_of("token_back");
        self.server.running.err_with("the token is back");
    }

    /// Mode A and the bystander are as ever, and no slot was skipped; then it ends. The rest of the events.
    #[track_caller]
    fn all_else_is_well(mut self) -> Vec<Value> {
        self.send("a", "in mode A", &[]).ok();
        self.message("in mode A");
        self.bystander_is_heard("after");
        self.bystander.hang_up();
        self.bystander.outcome().ok();
        self.server.running.signal(Signal::TERM);
        let ended = self.server.running.outcome().ok();
        let events: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let stopped = events.last().unwrap();
        assert_eq!((&stopped["event"], &stopped["slots_skipped"]), (&"stopped".into(), &0.into()), "{events:#?}");
        assert!(stopped["slots_sent"].as_u64() > Some(10), "{stopped}");
        events
    }
}

/// A fault that happens once is nobody's business.
fn is_not_noticed(fault: &str) {
    let scene = Scene::begin();
    scene.token.fail(fault);
    scene.signs("in spite of it");
    let events = scene.all_else_is_well();
    assert!(!events.iter().any(|event| event["event"] == "token_lost"), "{events:#?}");
}

/// A fault that lasts ends mode B until it is over.
fn is_told(fault: &str, why: &str) {
    let scene = Scene::begin();
    scene.token.fail(fault);
    scene.does_not_sign();
    scene.is_told_lost(why);
    scene.token.recover();
    scene.is_told_back();
    scene.signs("as before");
    scene.all_else_is_well();
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn device_removed_and_back() {
    is_told("* CKR_DEVICE_REMOVED", "CKR_DEVICE_REMOVED");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn session_invalid() {
    is_not_noticed("C_SignInit CKR_SESSION_HANDLE_INVALID 1");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn not_logged_in() {
    is_not_noticed("C_SignInit CKR_USER_NOT_LOGGED_IN 1");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn key_handle_invalid() {
    is_not_noticed("C_SignInit CKR_KEY_HANDLE_INVALID 1");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn device_error_once() {
    is_not_noticed("C_Sign CKR_DEVICE_ERROR 1");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn device_error_that_lasts() {
    is_told("C_Sign CKR_DEVICE_ERROR", "CKR_DEVICE_ERROR");
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn wrong_pin_at_the_start() {
    let token = Token::new();
    token.keygen();
    let before = token.calls("C_Login");
    let mut command = token.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("B4AE_HSM_PIN", "271828");
    let outcome = Running::start(command).outcome();
    outcome.fails(5, &["refused the PIN", "once only"]);
    assert!(!outcome.err.contains("271828"), "{outcome:#?}");
    assert_eq!(token.calls("C_Login") - before, 1);
}

/// The PIN was changed while the node was running, and then the login was lost.
#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn wrong_pin_is_tried_once_however_many_handshakes_fail() {
    let scene = Scene::begin();
    let before = scene.token.calls("C_Login");
    scene.token.fail("C_SignInit CKR_USER_NOT_LOGGED_IN\nC_Login CKR_PIN_INCORRECT");
    scene.does_not_sign();
    scene.is_told_lost("refused the PIN");
    scene.does_not_sign();
    assert_eq!(scene.token.calls("C_Login") - before, 1);
    scene.all_else_is_well();
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn locked_pin() {
    let scene = Scene::begin();
    scene.token.fail("C_SignInit CKR_USER_NOT_LOGGED_IN\nC_Login CKR_PIN_LOCKED");
    scene.does_not_sign();
    scene.is_told_lost("is locked");
    let start = scene.token.run(&["serve", "--listen", "127.0.0.1:0"]);
    start.fails(5, &["is locked", "security officer"]);
    scene.all_else_is_well();
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn token_full() {
    let scene = Scene::begin();
    scene.token.fail("C_GenerateKeyPair CKR_DEVICE_MEMORY");
    let path = scene.token.path("second.key");
    let second = KEY.replace("node", "second");
    scene.token.run(&["keygen", "--hsm", &second, "-o", path.to_str().unwrap()]).fails(14, &["is full"]);
    assert!(!path.exists());
    scene.signs("there is room for that");
    scene.all_else_is_well();
}

#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn slow_token() {
    let mut scene = Scene::begin();
    scene.token.fail("C_Sign delay 2000");
    // It waits for the token, and nobody waits for it.
    let args = ["send", "--mode", "b", "--rate", "10", &scene.server.uri, "at last"];
    let patient = Running::start(scene.others.command(&args));
    scene.bystander_is_heard("meanwhile");
    scene.send("a", "meanwhile in mode A", &[]).ok();
    scene.message("meanwhile in mode A");
    patient.outcome().ok();
    scene.message("at last");
    scene.all_else_is_well();
}

/// Not even an error comes back.
#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn token_dead_for_good() {
    let scene = Scene::begin();
    scene.token.fail("* hang");
    scene.does_not_sign();
    scene.does_not_sign();
    scene.is_told_lost("answer");
    // And the node can be stopped.
    scene.all_else_is_well();
}

/// Nor is the end waited for, which closes sessions with it.
#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn token_dead_while_nobody_asked_it() {
    let scene = Scene::begin();
    scene.token.fail("* hang");
    scene.all_else_is_well();
}

/// A signature is under way when the node is stopped: it ends first, and the process ends as ever.
#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn stopped_while_the_token_signs() {
    let scene = Scene::begin();
    scene.token.fail("C_Sign delay 2000");
    let args = ["send", "--mode", "b", "--rate", "10", "--timeout", IN_VAIN, &scene.server.uri, "too late"];
    let before = scene.token.calls("C_Sign");
    let _caller = Running::start(scene.others.command(&args));
    while scene.token.calls("C_Sign") == before {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    scene.server.running.signal(Signal::TERM);
    let ended = scene.server.running.outcome().ok();
    assert!(ended.out.lines().last().unwrap().contains("\"event\":\"stopped\""), "{ended:#?}");
}
