use super::*;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use std::convert::Infallible;
use tlog_tiles::{check_record, check_tree, prove_record, prove_tree, split_stored_hash_index};

/// The oracle's tree over leaves whose input is their index, and all complete nodes of the same tree.
struct Oracle {
    tree: MemoryBackedTree<Sha256, Vec<u8>>,
    levels: Vec<Vec<Hash>>,
}

impl Oracle {
    fn of_size(size: u64) -> Self {
        let mut tree = MemoryBackedTree::new();
        (0..size).for_each(|i| tree.push(entry(i)));
        let mut levels = vec![(0..size).map(leaf).collect::<Vec<_>>()];
        while levels.last().is_some_and(|level| level.len() > 1) {
            let below = &levels[levels.len() - 1];
            levels.push(below.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect());
        }
        Self { tree, levels }
    }

    fn root(&self) -> Hash {
        (*self.tree.root().as_bytes()).into()
    }

    fn inclusion(&self, index: u64) -> Vec<Hash> {
        let index = usize::try_from(index).expect("small");
        self.tree.prove_inclusion(index).as_bytes().as_chunks::<32>().0.to_vec()
    }

    fn consistency(&self, additions: u64) -> Vec<Hash> {
        let additions = usize::try_from(additions).expect("small");
        self.tree.prove_consistency(additions).as_bytes().as_chunks::<32>().0.to_vec()
    }

    /// Panics where the node is not complete, which is how the tests see that only complete ones are asked for.
    fn node(&self, level: u8, index: u64) -> Hash {
        self.levels[usize::from(level)][usize::try_from(index).expect("small")]
    }
}

/// The second oracle, a port of Go's `sumdb/tlog`, reads nodes by an index of its own.
struct SecondOracle<N>(N);

impl<N: Fn(u8, u64) -> Hash> tlog_tiles::HashReader for SecondOracle<N> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let node = |&index| {
            let (level, at) = split_stored_hash_index(index);
            tlog_tiles::Hash((self.0)(level, at))
        };
        Ok(indexes.iter().map(node).collect())
    }
}

/// What both oracles say to a path of ours, and whether the second one would have made the same.
fn oracles_agree_on_inclusion(index: u64, size: u64, root: Hash, path: &[Hash], node: impl Fn(u8, u64) -> Hash) {
    let first = RootHash::<Sha256>::new(root.into(), size);
    let proof = InclusionProof::try_from_bytes(path.concat()).expect("whole hashes");
    first.verify_inclusion(&entry(index), index, &proof).expect("the first oracle agrees");
    let theirs = prove_record(size, index, &SecondOracle(node)).expect("no node fails");
    assert_eq!(path, theirs.iter().map(|hash| hash.0).collect::<Vec<_>>());
    let (root, leaf) = (tlog_tiles::Hash(root), tlog_tiles::record_hash(&entry(index)));
    check_record(&theirs, size, root, index, leaf).expect("the second oracle agrees");
}

/// The same of a consistency proof.
fn oracles_agree_on_consistency(old: (u64, Hash), new: (u64, Hash), path: &[Hash], node: impl Fn(u8, u64) -> Hash) {
    // The first oracle knows no proof from a tree to itself.
    if old.0 < new.0 {
        let [older, newer] = [old, new].map(|(size, root)| RootHash::<Sha256>::new(root.into(), size));
        let proof = ConsistencyProof::try_from_bytes(path.concat()).expect("whole hashes");
        newer.verify_consistency(&older, &proof).expect("the first oracle agrees");
    }
    let theirs = prove_tree(new.0, old.0, &SecondOracle(node)).expect("no node fails");
    assert_eq!(path, theirs.iter().map(|hash| hash.0).collect::<Vec<_>>(), "{} to {}", old.0, new.0);
    let [older, newer] = [old, new].map(|(_, root)| tlog_tiles::Hash(root));
    check_tree(&theirs, new.0, newer, old.0, older).expect("the second oracle agrees");
}

fn entry(index: u64) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&entry(index))
}

fn leaves(range: std::ops::Range<u64>) -> Vec<Hash> {
    range.map(leaf).collect()
}

const EXHAUSTIVE: u64 = 300;

#[test]
fn the_empty_tree_has_the_hash_of_nothing() {
    assert_eq!(EMPTY_ROOT, crate::crypto::sha256(b""));
    assert_eq!(Frontier::new().root(), EMPTY_ROOT);
    assert_eq!(Frontier::new().append(&[]).root, EMPTY_ROOT);
}

#[test]
fn roots_and_inclusion_paths_agree_with_the_oracles_for_every_leaf_of_every_small_tree() {
    let all = Oracle::of_size(EXHAUSTIVE);
    for size in 1..=EXHAUSTIVE {
        let oracle = Oracle::of_size(size);
        let appended = Frontier::new().append(&leaves(0..size));
        assert_eq!(appended.root, oracle.root());
        assert_eq!(appended.frontier.root(), oracle.root());
        for index in 0..size {
            let path = oracle.inclusion(index);
            assert_eq!(inclusion_path(index, size, &mut |l, i| Ok::<_, Infallible>(all.node(l, i))), Ok(path.clone()));
            assert_eq!(appended.paths[usize::try_from(index).expect("small")], path);
            assert_eq!(root_from_path(index, size, &leaf(index), &path), Ok(oracle.root()));
            oracles_agree_on_inclusion(index, size, oracle.root(), &path, |l, i| all.node(l, i));
        }
    }
}

