//! Counts what one client has open, up to a limit.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// A count for each key. Keys without anything open take no room.
#[derive(Debug)]
pub(super) struct Tally<K> {
    max: usize,
    open: Mutex<HashMap<K, usize>>,
}

/// One counted thing; dropping it takes it off the count.
#[derive(Debug)]
pub(super) struct Counted<K: Eq + Hash>(Arc<Tally<K>>, K);

impl<K: Clone + Eq + Hash> Tally<K> {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, open: Mutex::default() })
    }

    /// Counts one more, if there may be one.
    pub(super) fn enter(self: &Arc<Self>, key: K) -> Option<Counted<K>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&key).copied().unwrap_or_default() >= self.max {
            return None;
        }
        *open.entry(key.clone()).or_default() += 1;
        Some(Counted(Arc::clone(self), key))
    }
}

impl<K: Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn one_over_the_limit_waits_for_another_to_end() {
        let tally = Tally::new(2);
        let first = tally.enter("a").expect("the first");
        let _second = tally.enter("a").expect("the second");
        assert!(tally.enter("a").is_none());
        assert!(tally.enter("b").is_some(), "others are not counted with it");
        drop(first);
        assert!(tally.enter("a").is_some());
        assert_eq!(tally.open.lock().map(|open| open.len()).ok(), Some(1), "what has ended takes no room");
    }
}
