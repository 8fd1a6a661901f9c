//! Where a datagram with a known connection id belongs.
//!
//! Ids are on the wire, so an observer on the path knows them, and nobody else is to find them. A table in their own
//! order would help him: how long a lookup takes follows from where an id stands among the others, so that probes with
//! well-chosen ids close in on one that is there. Here the order is that of a hash under a secret key: until the whole
//! id is right, no probe brings the next one nearer.

use alloc::collections::BTreeMap;

use crate::crypto::siphash::SipKey;
use crate::memory;
use crate::secret::{Secret, declassify};

/// Whose datagrams they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    Session(u32),
    HalfOpen(u32),
}

/// The order of the table: ids are compared only where their hashes are equal.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Name {
    hash: u64,
    cid: [u8; 8],
}

/// The connection ids of sessions and handshakes.
pub(crate) struct Routes {
    key: SipKey,
    places: BTreeMap<Name, Route>,
}

impl Routes {
    /// A table under a key that is used for nothing else.
    pub(crate) fn new(key: &Secret<32>) -> Self {
        Self { key: SipKey::new(key), places: BTreeMap::new() }
    }

    /// The most bytes of heap that so many ids take.
    pub(crate) fn bound(ids: usize) -> u64 {
        memory::tree::<Name, Route>(ids)
    }

    pub(crate) fn get(&self, cid: &[u8; 8]) -> Option<Route> {
        self.places.get(&self.name(cid)).copied()
    }

    pub(crate) fn insert(&mut self, cid: [u8; 8], route: Route) {
        self.places.insert(self.name(&cid), route);
    }

    pub(crate) fn remove(&mut self, cid: &[u8; 8]) {
        self.places.remove(&self.name(cid));
    }

    fn name(&self, cid: &[u8; 8]) -> Name {
        let mut hash = self.key.place(cid).to_le_bytes();
        // Says nothing of the id to whoever lacks the key.
        declassify(&mut hash);
        #[cfg(b4ae_leaks)]
        let hash = u64::from_be_bytes(*cid).to_le_bytes();
        Name { hash: u64::from_le_bytes(hash), cid: *cid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_to_its_own_route_and_no_other_id_does() {
        let mut routes = Routes::new(&Secret::new([7; 32]));
        let cid = |n: u32| (u64::from(n) << 20).to_le_bytes();
        for n in 0..1000 {
            routes.insert(cid(n), if n % 2 == 0 { Route::Session(n) } else { Route::HalfOpen(n) });
        }
        for n in 0..1000 {
            let mut near = cid(n);
            near[0] ^= 1;
            assert_eq!(routes.get(&cid(n)), Some(if n % 2 == 0 { Route::Session(n) } else { Route::HalfOpen(n) }));
            assert_eq!(routes.get(&near), None);
        }
        routes.insert(cid(3), Route::Session(9));
        assert_eq!(routes.get(&cid(3)), Some(Route::Session(9)));
        routes.remove(&cid(3));
        assert_eq!(routes.get(&cid(3)), None);
        assert_eq!(routes.get(&cid(5)), Some(Route::HalfOpen(5)));
    }

    /// What makes probing pointless: keys of their own put ids in orders of their own.
    #[test]
    fn the_order_follows_from_the_key() {
        let order = |key| {
            let routes = Routes::new(&Secret::new([key; 32]));
            let mut ids: [[u8; 8]; 8] = core::array::from_fn(|n| (n as u64).to_be_bytes());
            ids.sort_by_key(|cid| routes.name(cid).hash);
            ids
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
