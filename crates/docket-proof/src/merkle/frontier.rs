//! The right edge of the tree: all that is needed to append, and to prove what was just appended.

use super::{EMPTY_ROOT, Hash, MerkleError, bag, node_hash};

/// The compact range of a tree (its size and the roots of its complete subtrees), at most 64 hashes.
///
/// A tree of `size` leaves falls into complete subtrees, the *peaks*: one of 2^l leaves for each set bit l of `size`,
/// the largest first. They are kept from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

/// What [`Frontier::append`] made of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The edge of the grown tree.
    pub frontier: Frontier,
    /// The root of the grown tree.
    pub root: Hash,
    /// For each new leaf its inclusion path in the grown tree, leaf to root.
    pub paths: Vec<Vec<Hash>>,
}

impl Frontier {
    /// The edge of the tree without leaves.
    pub fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        bag(&self.peaks).unwrap_or(EMPTY_ROOT)
    }

    /// The tree grown by `leaves`, with the path of each of them. Hashes about two nodes a leaf.
    ///
    /// # Why the old peaks suffice
    /// Let m and n be the old and the new size, and (l, i) a complete node of the new tree that stands on the path of a
    /// new leaf j >= m, or next to it as left sibling or as peak. Then i >= (m >> l) - 1:
    /// a left sibling at level l has i = (j >> l) - 1 and j >= m, and a peak of the new tree has i = (n >> l) - 1 and n >= m.
    /// Nodes with i >= m >> l end behind leaf m - 1, so they are made here. The one other case, i = (m >> l) - 1 where that
    /// index is even, needs bit l of m set (m >> l is odd), and then node (l, i) is by definition the peak of the old tree
    /// at level l. An odd i is never asked for as left sibling, nor can it be a peak, whose index is always even. So nothing older
    /// than the old peaks is ever read.
    pub fn append(&self, leaves: &[Hash]) -> Appended {
        if leaves.is_empty() {
            return Appended { frontier: self.clone(), root: self.root(), paths: Vec::new() };
        }
        let edge = Edge::grow(self, leaves);
        let size = edge.new_size;
        let levels: Vec<u32> = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1).collect();
        let peaks: Vec<Hash> = levels.iter().map(|&level| edge.node(level, (size >> level) - 1)).collect();
        // bags[k]: the root over the peaks from k on.
        let mut bags = peaks.clone();
        for k in (0..peaks.len() - 1).rev() {
            bags[k] = node_hash(&peaks[k], &bags[k + 1]);
        }
        let paths = (self.size..size)
            .map(|leaf| {
                let own = levels
                    .iter()
                    .position(|&level| leaf >> level < size >> level)
                    .expect("every leaf of the tree lies under one of its peaks");
                let mut path: Vec<Hash> = (0..levels[own]).map(|level| edge.node(level, leaf >> level ^ 1)).collect();
                path.extend(bags.get(own + 1));
                path.extend(peaks[..own].iter().rev());
                path
            })
            .collect();
        Appended { root: bags[0], frontier: Self { size, peaks }, paths }
    }

    /// The size in 8 bytes, big-endian, then the peaks from left to right.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        bytes.extend(self.peaks.iter().flatten());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote. Any hashes of the right number are accepted: compare the root.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MerkleError> {
        let bad = MerkleError::BadFrontier { bytes: bytes.len() };
        let (size, hashes) = bytes.split_first_chunk::<8>().ok_or(bad)?;
        let size = u64::from_be_bytes(*size);
        let (peaks, rest) = hashes.as_chunks::<32>();
        if !rest.is_empty() || peaks.len() != size.count_ones() as usize {
            return Err(bad);
        }
        Ok(Self { size, peaks: peaks.to_vec() })
    }
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

/// The nodes that a batch adds, level by level, beside the peaks it grows from.
struct Edge {
    old_size: u64,
    new_size: u64,
    /// `old_peaks[l]` is the old tree's peak at level l, if bit l of its size is set.
    old_peaks: [Option<Hash>; 64],
    /// `levels[l]` holds the complete nodes of level l from index `old_size >> l` on.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    fn grow(old: &Frontier, leaves: &[Hash]) -> Self {
        let mut old_peaks = [None; 64];
        let set_bits = (0..64).rev().filter(|level| old.size >> level & 1 == 1);
        for (level, peak) in set_bits.zip(&old.peaks) {
            old_peaks[level] = Some(*peak);
        }
        let new_size = old.size.checked_add(leaves.len() as u64).expect("no tree comes near 2^64 leaves");
        let mut edge = Self { old_size: old.size, new_size, old_peaks, levels: vec![leaves.to_vec()] };
        for level in 1..u64::BITS {
            let (first, end) = (old.size >> level, new_size >> level);
            let nodes: Vec<Hash> = (first..end)
                .map(|i| node_hash(&edge.node(level - 1, 2 * i), &edge.node(level - 1, 2 * i + 1)))
                .collect();
            // Without a new node here there is none above either.
            if nodes.is_empty() {
                break;
            }
            edge.levels.push(nodes);
        }
        edge
    }

    /// A complete node that was added, or the old peak just left of them.
    fn node(&self, level: u32, index: u64) -> Hash {
        let first = self.old_size >> level;
        if index < first {
            return self.old_peaks[level as usize].expect("only the old peak stands left of the new nodes");
        }
        let offset = usize::try_from(index - first).expect("the batch is in memory, so its nodes are counted in usize");
        self.levels[level as usize][offset]
    }
}
