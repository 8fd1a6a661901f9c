//! Sessions with a token in which a key can be used: kept for the next signature, and made anew when they are lost.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use crate::login::Login;
use crate::module::Module;
use crate::token::TokenInfo;
use crate::workers::now;
use crate::{HsmError, Pin, Pkcs11Uri, capabilities, key};

/// The sessions of one signer.
pub(crate) struct Connections {
    module: Module,
    uri: Pkcs11Uri,
    login: Login,
    /// How long one of them is waited for when the token gives no other.
    wait: Duration,
    state: Mutex<State>,
    /// A connection came back, or will not.
    returned: Condvar,
}

struct State {
    idle: Vec<Connection>,
    /// How many are in use or being made.
    in_use: usize,
    /// Counts those that came back, to be used or to be gone.
    returns: u64,
    /// Counts losses; a connection belongs to the generation it was made in.
    generation: u64,
    /// Connections of generations before this one have handles that may be somebody else's by now.
    void_before: u64,
    closed: bool,
}

/// A session that is logged in, and the key in it. It is not closed when it is dropped: [`Connections::discard`] knows
/// whether its handle is still its own.
pub(crate) struct Connection {
    pub(crate) session: Session,
    pub(crate) key: ObjectHandle,
    pub(crate) token: TokenInfo,
    generation: u64,
}

/// A connection that is in use or being made, while this lives.
struct Use<'a>(&'a Connections);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Connections {
    pub(crate) fn new(uri: &Pkcs11Uri, pin: Pin, wait: Duration) -> Result<Self, HsmError> {
        let state = State { idle: Vec::new(), in_use: 0, returns: 0, generation: 0, void_before: 0, closed: false };
        Ok(Self {
            module: Module::load(uri)?,
            uri: uri.clone(),
            login: Login::new(pin),
            wait,
            state: Mutex::new(state),
            returned: Condvar::new(),
        })
    }

    /// Takes another PIN, and tries it when the next connection is made.
    pub(crate) fn set_pin(&self, pin: Pin) {
        self.login.set_pin(pin);
    }

    /// Runs `operation` in a session. If the session or the token is lost, connects anew and runs it once more.
    pub(crate) fn with<T>(&self, operation: impl Fn(&Connection) -> Result<T, HsmError>) -> Result<T, HsmError> {
        let (error, generation) = match self.once(false, &operation) {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        if !error.is_worth_a_retry() {
            return Err(error);
        }
        let alone = error.voids_session() && !error.voids_all_sessions();
        if !alone {
            self.forget(&error, generation);
        }
        if self.module.initialise()? {
            self.void();
        }
        // Where one session is lost, the others may be, each of which would have to be found out.
        self.once(alone, &operation).map_err(|(error, _)| error)
    }

    /// Runs `operation` in a session, made for it if that is to be `new`; on failure says in which generation.
    fn once<T>(&self, new: bool, operation: impl Fn(&Connection) -> Result<T, HsmError>) -> Result<T, (HsmError, u64)> {
        let _use = Use::begin(self);
        let connection = self.take(new)?;
        match operation(&connection) {
            Ok(done) => {
                self.put_back(connection);
                Ok(done)
            }
            Err(error) => {
                let generation = connection.generation;
                // Whatever went wrong, an operation may have stayed active in it, and nothing cancels that.
                if error.voids_session() {
                    drop(connection);
                } else {
                    self.discard(connection);
                }
                Err((error, generation))
            }
        }
    }

    /// A connection that is idle, else a new one, else the next one that comes back.
    fn take(&self, mut new: bool) -> Result<Connection, (HsmError, u64)> {
        let began = now();
        loop {
            let (idle, generation, returns) = {
                let mut state = self.state();
                (if new { None } else { state.idle.pop() }, state.generation, state.returns)
            };
            if let Some(connection) = idle {
                return Ok(connection);
            }
            match self.connect(generation) {
                Err(HsmError::NoSession { .. }) if self.wait_for_return(returns, began) => new = false,
                made => return made.map_err(|error| (error, generation)),
            }
        }
    }

    /// Waits until a connection is idle or one more than `returns` has come back; not if none can.
    fn wait_for_return(&self, returns: u64, began: Instant) -> bool {
        let mut state = self.state();
        // Who waits here has none that others could wait for.
        state.in_use -= 1;
        self.returned.notify_all();
        let has_returned = loop {
            if !state.idle.is_empty() || state.returns != returns {
                break true;
            }
            let left = self.wait.saturating_sub(began.elapsed());
            if state.in_use == 0 || state.closed || left.is_zero() {
                break false;
            }
            state = self.returned.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.in_use += 1;
        has_returned
    }

    fn connect(&self, generation: u64) -> Result<Connection, HsmError> {
        let (slot, token) = self.module.token(&self.uri)?;
        let session =
            self.module.context.open_ro_session_no_drop(slot).map_err(|error| HsmError::of(&error, &token.name()))?;
        let logged_in = self.login.log_in(&session, &token);
        match logged_in.and_then(|()| key::find_one(&session, &self.uri, &token)) {
            Ok(key) => Ok(Connection { session, key, token, generation }),
            // Where there are no such keys at all, that is what there is to say.
            Err(missing @ HsmError::NoKey { .. }) => {
                close(session);
                capabilities::require(&self.module.context, slot, &token, &[capabilities::SIGNS]).and(Err(missing))
            }
            Err(error) => {
                if !error.voids_session() {
                    close(session);
                }
                Err(error)
            }
        }
    }

    fn put_back(&self, connection: Connection) {
        let mut state = self.state();
        if connection.generation == state.generation && !state.closed {
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
            if error.voids_all_sessions() {
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

    /// Closes every session: those in use when they are not any more.
    pub(crate) fn close(&self) {
        for connection in self.end() {
            self.discard(connection);
        }
    }

    /// The same without a call into the module: what is idle is left open.
    pub(crate) fn abandon(&self) {
        self.end();
    }

    fn end(&self) -> Vec<Connection> {
        let mut state = self.state();
        state.closed = true;
        self.returned.notify_all();
        std::mem::take(&mut state.idle)
    }

    /// No lock of this one's is held while the token is called.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For a signer whose opening nobody waited for, on the thread that opened it: others are closed before.
impl Drop for Connections {
    fn drop(&mut self) {
        self.close();
    }
}

impl<'a> Use<'a> {
    fn begin(connections: &'a Connections) -> Self {
        connections.state().in_use += 1;
        Self(connections)
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_use -= 1;
        state.returns += 1;
        self.0.returned.notify_all();
    }
}

fn close(session: Session) {
    // A session that cannot be closed is not one any more.
    let _ = session.close();
}
