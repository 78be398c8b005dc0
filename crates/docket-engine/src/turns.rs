//! Registrations about one subject that are decided by what was said before about it, one after the other.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use docket_store::EntrySubject;
use tokio::sync::{Mutex, MutexGuard};

/// Who is next. Subjects may share a place, so that nobody can fill a map; they then wait for each other without need.
#[derive(Debug)]
pub(crate) struct Turns {
    places: Box<[Mutex<()>]>,
    hasher: RandomState,
}

/// It is one's turn until this is dropped: at an answer, or when the caller goes away.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _place: MutexGuard<'a, ()>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }

    /// Waits behind all who came before. How many wait is bounded by how many requests are served at once.
    pub(crate) async fn of(&self, subject: &EntrySubject) -> Turn<'_> {
        let place = usize::try_from(self.hasher.hash_one(subject) % PLACES as u64).expect("one of the places");
        Turn { _place: self.places[place].lock().await }
    }
}

/// More than a batch has entries, so that strangers seldom meet.
const PLACES: usize = 1024;
