//! The RFC 9162 Merkle tree over SHA-256: growing it, proving in it, checking proofs, all without holding it.
//!
//! Leaves and nodes are addressed as (level, index at that level): level 0 are the leaves, and node (l, i) is the root
//! of the 2^l leaves from i·2^l on. A node is *complete* when all its leaves exist; complete nodes never change.

use crate::crypto::sha256_of_parts;

pub use frontier::{Appended, Frontier};

mod frontier;

/// A SHA-256 hash: of a leaf, a node or a whole tree.
pub type Hash = [u8; 32];

/// Most hashes a proof can hold: a tree of 2^64 - 1 leaves is 64 levels high, and a consistency proof starts with
/// one hash more.
pub const PATH_HASHES_MAX: usize = 65;

/// The root of the tree without leaves: SHA-256 of nothing (RFC 9162 §2.1.1).
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Why a proof does not hold, or cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// The leaf lies outside the tree.
    #[error("leaf {index} lies outside a tree of {size} leaves")]
    IndexOutside {
        /// Index of the leaf.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The older tree is larger than the newer one, or no tree to start from.
    #[error("a tree of {old_size} leaves cannot be the past of one of {new_size}")]
    Shrunk {
        /// Leaves in the older tree.
        old_size: u64,
        /// Leaves in the newer tree.
        new_size: u64,
    },
    /// The proof has too few or too many hashes for its index and sizes.
    #[error("proof has {found} hashes where {expected} are needed")]
    PathLength {
        /// What the sizes need.
        expected: usize,
        /// What the proof has.
        found: usize,
    },
    /// The proof does not lead to the older root.
    #[error("proof does not lead to the older root")]
    OldRootDiffers,
    /// The proof does not lead to the newer root.
    #[error("proof does not lead to the newer root")]
    NewRootDiffers,
    /// Serialized frontier bytes are not a size with exactly its peaks.
    #[error("{bytes} bytes are no frontier: a size of 8 bytes and one hash for each of its set bits are needed")]
    BadFrontier {
        /// Length of what was given.
        bytes: usize,
    },
}

/// Why a path could not be built: a wrong question, or the caller's own failure to read a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError<E> {
    /// The question has no answer.
    #[error(transparent)]
    Merkle(#[from] MerkleError),
    /// The node callback failed.
    #[error("could not read a node of the tree")]
    Node(#[source] E),
}

/// Reads a complete node by (level, index at that level).
pub type NodeReader<'r, E> = dyn FnMut(u8, u64) -> Result<Hash, E> + 'r;

/// The hash of a leaf whose input is `entry`: SHA-256(0x00 || entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256_of_parts(&[&[0], entry])
}

/// The hash of the node over two others: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256_of_parts(&[&[1], left, right])
}