#[test]
fn consistency_paths_agree_with_the_oracles_for_every_pair_of_small_trees() {
    let all = Oracle::of_size(EXHAUSTIVE);
    let roots: Vec<Hash> = (0..=EXHAUSTIVE).map(|size| Frontier::new().append(&leaves(0..size)).root).collect();
    let root = |size: u64| &roots[usize::try_from(size).expect("small")];
    for new_size in 1..=EXHAUSTIVE {
        let oracle = Oracle::of_size(new_size);
        for old_size in 1..=new_size {
            let path = consistency_path(old_size, new_size, &mut |l, i| Ok::<_, Infallible>(all.node(l, i)))
                .expect("no node fails");
            if old_size < new_size {
                assert_eq!(path, oracle.consistency(new_size - old_size), "{old_size} to {new_size}");
            }
            let (old, new) = ((old_size, *root(old_size)), (new_size, *root(new_size)));
            oracles_agree_on_consistency(old, new, &path, |l, i| all.node(l, i));
            assert_eq!(verify_consistency(old_size, root(old_size), new_size, root(new_size), &path), Ok(()));
        }
    }
}

#[test]
fn a_batch_gives_the_paths_of_its_leaves_in_the_grown_tree() {
    for old_size in 0..70 {
        let old = Frontier::new().append(&leaves(0..old_size)).frontier;
        for count in 1..70 {
            let size = old_size + count;
            let oracle = Oracle::of_size(size);
            let appended = old.append(&leaves(old_size..size));
            assert_eq!((appended.root, appended.frontier.size()), (oracle.root(), size));
            for (path, index) in appended.paths.iter().zip(old_size..) {
                assert_eq!(path, &oracle.inclusion(index), "leaf {index}, {old_size} + {count}");
            }
        }
    }
}

#[test]
fn a_frontier_survives_its_bytes_and_nothing_else_is_one() {
    for size in [0, 1, 2, 3, 255, 256, 257] {
        let frontier = Frontier::new().append(&leaves(0..size)).frontier;
        let bytes = frontier.to_bytes();
        assert_eq!(Frontier::from_bytes(&bytes), Ok(frontier));
        for wrong in
            [&bytes[..bytes.len() - 1], &[bytes.as_slice(), &[0]].concat(), &[bytes.as_slice(), &[0; 32]].concat()]
        {
            assert_eq!(Frontier::from_bytes(wrong), Err(MerkleError::BadFrontier { bytes: wrong.len() }));
        }
    }
}

#[test]
fn questions_outside_the_tree_are_refused() {
    let mut node = |_, _| -> Result<Hash, Infallible> { panic!("nothing may be read") };
    let outside = MerkleError::IndexOutside { index: 7, size: 7 };
    assert_eq!(inclusion_path(7, 7, &mut node), Err(outside.into()));
    assert_eq!(root_from_path(7, 7, &EMPTY_ROOT, &[]), Err(outside));
    assert_eq!(root_from_path(0, 0, &EMPTY_ROOT, &[]), Err(MerkleError::IndexOutside { index: 0, size: 0 }));
    let shrunk = MerkleError::Shrunk { old_size: 8, new_size: 7 };
    assert_eq!(consistency_path(8, 7, &mut node), Err(shrunk.into()));
    assert_eq!(verify_consistency(8, &EMPTY_ROOT, 7, &EMPTY_ROOT, &[]), Err(shrunk));
}

#[test]
fn a_path_of_another_length_is_refused() {
    let tree = Frontier::new().append(&leaves(0..11));
    for (index, path) in (0..).zip(&tree.paths) {
        let longer = [path.as_slice(), &[EMPTY_ROOT]].concat();
        for wrong in [&path[1..], &longer] {
            let refused = MerkleError::PathLength { expected: path.len(), found: wrong.len() };
            assert_eq!(root_from_path(index, 11, &leaf(index), wrong), Err(refused));
        }
    }
    let far = root_from_path(u64::MAX - 1, u64::MAX, &EMPTY_ROOT, &[]);
    assert_eq!(far, Err(MerkleError::PathLength { expected: 63, found: 0 }));
}

#[test]
fn a_broken_consistency_proof_says_which_root_it_misses() {
    let all = Oracle::of_size(11);
    let (old, new) = (Oracle::of_size(6).root(), all.root());
    let path = consistency_path(6, 11, &mut |l, i| Ok::<_, Infallible>(all.node(l, i))).expect("no node fails");
    let short = MerkleError::PathLength { expected: path.len(), found: path.len() - 1 };
    assert_eq!(verify_consistency(6, &old, 11, &new, &path[1..]), Err(short));
    assert_eq!(verify_consistency(6, &new, 11, &new, &path), Err(MerkleError::OldRootDiffers));
    assert_eq!(verify_consistency(6, &old, 11, &old, &path), Err(MerkleError::NewRootDiffers));
    assert_eq!(verify_consistency(6, &old, 6, &new, &[]), Err(MerkleError::NewRootDiffers));
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 11, &new, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &old, 11, &new, &[]), Err(MerkleError::OldRootDiffers));
}

