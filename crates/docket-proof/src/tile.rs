//! Where the nodes of the tree lie in tiles (C2SP tlog-tiles): 256 hashes a tile, eight levels of the tree each.
//!
//! Tile (L, N) holds the complete nodes at level 8·L of the tree with indexes 256·N to 256·N + 255, at the right edge
//! fewer. The levels between are not stored: a tile's hashes fold into them.

use std::ops::Range;

use crate::merkle::{Hash, node_hash};

pub use bundle::{BundleError, ENTRY_BYTES_MAX, decode_bundle, encode_bundle};

mod bundle;

/// Hashes in a full tile.
pub const TILE_WIDTH: u16 = 256;

/// Levels of the tree that one tile level spans.
pub const TILE_HEIGHT: u8 = 8;

/// The highest tile level: 8·7 + 8 levels reach any tree of 64-bit size.
pub const TILE_LEVEL_MAX: u8 = 7;

/// The coordinates of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// Tile level: 0 holds leaf hashes, L the nodes 8·L levels above them.
    pub level: u8,
    /// Index at that tile level.
    pub index: u64,
}

impl TileId {
    /// The tile that holds the tree's node (`level`, `index`), and which of its hashes fold into that node:
    /// 2^(level mod 8) of them.
    pub fn holding(level: u8, index: u64) -> (Self, Range<u16>) {
        let below = level % TILE_HEIGHT;
        // The node's index at the stored level, split into tile and place. Shifting in two steps cannot overflow.
        let tile = index >> (TILE_HEIGHT - below);
        let place = u16::try_from(index & ((1 << (TILE_HEIGHT - below)) - 1)).expect("at most eight bits are left");
        let start = place << below;
        (Self { level: level / TILE_HEIGHT, index: tile }, start..start + (1 << below))
    }

    /// How many hashes this tile has in a tree of `tree_size` leaves: 0 where it does not exist, 256 where it is full.
    pub fn width(self, tree_size: u64) -> u16 {
        let stored = tree_size.checked_shr(u32::from(TILE_HEIGHT) * u32::from(self.level)).unwrap_or(0);
        let (full, partial) = (stored / u64::from(TILE_WIDTH), stored % u64::from(TILE_WIDTH));
        match self.index.cmp(&full) {
            std::cmp::Ordering::Less => TILE_WIDTH,
            std::cmp::Ordering::Equal => u16::try_from(partial).expect("a remainder of 256"),
            std::cmp::Ordering::Greater => 0,
        }
    }

    /// The relative path of the full tile (`tile/0/x001/067`), or of the partial one with `width` hashes
    /// (`tile/0/x001/067.p/8`).
    pub fn path(self, width: Option<u8>) -> String {
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        let groups: Vec<String> = groups
            .iter()
            .enumerate()
            .rev()
            .map(|(position, group)| if position == 0 { format!("{group:03}") } else { format!("x{group:03}") })
            .collect();
        let partial = width.map_or_else(String::new, |width| format!(".p/{width}"));
        format!("tile/{}/{}{partial}", self.level, groups.join("/"))
    }

    /// The same for the bundle of the entries whose leaf hashes a tile of level 0 holds (`tile/entries/x001/067`).
    pub fn bundle_path(index: u64, width: Option<u8>) -> String {
        Self { level: 0, index }.path(width).replacen(LEAF_TILES, BUNDLES, 1)
    }

    /// Reads what [`Self::bundle_path`] wrote and nothing else.
    pub fn parse_bundle_path(path: &str) -> Option<(u64, Option<u8>)> {
        let path = format!("{LEAF_TILES}{}", path.strip_prefix(BUNDLES)?);
        Self::parse_path(&path).map(|(tile, width)| (tile.index, width))
    }

    /// Reads what [`Self::path`] wrote and nothing else: no leading zeros, no empty groups, no width 0.
    pub fn parse_path(path: &str) -> Option<(Self, Option<u8>)> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let (tile_path, width) = match path.split_once(".p/") {
            Some((tile_path, width)) => (tile_path, Some(width.parse().ok().filter(|&width| width > 0)?)),
            None => (path, None),
        };
        let (level, groups) = tile_path.strip_prefix("tile/")?.split_once('/')?;
        let mut index: u64 = 0;
        for group in groups.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self { level: level.parse().ok().filter(|&level| level <= TILE_LEVEL_MAX)?, index };
        // One spelling for each tile: whatever else parses as numbers is not it.
        (tile.path(width) == path).then_some((tile, width))
    }
}

/// The hashes of a tile, and the complete nodes that they fold into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Its hashes, then the nodes over each two of them, and so on up to at most one.
    levels: Vec<Vec<Hash>>,
}

impl Tile {
    /// Folds the first hashes of a tile, or all of them.
    pub fn new(hashes: Vec<Hash>) -> Self {
        let mut levels = vec![hashes];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(level.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect());
        }
        Self { levels }
    }

    /// What is stored of it.
    pub fn hashes(&self) -> &[Hash] {
        &self.levels[0]
    }

    /// The node over some of its hashes, as [`TileId::holding`] names them; `None` where no complete node is over these.
    pub fn node(&self, places: &Range<u16>) -> Option<Hash> {
        let width = places.end.checked_sub(places.start).filter(|width| width.is_power_of_two())?;
        let level = self.levels.get(usize::try_from(width.trailing_zeros()).ok()?)?;
        let is_aligned = places.start.is_multiple_of(width);
        level.get(usize::from(places.start / width)).copied().filter(|_| is_aligned)
    }

    /// The node over a full tile, which is a hash of the tile above.
    pub fn root(&self) -> Option<Hash> {
        self.node(&(0..TILE_WIDTH))
    }
}

