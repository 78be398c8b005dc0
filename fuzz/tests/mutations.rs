//! Runs every target on its examples in `seeds/`, on every prefix of them, with every single bit flipped, and on some thousand
//! random mixtures of them. What libFuzzer once found stays among the examples.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use docket_fuzz::TARGETS;

#[test]
fn every_target_has_a_program_and_examples_and_nothing_else_has() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        files(&root().join(folder))
            .iter()
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("seeds"), targets);
}

#[test]
fn no_mutation_of_an_example_breaks_a_promise() {
    for (name, promise) in TARGETS {
        let seeds: Vec<Vec<u8>> =
            files(&root().join("seeds").join(name)).iter().map(|path| fs::read(path).expect("an example")).collect();
        assert!(!seeds.is_empty(), "{name} has no examples");
        promise(b"");
        for seed in &seeds {
            promise(seed);
            (0..seed.len()).for_each(|end| promise(&seed[..end]));
            for bit in 0..seed.len() * 8 {
                let mut flipped = seed.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                promise(&flipped);
            }
        }
        let mut random = Random(0x5eed);
        (0..MIXTURES).for_each(|_| promise(&mixture(&seeds, &mut random)));
    }
}

/// The beginning of one example and the end of another, with some bytes set to others.
fn mixture(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let first = &seeds[random.below(seeds.len())];
    let second = &seeds[random.below(seeds.len())];
    let mut bytes = first[..random.below(first.len() + 1)].to_vec();
    bytes.extend_from_slice(&second[random.below(second.len() + 1)..]);
    for _ in 0..random.below(4) {
        if !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = INTERESTING[random.below(INTERESTING.len())];
        }
    }
    bytes
}

/// A sequence that is the same in every run (an LCG modulo 2^64), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|failure| panic!("{}: {failure}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

const MIXTURES: usize = 2000;
/// Bytes at which text and CBOR change their meaning.
const INTERESTING: &[u8] =
    b"\0\n\r\"%+-./:=@[]{}\x18\x19\x1b\x1f\x3b\x40\x5b\x5f\x7f\x80\x9f\xa0\xbf\xc3\xd2\xf4\xf6\xff";