#[test]
fn a_folding_path_does_not_prove_the_size() {
    // The reason why receipts carry the tree size in their protected header.
    let tree = Frontier::new().append(&leaves(0..8));
    assert_eq!(root_from_path(5, 8, &leaf(5), &tree.paths[5]), Ok(tree.root));
    assert_eq!(root_from_path(5, 7, &leaf(5), &tree.paths[5]), Ok(tree.root));
}

/// A tree of up to 2^40 leaves of which all but a few are equal: its nodes can be computed without being stored.
struct Virtual {
    special: Vec<u64>,
    plain: [Hash; 41],
}

impl Virtual {
    fn new(mut special: Vec<u64>) -> Self {
        special.sort_unstable();
        let mut plain = [leaf_hash(b"plain"); 41];
        for level in 1..plain.len() {
            plain[level] = node_hash(&plain[level - 1], &plain[level - 1]);
        }
        Self { special, plain }
    }

    fn node(&self, level: u8, index: u64) -> Hash {
        let (start, end) = (index << level, (index + 1) << level);
        let first = self.special.partition_point(|&leaf| leaf < start);
        if self.special.get(first).is_none_or(|&leaf| leaf >= end) {
            return self.plain[usize::from(level)];
        }
        if level == 0 {
            return leaf(index);
        }
        node_hash(&self.node(level - 1, 2 * index), &self.node(level - 1, 2 * index + 1))
    }

    fn root(&self, size: u64) -> Hash {
        range_root(0, size, &mut |level, index| Ok::<_, Infallible>(self.node(level, index))).expect("no node fails")
    }

    fn frontier(&self, size: u64) -> Frontier {
        let mut bytes = size.to_be_bytes().to_vec();
        for level in (0..=40_u8).rev().filter(|level| size >> level & 1 == 1) {
            bytes.extend(self.node(level, (size >> level) - 1));
        }
        Frontier::from_bytes(&bytes).expect("one peak for each set bit")
    }
}

proptest! {
    #[test]
    fn proofs_hold_in_trees_of_up_to_2_to_the_40_leaves(
        size in 2_u64..=1 << 40,
        picks in proptest::collection::vec(any::<u64>(), 1..6),
        old in any::<u64>(),
        flipped in any::<usize>(),
    ) {
        let special: Vec<u64> = picks.iter().map(|pick| pick % size).collect();
        let tree = Virtual::new(special.clone());
        let root = tree.root(size);
        let mut asked = 0;
        for &index in &special {
            let mut path = inclusion_path(index, size, &mut |level, i| -> Result<Hash, Infallible> {
                asked += 1;
                assert!((i + 1) << level <= size, "only complete nodes");
                Ok(tree.node(level, i))
            }).expect("no node fails");
            prop_assert_eq!(root_from_path(index, size, &leaf(index), &path), Ok(root));
            oracles_agree_on_inclusion(index, size, root, &path, |l, i| tree.node(l, i));
            prop_assert!(asked <= 2 * 41 * special.len());
            let broken = flipped % path.len();
            path[broken][0] ^= 1;
            prop_assert_ne!(root_from_path(index, size, &leaf(index), &path), Ok(root));
        }
        let old_size = 1 + old % size;
        let path = consistency_path(old_size, size, &mut |l, i| Ok::<_, Infallible>(tree.node(l, i))).expect("no node fails");
        prop_assert_eq!(verify_consistency(old_size, &tree.root(old_size), size, &root, &path), Ok(()));
        prop_assert!(verify_consistency(old_size, &EMPTY_ROOT, size, &root, &path).is_err());
        let old = (old_size, tree.root(old_size));
        oracles_agree_on_consistency(old, (size, root), &path, |l, i| tree.node(l, i));
    }

    #[test]
    fn batches_onto_a_large_tree_give_paths_that_hold(size in 1_u64..1 << 39, count in 1_u64..80) {
        let new_leaves: Vec<u64> = (size..size + count).collect();
        let tree = Virtual::new(new_leaves);
        let appended = tree.frontier(size).append(&leaves(size..size + count));
        prop_assert_eq!(appended.root, tree.root(size + count));
        prop_assert_eq!(appended.frontier, tree.frontier(size + count));
        for (path, index) in appended.paths.iter().zip(size..) {
            prop_assert_eq!(root_from_path(index, size + count, &leaf(index), path), Ok(appended.root));
        }
    }

    #[test]
    fn how_a_tree_was_batched_does_not_show(cuts in proptest::collection::vec(0_u64..40, 0..8)) {
        let mut frontier = Frontier::new();
        for count in cuts {
            let size = frontier.size();
            frontier = frontier.append(&leaves(size..size + count)).frontier;
        }
        let at_once = Frontier::new().append(&leaves(0..frontier.size())).frontier;
        prop_assert_eq!(frontier, at_once);
    }
}
