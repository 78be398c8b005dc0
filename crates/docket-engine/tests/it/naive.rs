//! The Merkle tree as RFC 9162 §2.1 defines it, by recursion over all leaves: slow, and too simple to be wrong.

use std::collections::HashMap;

use docket_proof::crypto::sha256_of_parts;
use docket_proof::merkle::Hash;

/// A tree over entries that are all in memory.
#[derive(Debug, Default)]
pub(crate) struct NaiveTree {
    leaves: Vec<Hash>,
    /// Roots of ranges, so that proving every leaf takes no hour.
    known: HashMap<(usize, usize), Hash>,
}

impl NaiveTree {
    /// The tree over the entries, in order.
    pub(crate) fn of<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Self {
        let leaves = entries.into_iter().map(|entry| sha256_of_parts(&[&[0], entry])).collect();
        Self { leaves, known: HashMap::new() }
    }

    /// The leaf hashes.
    pub(crate) fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// The path of a leaf in the tree of the first `size` leaves, leaf to root.
    pub(crate) fn path(&mut self, index: usize, size: usize) -> Vec<Hash> {
        self.path_in(index, 0, size)
    }

    fn path_in(&mut self, index: usize, start: usize, end: usize) -> Vec<Hash> {
        if end - start == 1 {
            return Vec::new();
        }
        let middle = start + left_half(end - start);
        if index < middle {
            let mut path = self.path_in(index, start, middle);
            path.push(self.root(middle, end));
            path
        } else {
            let mut path = self.path_in(index, middle, end);
            path.push(self.root(start, middle));
            path
        }
    }

    fn root(&mut self, start: usize, end: usize) -> Hash {
        if end - start == 1 {
            return self.leaves[start];
        }
        if let Some(root) = self.known.get(&(start, end)) {
            return *root;
        }
        let middle = start + left_half(end - start);
        let (left, right) = (self.root(start, middle), self.root(middle, end));
        let root = sha256_of_parts(&[&[1], &left, &right]);
        self.known.insert((start, end), root);
        root
    }
}

/// The largest power of two below `length`.
fn left_half(length: usize) -> usize {
    let mut half = 1;
    while half * 2 < length {
        half *= 2;
    }
    half
}
