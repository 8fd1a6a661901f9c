//! Sessions with a token in which a key can be used: kept for the next signature, and made anew when they are lost.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use crate::module::Module;
use crate::token::{PinTries, TokenInfo, is_logged_in, login};
use crate::{HsmError, Pin, Pkcs11Uri, capabilities, key};

/// The sessions of one signer.
pub(crate) struct Connections {
    module: Module,
    uri: Pkcs11Uri,
    state: Mutex<State>,
    pin: Mutex<PinState>,
    /// Held during a login, so that a PIN that is refused is tried by one thread, once.
    login: Mutex<()>,
}

struct State {
    idle: Vec<Connection>,
    /// Counts losses; a connection belongs to the generation it was made in.
    generation: u64,
    /// Connections of generations before this one have handles that may be somebody else's by now.
    void_before: u64,
}

struct PinState {
    pin: Pin,
    /// Why it is not tried any more.
    refused: Option<HsmError>,
}

/// A session that is logged in, and the key in it. It is not closed when it is dropped: [`Connections::discard`] knows
/// whether its handle is still its own.
pub(crate) struct Connection {
    pub(crate) session: Session,
    pub(crate) key: ObjectHandle,
    pub(crate) token: TokenInfo,
    generation: u64,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Connections {
    pub(crate) fn new(uri: &Pkcs11Uri, pin: Pin) -> Result<Self, HsmError> {
        Ok(Self {
            module: Module::load(uri)?,
            uri: uri.clone(),
            state: Mutex::new(State { idle: Vec::new(), generation: 0, void_before: 0 }),
            pin: Mutex::new(PinState { pin, refused: None }),
            login: Mutex::new(()),
        })
    }

    /// Takes another PIN, and tries it when the next connection is made.
    pub(crate) fn set_pin(&self, pin: Pin) {
        *self.pin_state() = PinState { pin, refused: None };
    }

    /// Runs `operation` in a session. If the session or the token is lost, connects anew and runs it once more.
    pub(crate) fn with<T>(&self, operation: impl Fn(&Connection) -> Result<T, HsmError>) -> Result<T, HsmError> {
        let (error, generation) = match self.once(&operation) {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        if !error.is_worth_a_retry() {
            return Err(error);
        }
        self.forget(&error, generation);
        if self.module.initialise()? {
            self.void();
        }
        self.once(&operation).map_err(|(error, _)| error)
    }

    /// Runs `operation` in a session; on failure says in which generation.
    fn once<T>(&self, operation: impl Fn(&Connection) -> Result<T, HsmError>) -> Result<T, (HsmError, u64)> {
        let (idle, generation) = {
            let mut state = self.state();
            (state.idle.pop(), state.generation)
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect(generation).map_err(|error| (error, generation))?,
        };
        match operation(&connection) {
            Ok(done) => {
                self.put_back(connection);
                Ok(done)
            }
            Err(error) => {
                // Whatever went wrong, an operation may have stayed active in it, and nothing cancels that.
                if error.voids_handles() {
                    drop(connection);
                } else {
                    self.discard(connection);
                }
                Err((error, generation))
            }
        }
    }

    fn connect(&self, generation: u64) -> Result<Connection, HsmError> {
        let turn = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refused) = &self.pin_state().refused {
            return Err(refused.clone());
        }
        let (slot, token) = self.module.token(&self.uri)?;
        let session =
            self.module.context.open_ro_session_no_drop(slot).map_err(|error| HsmError::of(&error, &token.name()))?;
        let logged_in = self.login(&session, &token);
        drop(turn);
        match logged_in.and_then(|()| key::find_one(&session, &self.uri, &token)) {
            Ok(key) => Ok(Connection { session, key, token, generation }),
            // Where there are no such keys at all, that is what there is to say.
            Err(missing @ HsmError::NoKey { .. }) => {
                close(session);
                capabilities::require(&self.module.context, slot, &token, &[capabilities::SIGNS]).and(Err(missing))
            }
            Err(error) => {
                if !error.voids_handles() {
                    close(session);
                }
                Err(error)
            }
        }
    }

    fn login(&self, session: &Session, token: &TokenInfo) -> Result<(), HsmError> {
        if is_logged_in(session) {
            return Ok(());
        }
        if token.pin_tries == PinTries::FinalTry {
            return Err(HsmError::PinFinalTry { token: token.name() });
        }
        // A copy, which is wiped: the lock is not held while the token thinks.
        let pin = self.pin_state().pin.copy();
        let result = login(session, token, Some(&pin));
        if let Err(error @ (HsmError::PinIncorrect { .. } | HsmError::PinLocked { .. } | HsmError::PinExpired { .. })) =
            &result
        {
            self.pin_state().refused = Some(error.clone());
        }
        result
    }

    fn put_back(&self, connection: Connection) {
        let mut state = self.state();
        if connection.generation == state.generation {
            state.idle.push(connection);
        } else {
            drop(state);
            self.discard(connection);
        }
    }

    /// Closes a session, unless its handle may be another's: modules number from one again after `C_Initialize`.
    fn discard(&self, connection: Connection) {
        if connection.generation >= self.state().void_before {
            close(connection.session);
        }
    }

    /// Gives up every idle session after a loss in `generation`, unless that was done already.
    fn forget(&self, error: &HsmError, generation: u64) {
        let idle = {
            let mut state = self.state();
            if state.generation != generation {
                return;
            }
            state.generation += 1;
            if error.voids_handles() {
                state.void_before = state.generation;
            }
            std::mem::take(&mut state.idle)
        };
        for connection in idle {
            self.discard(connection);
        }
    }

    /// No handle from before means anything.
    fn void(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.void_before = state.generation;
        state.idle.clear();
    }

    /// No lock of this one's is held while the token is called.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pin_state(&self) -> MutexGuard<'_, PinState> {
        self.pin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut self.state().idle);
        for connection in idle {
            self.discard(connection);
        }
    }
}

fn close(session: Session) {
    // A session that cannot be closed is not one any more.
    let _ = session.close();
}
