//! PKCS#11 modules: each is loaded once per process and never finalised.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::slot::Slot;

use crate::code::P11Code;
use crate::token::TokenInfo;
use crate::{HsmError, Pkcs11Uri};

/// By canonical path. A module is one thing to the whole process, logins included: `C_Finalize` would end the sessions
/// of whoever else uses it, so nothing here calls it.
static LOADED: Mutex<BTreeMap<PathBuf, Module>> = Mutex::new(BTreeMap::new());

/// A loaded module.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    path: PathBuf,
    pub(crate) context: Pkcs11,
}

impl Module {
    /// Loads the module that `uri` names and initialises it, unless that was done before.
    pub(crate) fn load(uri: &Pkcs11Uri) -> Result<Self, HsmError> {
        let named = uri.module_path().ok_or(HsmError::NoModule)?;
        let failed = |reason: String| HsmError::Module { path: named.to_owned(), reason };
        let path = fs::canonicalize(named).map_err(|error| failed(error.to_string()))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let module = if let Some(module) = loaded.get(&path) {
            module.clone()
        } else {
            let context = Pkcs11::new(&path).map_err(|error| failed(reason(&error)))?;
            let module = Self { path: path.clone(), context };
            loaded.insert(path, module.clone());
            module
        };
        drop(loaded);
        module.initialise()?;
        Ok(module)
    }

    /// Whether it had to be initialised, and every handle from before is void therefore.
    pub(crate) fn initialise(&self) -> Result<bool, HsmError> {
        match self.context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => Ok(true),
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(false),
            Err(error) => Err(HsmError::ModuleNotInitialised { path: self.path.clone(), code: P11Code::new(&error) }),
        }
    }

    /// Every token that matches `uri`.
    pub(crate) fn tokens(&self, uri: &Pkcs11Uri) -> Result<Vec<(Slot, TokenInfo)>, HsmError> {
        let place = format!("the module {}", self.path.display());
        let library = self.context.get_library_info().map_err(|error| HsmError::of(&error, &place))?;
        let slots = self.context.get_slots_with_token().map_err(|error| HsmError::of(&error, &place))?;
        let mut tokens = Vec::new();
        let mut unreadable = None;
        for slot in slots {
            match TokenInfo::read(&self.context, slot, &library, uri) {
                Ok(token) if token.matches(uri) => tokens.push((slot, token)),
                Ok(_) => {}
                // A broken token in another slot is none of ours, unless ours is not found.
                Err(error) => unreadable = Some(HsmError::of(&error, &format!("the token in slot {}", slot.id()))),
            }
        }
        match unreadable {
            Some(error) if tokens.is_empty() => Err(error),
            _ => Ok(tokens),
        }
    }

    /// The one token that matches `uri` and is initialised.
    pub(crate) fn token(&self, uri: &Pkcs11Uri) -> Result<(Slot, TokenInfo), HsmError> {
        let mut tokens = self.tokens(uri)?;
        // Empty slots of soft tokens are there to be initialised; no URI that says little means them.
        if tokens.len() > 1 {
            tokens.retain(|(_, token)| token.initialised);
        }
        if tokens.len() > 1 {
            let tokens = tokens.iter().map(|(_, token)| token.uri.to_string()).collect();
            return Err(HsmError::SeveralTokens { uri: uri.to_string(), tokens });
        }
        let (slot, token) = tokens.pop().ok_or_else(|| HsmError::NoToken { uri: uri.to_string() })?;
        if !token.initialised {
            return Err(HsmError::TokenNotInitialised { token: token.name(), missing: "it has never been set up" });
        }
        Ok((slot, token))
    }
}

/// The loader's own words, which name what is missing.
fn reason(error: &Error) -> String {
    match error {
        Error::LibraryLoading(error) => error.to_string(),
        Error::MissingSymbol(symbol) => format!("it is no PKCS#11 module: {symbol} is missing"),
        other => other.to_string(),
    }
}
