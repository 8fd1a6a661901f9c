//! A table of bounded size whose places are named by index and generation.

use alloc::vec::Vec;

use crate::memory;

pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    capacity: u32,
}

struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) fn new(capacity: u32) -> Self {
        Self { places: Vec::new(), free: Vec::new(), capacity }
    }

    /// The most bytes of heap that a table of this capacity takes.
    pub(crate) fn bound(capacity: u32) -> u64 {
        memory::vec::<Place<T>>(capacity as usize) + memory::vec::<u32>(capacity as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty() && self.places.len() >= self.capacity as usize
    }

    /// Takes a place, or gives the value back if there is none.
    pub(crate) fn insert(&mut self, value: T) -> Result<(u32, u32), T> {
        if let Some(slot) = self.free.pop() {
            let place = &mut self.places[slot as usize];
            place.value = Some(value);
            return Ok((slot, place.generation));
        }
        if self.is_full() {
            return Err(value);
        }
        let slot = u32::try_from(self.places.len()).expect("below the capacity");
        self.places.push(Place { generation: 1, value: Some(value) });
        Ok((slot, 1))
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.places.get(slot as usize)?.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.places.get_mut(slot as usize)?.value.as_mut()
    }

    /// The generation of an occupied place.
    pub(crate) fn generation(&self, slot: u32) -> Option<u32> {
        let place = self.places.get(slot as usize)?;
        place.value.is_some().then_some(place.generation)
    }

    pub(crate) fn named(&mut self, slot: u32, generation: u32) -> Option<&mut T> {
        let place = self.places.get_mut(slot as usize)?;
        if place.generation == generation { place.value.as_mut() } else { None }
    }

    /// Empties a place; its next tenant gets another generation.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let place = self.places.get_mut(slot as usize)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.places).filter_map(|(slot, place)| Some((slot, place.value.as_ref()?)))
    }

    /// The `n`th place on from a random one that is occupied.
    pub(crate) fn pick(&self, from: u32) -> Option<u32> {
        let len = self.places.len();
        let places = (0..len).map(|i| (from as usize + i) % len.max(1));
        let slot = places.into_iter().find(|&slot| self.places[slot].value.is_some())?;
        u32::try_from(slot).ok()
    }
}
