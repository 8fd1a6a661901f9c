//! The conformance suite: what an adapter owes its user, and the network, over every driver there is. Tokio's and
//! async-io's have it with the loop on its own thread and as a task, the latter on smol and on async-std.
//!
//! Each property is a function of any driver, in `properties/`. `broken/` runs each against drivers that are broken on
//! purpose, and requires that it fails.

#![cfg(target_os = "linux")]

mod bench;
mod blocking;
mod broken;
mod driver;
mod futures;
mod placement;
mod properties;

use std::sync::{PoisonError, RwLock};

use b4ae_tokio::Placement;

use crate::driver::Driver;
use crate::properties::properties;

/// Held for writing by what counts the process's threads, files and time, and else for reading.
static ALONE: RwLock<()> = RwLock::new(());

/// Has `run` run a property of `group`, beside others or alone.
fn check(group: &str, property: fn(&dyn Driver), run: impl FnOnce(fn(&dyn Driver))) {
    if group == "resources" {
        let _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner);
        run(property);
    } else {
        let _together = ALONE.read().unwrap_or_else(PoisonError::into_inner);
        run(property);
    }
}

/// All properties of one driver, as tests.
macro_rules! conform {
    ($($group:ident :: $property:ident),* $(,)?) => {
        $(
            #[test]
            fn $property() {
                let property = crate::properties::$group::$property;
                crate::check(stringify!($group), property, |property| property(&*driver()));
            }
        )*
    };
}

macro_rules! drivers {
    ($($name:ident => $driver:expr;)*) => {
        $(
            mod $name {
                use super::*;

                fn driver() -> Box<dyn Driver> {
                    $driver
                }

                properties!(conform);
            }
        )*
    };
}

drivers! {
    tokio_own_thread => futures::Async::boxed(futures::Tokio::new(Placement::OwnThread));
    tokio_task => futures::Async::boxed(futures::Tokio::new(Placement::Runtime));
    smol_own_thread => futures::Async::boxed(futures::Smol::new(Placement::OwnThread));
    smol_task => futures::Async::boxed(futures::Smol::new(Placement::Runtime));
    async_std_own_thread => futures::Async::boxed(futures::AsyncStd::new(Placement::OwnThread));
    async_std_task => futures::Async::boxed(futures::AsyncStd::new(Placement::Runtime));
    blocking_thread => Box::new(blocking::Blocking);
}