const LEAF_TILES: &str = "tile/0/";
const BUNDLES: &str = "tile/entries/";

/// Longest path of a tile: seven groups reach 2^64.
const PATH_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{Frontier, inclusion_path, leaf_hash, root_from_path};

    #[test]
    fn paths_follow_the_groups_of_three_digits() {
        for (level, index, width, path) in [
            (0, 0, None, "tile/0/000"),
            (0, 999, None, "tile/0/999"),
            (0, 1067, None, "tile/0/x001/067"),
            (1, 1_234_067, Some(8), "tile/1/x001/x234/067.p/8"),
            (7, u64::MAX, Some(255), "tile/7/x018/x446/x744/x073/x709/x551/615.p/255"),
        ] {
            let tile = TileId { level, index };
            assert_eq!(tile.path(width), path);
            assert_eq!(TileId::parse_path(path), Some((tile, width)));
        }
    }

    #[test]
    fn only_the_one_spelling_of_a_path_is_read() {
        for path in [
            "",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/000",
            "tile/0/001/067",
            "tile/0/x001",
            "tile/00/000",
            "tile/8/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/08",
            "tile/0/000.p/",
            "tile/0/+01",
            "tile/0/../000",
            "/tile/0/000",
            "tile/0/000/",
            "tile/-1/000",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert_eq!(TileId::parse_path(path), None, "{path}");
        }
    }

    #[test]
    fn bundles_have_the_paths_of_leaf_tiles() {
        for (index, width, path) in
            [(0, None, "tile/entries/000"), (1_234_067, Some(8), "tile/entries/x001/x234/067.p/8")]
        {
            assert_eq!(TileId::bundle_path(index, width), path);
            assert_eq!(TileId::parse_bundle_path(path), Some((index, width)));
        }
        for path in ["tile/entries/", "tile/entries/0", "tile/0/000", "tile/entries/000.p/0", "tile/entries/0/000"] {
            assert_eq!(TileId::parse_bundle_path(path), None, "{path}");
        }
    }

    #[test]
    fn widths_follow_the_tree_size() {
        let tile = |level, index| TileId { level, index };
        assert_eq!(tile(0, 0).width(0), 0);
        assert_eq!(tile(0, 0).width(255), 255);
        assert_eq!(tile(0, 0).width(256), 256);
        assert_eq!(tile(0, 1).width(256), 0);
        assert_eq!(tile(0, 1).width(257), 1);
        assert_eq!(tile(1, 0).width(65_535), 255);
        assert_eq!(tile(1, 0).width(65_536), 256);
        assert_eq!(tile(2, 0).width(65_536), 1);
        assert_eq!(tile(200, 0).width(u64::MAX), 0);
    }

    #[test]
    fn a_node_is_found_in_the_tile_that_stores_its_leaves() {
        assert_eq!(TileId::holding(0, 300), (TileId { level: 0, index: 1 }, 44..45));
        assert_eq!(TileId::holding(3, 33), (TileId { level: 0, index: 1 }, 8..16));
        assert_eq!(TileId::holding(7, 1), (TileId { level: 0, index: 0 }, 128..256));
        assert_eq!(TileId::holding(8, 1), (TileId { level: 1, index: 0 }, 1..2));
        assert_eq!(TileId::holding(63, 1), (TileId { level: 7, index: 0 }, 128..256));
        assert_eq!(TileId::holding(0, u64::MAX), (TileId { level: 0, index: u64::MAX >> 8 }, 255..256));
    }

    #[test]
    fn tiles_alone_prove_every_leaf() {
        let size: u64 = 70_000;
        let leaves: Vec<Hash> = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let root = Frontier::new().append(&leaves).root;
        let mut stored = vec![leaves.clone()];
        while stored.last().is_some_and(|level| level.len() >= usize::from(TILE_WIDTH)) {
            let below = &stored[stored.len() - 1];
            stored.push(below.as_chunks::<256>().0.iter().filter_map(|tile| Tile::new(tile.to_vec()).root()).collect());
        }
        let mut node = |level: u8, index: u64| -> Result<Hash, String> {
            let (tile, places) = TileId::holding(level, index);
            if places.end > tile.width(size) {
                return Err(format!("{} is not that wide", tile.path(None)));
            }
            let start = usize::try_from(tile.index).expect("small") * usize::from(TILE_WIDTH);
            let hashes = &stored[usize::from(tile.level)][start..][..usize::from(tile.width(size))];
            Tile::new(hashes.to_vec()).node(&places).ok_or_else(String::new)
        };
        for index in [0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, size - 1] {
            let path = inclusion_path(index, size, &mut node).expect("every node is in a tile");
            let leaf = leaves[usize::try_from(index).expect("small")];
            assert_eq!(root_from_path(index, size, &leaf, &path), Ok(root), "leaf {index}");
        }
    }

    #[test]
    fn a_tile_gives_the_nodes_that_are_over_its_hashes_and_no_others() {
        let hashes: Vec<Hash> = (0..6).map(|byte| [byte; 32]).collect();
        let tile = Tile::new(hashes.clone());
        let pair = |at: usize| node_hash(&hashes[at], &hashes[at + 1]);
        assert_eq!(tile.node(&(5..6)), Some(hashes[5]));
        assert_eq!(tile.node(&(4..6)), Some(pair(4)));
        assert_eq!(tile.node(&(0..4)), Some(node_hash(&pair(0), &pair(2))));
        for none in [0..0, 1..3, 0..3, 4..8, 6..7, 0..8, 0..TILE_WIDTH, Range { start: 3, end: 2 }] {
            assert_eq!(tile.node(&none), None, "{none:?}");
        }
        assert_eq!(Tile::new(Vec::new()).node(&(0..1)), None);
    }
}
