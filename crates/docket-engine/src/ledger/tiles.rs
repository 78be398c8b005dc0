//! The tree's inner hashes, in tiles of 256 (C2SP tlog-tiles). Full tiles are files, written after release and made
//! again from the rows where one is missing; partial tiles are computed, never stored.

use std::collections::HashMap;
use std::sync::Arc;

use docket_proof::merkle::{Hash, NodeReader, PathError, consistency_path, inclusion_path};
use docket_proof::tile::{TILE_WIDTH, Tile, TileId};
use docket_store::Store;
use moka::sync::Cache;
use tokio::sync::mpsc;

use crate::crash::CrashPoint;
use crate::error::EngineError;
use crate::ledger::Shared;

/// Makes a path from the nodes it asks for.
type PathMaker<'p> = dyn Fn(&mut NodeReader<'_, ()>) -> Result<Vec<Hash>, PathError<()>> + Sync + 'p;

/// Reads tiles, through a cache: a tile of a given width never changes.
#[derive(Debug)]
pub(super) struct Tiles {
    store: Arc<Store>,
    cache: Cache<(TileId, u16), Arc<Tile>>,
}

impl Tiles {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, cache: Cache::new(CACHED_TILES_MAX) }
    }

    /// The inclusion path of an entry in the tree of a size.
    pub(super) async fn path(&self, index: u64, size: u64) -> Result<Vec<Hash>, EngineError> {
        self.prove(size, &|node| inclusion_path(index, size, node)).await
    }

    /// The proof that the tree of a size continues an older one.
    pub(super) async fn consistency(&self, old_size: u64, size: u64) -> Result<Vec<Hash>, EngineError> {
        self.prove(size, &|node| consistency_path(old_size, size, node)).await
    }

    async fn prove(&self, size: u64, path: &PathMaker<'_>) -> Result<Vec<Hash>, EngineError> {
        let unproven = || EngineError::Unproven(format!("no such path in a tree of size {size}"));
        // The path is asked for twice: first to learn which nodes it needs, then with their hashes.
        let mut wanted = Vec::new();
        let mut want = |level, at| {
            wanted.push((level, at));
            Ok([0; 32])
        };
        path(&mut want).map_err(|_| unproven())?;
        let mut nodes = HashMap::with_capacity(wanted.len());
        for (level, at) in wanted {
            let (tile, places) = TileId::holding(level, at);
            let node = self.tile(tile, tile.width(size)).await?.node(&places);
            nodes.insert((level, at), node.ok_or_else(unproven)?);
        }
        let mut found = |level, at| nodes.get(&(level, at)).copied().ok_or(());
        path(&mut found).map_err(|_| unproven())
    }

    /// The first `width` hashes of a tile, folded.
    pub(super) async fn tile(&self, tile: TileId, width: u16) -> Result<Arc<Tile>, EngineError> {
        if let Some(known) = self.cache.get(&(tile, width)) {
            return Ok(known);
        }
        let stored = if width == TILE_WIDTH { self.stored(tile).await? } else { None };
        let hashes = match stored {
            Some(hashes) => hashes,
            None => self.compute(tile, width).await?,
        };
        let folded = Arc::new(Tile::new(hashes));
        self.cache.insert((tile, width), Arc::clone(&folded));
        Ok(folded)
    }

    async fn stored(&self, tile: TileId) -> Result<Option<Vec<Hash>>, EngineError> {
        let bytes = self.store.read_tile(&tile.path(None)).await?;
        let whole = |bytes: Vec<u8>| (bytes.len() == TILE_BYTES).then(|| bytes.as_chunks::<32>().0.to_vec());
        Ok(bytes.and_then(whole))
    }

    /// A tile from the rows: leaves, or roots of the full tiles below.
    pub(super) async fn compute(&self, tile: TileId, width: u16) -> Result<Vec<Hash>, EngineError> {
        let first = tile.index * u64::from(TILE_WIDTH);
        let end = first + u64::from(width);
        let hashes = if tile.level == 0 {
            self.store.leaves(first, end).await?
        } else {
            let mut roots = Vec::with_capacity(usize::from(width));
            for index in first..end {
                let below = TileId { level: tile.level - 1, index };
                roots.extend(Box::pin(self.tile(below, TILE_WIDTH)).await?.root());
            }
            roots
        };
        if hashes.len() == usize::from(width) {
            return Ok(hashes);
        }
        Err(EngineError::Unproven(format!("the leaves {first} to {end} of level {} are not all there", tile.level)))
    }
}

/// Writes the tiles that a growing tree fills, in order, level by level. Ends with the sequencer.
pub(super) async fn export(shared: Arc<Shared>, mut sizes: mpsc::Receiver<u64>) {
    let mut next: Vec<Option<u64>> = Vec::new();
    let mut size = shared.read(|state| state.head.size);
    loop {
        for level in 0..LEVELS {
            let full = full_tiles(level, size);
            if full == 0 {
                break;
            }
            if next.len() <= usize::from(level) {
                next.push(None);
            }
            if let Err(failure) = export_level(&shared, level, &mut next[usize::from(level)], full).await {
                tracing::warn!(%failure, level, "exporting tiles failed; they are made when asked for");
            }
        }
        match sizes.recv().await {
            Some(_) => size = shared.read(|state| state.head.size),
            None => return,
        }
    }
}

async fn export_level(shared: &Shared, level: u8, next: &mut Option<u64>, full: u64) -> Result<(), EngineError> {
    let mut index = match *next {
        Some(index) => index,
        None => first_missing(shared, level, full).await?,
    };
    while index < full {
        let tile = TileId { level, index };
        let hashes = shared.tiles.compute(tile, TILE_WIDTH).await?;
        CrashPoint::DuringExport.reached(shared.crash_at);
        shared.store.write_tile(&tile.path(None), hashes.concat()).await?;
        index += 1;
        *next = Some(index);
    }
    *next = Some(index);
    Ok(())
}

/// Tiles are written in order, so the last ones are the ones a crash may have kept from the disk.
async fn first_missing(shared: &Shared, level: u8, full: u64) -> Result<u64, EngineError> {
    let mut missing = full;
    while missing > 0 && shared.tiles.stored(TileId { level, index: missing - 1 }).await?.is_none() {
        missing -= 1;
    }
    Ok(missing)
}

impl Shared {
    /// Compares every full tile on disk with one made from the rows: how many were there, and which differ.
    pub(super) async fn check_tiles(&self) -> Result<(u64, Vec<String>), EngineError> {
        let size = self.read(|state| state.head.size);
        // A cache of its own, so that nothing read from a file proves another file.
        let fresh = Tiles::new(Arc::clone(&self.store));
        let (mut checked, mut problems) = (0, Vec::new());
        for level in 0..LEVELS {
            for index in 0..full_tiles(level, size) {
                let tile = TileId { level, index };
                let Some(stored) = fresh.stored(tile).await? else { continue };
                checked += 1;
                if stored != fresh.compute(tile, TILE_WIDTH).await? {
                    problems.push(format!("tile {} is not what the entries give", tile.path(None)));
                }
            }
        }
        Ok((checked, problems))
    }
}

/// Full tiles of a level in a tree of a size.
fn full_tiles(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0)
}

const TILE_BYTES: usize = 256 * 32;
/// A tree of 2^64 entries has eight levels of tiles.
const LEVELS: u8 = 8;
/// Tiles in memory: 16 KiB each with the nodes between, 4 MiB in all.
const CACHED_TILES_MAX: u64 = 256;
