//! When a signer tries its PIN.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::session::Session;

use crate::token::{self, PinTries, TokenInfo, is_logged_in};
use crate::workers::now;
use crate::{HsmError, Pin};

/// The pause after a login that failed without a word about the PIN. The next is twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The PIN of one signer.
pub(crate) struct Login {
    state: Mutex<State>,
    /// Held during a login, so that a PIN that is refused is tried by one thread, once.
    turn: Mutex<()>,
}

struct State {
    pin: Pin,
    /// Counts PINs: what comes of an earlier one says nothing about this one.
    number: u64,
    /// Why this one is not tried now.
    held_back: Option<HeldBack>,
}

struct HeldBack {
    error: HsmError,
    /// Without one, until there is another PIN.
    pause: Option<Pause>,
}

/// A token may count a try without saying that the PIN is wrong.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
    /// What the token said before the try.
    tries: PinTries,
}

impl Login {
    pub(crate) fn new(pin: Pin) -> Self {
        Self { state: Mutex::new(State { pin, number: 0, held_back: None }), turn: Mutex::new(()) }
    }

    /// Takes another PIN, which may be tried at once.
    pub(crate) fn set_pin(&self, pin: Pin) {
        let mut state = self.state();
        let number = state.number + 1;
        *state = State { pin, number, held_back: None };
    }

    /// Logs `session` in, unless it is, with the PIN, unless that is held back.
    pub(crate) fn log_in(&self, session: &Session, token: &TokenInfo) -> Result<(), HsmError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if is_logged_in(session) {
            return Ok(());
        }
        // A copy, which is wiped: the lock is not held while the token thinks.
        let (pin, number) = self.state().take(token.pin_tries, &token.name())?;
        if token.pin_tries == PinTries::FinalTry {
            return Err(HsmError::PinFinalTry { token: token.name() });
        }
        let result = token::login(session, token, Some(&pin));
        self.state().note(number, result.as_ref().err(), token.pin_tries);
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The PIN, if it may be tried now, when `token` says `tries`.
    fn take(&mut self, tries: PinTries, token: &str) -> Result<(Pin, u64), HsmError> {
        if let Some(held) = &mut self.held_back {
            match held.pause {
                // That was our try: it was the PIN.
                Some(pause) if pause.tries == PinTries::Unspent && tries == PinTries::SomeSpent => {
                    *held = HeldBack { error: HsmError::PinIncorrect { token: token.to_owned() }, pause: None };
                    return Err(held.error.clone());
                }
                Some(pause) if pause.until <= now() => {}
                _ => return Err(held.error.clone()),
            }
        }
        Ok((self.pin.copy(), self.number))
    }

    /// What came of the PIN with this number.
    fn note(&mut self, number: u64, error: Option<&HsmError>, tries: PinTries) {
        if number != self.number {
            return;
        }
        match error {
            None => self.held_back = None,
            Some(error) if error.refuses_the_pin() => {
                self.held_back = Some(HeldBack { error: error.clone(), pause: None });
            }
            Some(error @ HsmError::LoginFailed { .. }) => {
                let last = self.held_back.as_ref().and_then(|held| held.pause);
                let length = last.map_or(FIRST_PAUSE, |last| (last.length * 2).min(LONGEST_PAUSE));
                let pause = Some(Pause { until: now() + length, length, tries });
                self.held_back = Some(HeldBack { error: error.clone(), pause });
            }
            // The PIN did not reach the token.
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> HsmError {
        use cryptoki::context::Function;
        use cryptoki::error::{Error, RvError};
        HsmError::of(&Error::Pkcs11(RvError::FunctionFailed, Function::Login), "a token")
    }

    #[test]
    fn pauses_grow_to_five_minutes() {
        let login = Login::new(Pin::try_from("1".to_owned()).unwrap());
        let mut state = login.state();
        let mut lengths = Vec::new();
        for _ in 0..11 {
            state.note(0, Some(&failed()), PinTries::Unspent);
            let pause = state.held_back.as_ref().unwrap().pause.unwrap();
            lengths.push(pause.length.as_secs());
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        state.note(0, None, PinTries::Unspent);
        assert!(state.held_back.is_none());
    }

    /// It said nothing clear, and says that a wrong PIN has been tried: that was it.
    #[test]
    fn a_login_that_the_token_counted_is_not_repeated() {
        let login = Login::new(Pin::try_from("1".to_owned()).unwrap());
        let mut state = login.state();
        state.note(0, Some(&failed()), PinTries::Unspent);
        for tries in [PinTries::SomeSpent, PinTries::SomeSpent, PinTries::Unspent] {
            assert!(matches!(state.take(tries, "a token"), Err(HsmError::PinIncorrect { .. })));
        }
    }

    #[test]
    fn what_comes_of_an_earlier_pin_holds_no_other_back() {
        let login = Login::new(Pin::try_from("1".to_owned()).unwrap());
        login.set_pin(Pin::try_from("2".to_owned()).unwrap());
        for error in [failed(), HsmError::PinIncorrect { token: "a token".to_owned() }] {
            login.state().note(0, Some(&error), PinTries::Unspent);
            assert!(login.state().held_back.is_none());
            login.state().note(1, Some(&error), PinTries::Unspent);
            assert!(login.state().held_back.is_some());
            login.state().held_back = None;
        }
    }
}