/// The inclusion path of leaf `index` in the tree of `size` leaves, leaf to root (RFC 9162 §2.1.3.1).
///
/// `node` is asked for complete nodes only, at most twice the height of the tree.
pub fn inclusion_path<E>(index: u64, size: u64, node: &mut NodeReader<'_, E>) -> Result<Vec<Hash>, PathError<E>> {
    if index >= size {
        return Err(MerkleError::IndexOutside { index, size }.into());
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    // From the root down; each round halves the range, so there are at most 64.
    while end - start > 1 {
        let middle = start + left_leaves(end - start);
        if index < middle {
            path.push(range_root(middle, end, node)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, node)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The root that `path` leads to from `leaf` at `index` in a tree of `size` leaves (RFC 9162 §2.1.3.2).
///
/// A path that folds does not prove `size`: several sizes accept one path. Whoever trusts the size must have it from a
/// signature.
pub fn root_from_path(index: u64, size: u64, leaf: &Hash, path: &[Hash]) -> Result<Hash, MerkleError> {
    if index >= size {
        return Err(MerkleError::IndexOutside { index, size });
    }
    // Up to where the path of the leaf meets that of the last leaf, siblings stand on either side and the bits of the
    // index say where. Above it every sibling is to the left, one for each set bit of the index.
    let inner = inner_length(index, size);
    let expected = inner + border_length(index, inner);
    if path.len() != expected {
        return Err(MerkleError::PathLength { expected, found: path.len() });
    }
    let (inner_path, border_path) = path.split_at(inner);
    let mut hash = *leaf;
    for (level, sibling) in inner_path.iter().enumerate() {
        hash = if index >> level & 1 == 0 { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) };
    }
    Ok(border_path.iter().fold(hash, |hash, sibling| node_hash(sibling, &hash)))
}

/// The proof that the tree of `new_size` leaves continues the tree of `old_size` (RFC 9162 §2.1.4.1).
///
/// Empty where there is nothing to prove: equal sizes, or an older tree without leaves.
pub fn consistency_path<E>(
    old_size: u64,
    new_size: u64,
    node: &mut NodeReader<'_, E>,
) -> Result<Vec<Hash>, PathError<E>> {
    if old_size > new_size {
        return Err(MerkleError::Shrunk { old_size, new_size }.into());
    }
    if old_size == 0 || old_size == new_size {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new_size);
    let mut path = Vec::new();
    // From the root down to the subtree that ends where the older tree ends.
    while end != old_size {
        let middle = start + left_leaves(end - start);
        if old_size <= middle {
            path.push(range_root(middle, end, node)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, node)?);
            start = middle;
        }
    }
    // If that subtree starts at 0 it is the whole older tree, whose root the verifier has.
    if start > 0 {
        path.push(range_root(start, end, node)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that the tree of `new_size` leaves with `new_root` continues the one of `old_size` with `old_root`
/// (RFC 9162 §2.1.4.2). An older tree without leaves is continued by every tree.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), MerkleError> {
    if old_size > new_size {
        return Err(MerkleError::Shrunk { old_size, new_size });
    }
    if old_size == 0 || old_size == new_size {
        expect_length(0, path)?;
        if old_size == 0 && *old_root != EMPTY_ROOT {
            return Err(MerkleError::OldRootDiffers);
        }
        return if old_size == 0 || old_root == new_root { Ok(()) } else { Err(MerkleError::NewRootDiffers) };
    }
    let root = root_from_consistency(old_size, old_root, new_size, path)?;
    if root == *new_root { Ok(()) } else { Err(MerkleError::NewRootDiffers) }
}

/// The root of the tree of `new_size` leaves that `path` leads to from `old_root` of a smaller one that has leaves
/// (RFC 9162 §2.1.4.2).
///
/// As with inclusion, a path that folds does not prove `new_size`.
pub fn root_from_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    path: &[Hash],
) -> Result<Hash, MerkleError> {
    if old_size == 0 || old_size >= new_size {
        return Err(MerkleError::Shrunk { old_size, new_size });
    }
    // The walk starts at the last complete subtree of the older tree: node `index` at level `shift`.
    let shift = old_size.trailing_zeros();
    let index = (old_size - 1) >> shift;
    let size = ((new_size - 1) >> shift) + 1;
    let inner = inner_length(index, size);
    let siblings = inner + border_length(index, inner);
    // Where the older tree is that one subtree its root is the seed; else the proof begins with it.
    let (seed, path) = if index == 0 {
        expect_length(siblings, path)?;
        (*old_root, path)
    } else {
        expect_length(siblings + 1, path)?;
        (path[0], &path[1..])
    };
    let (mut old, mut new) = (seed, seed);
    for (level, sibling) in path.iter().enumerate() {
        let left = level >= inner || index >> level & 1 == 1;
        if left {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
        } else {
            new = node_hash(&new, sibling);
        }
    }
    if old == *old_root { Ok(new) } else { Err(MerkleError::OldRootDiffers) }
}

/// The root over leaves `start..end`, where `start` is a multiple of the largest power of two in the length: the
/// complete nodes from left to right, bagged from the right.
fn range_root<E>(start: u64, end: u64, node: &mut NodeReader<'_, E>) -> Result<Hash, PathError<E>> {
    let mut peaks = Vec::new();
    let mut from = start;
    while from < end {
        let level = (end - from).ilog2();
        peaks.push(
            node(u8::try_from(level).expect("ilog2 of a u64 is below 64"), from >> level).map_err(PathError::Node)?,
        );
        from += 1 << level;
    }
    Ok(bag(&peaks).expect("every range that is asked for holds a leaf"))
}

/// Peaks from left to right folded into one root, the lowest pair first.
fn bag(peaks: &[Hash]) -> Option<Hash> {
    peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// Leaves of the left child of a tree of `size` leaves: the largest power of two below it.
fn left_leaves(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

fn inner_length(index: u64, size: u64) -> usize {
    (u64::BITS - (index ^ (size - 1)).leading_zeros()) as usize
}

fn border_length(index: u64, inner: usize) -> usize {
    u32::try_from(inner).ok().and_then(|inner| index.checked_shr(inner)).map_or(0, u64::count_ones) as usize
}

fn expect_length(expected: usize, path: &[Hash]) -> Result<(), MerkleError> {
    if path.len() == expected { Ok(()) } else { Err(MerkleError::PathLength { expected, found: path.len() }) }
}

#[cfg(test)]
mod tests;
