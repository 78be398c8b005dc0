//! Entry bundles (C2SP tlog-tiles): entries one after the other, each behind its length in two bytes.

/// Most bytes an entry of a bundle may have.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// Why bytes are no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It ends in the middle of an entry or its length.
    #[error("the bundle ends in the middle of entry {entry}")]
    CutOff {
        /// Which, from 0 on.
        entry: usize,
    },
    /// More than a bundle holds.
    #[error("the bundle has more than {} entries", super::TILE_WIDTH)]
    TooManyEntries,
}

/// The bundle of some entries; `None` if one of them is longer than [`ENTRY_BYTES_MAX`].
pub fn encode_bundle<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Option<Vec<u8>> {
    let mut bundle = Vec::new();
    for entry in entries {
        bundle.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
        bundle.extend(entry);
    }
    Some(bundle)
}

/// The entries of a bundle, at most as many as a tile has hashes.
pub fn decode_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        if entries.len() == usize::from(super::TILE_WIDTH) {
            return Err(BundleError::TooManyEntries);
        }
        let cut_off = BundleError::CutOff { entry: entries.len() };
        let (length, after) = rest.split_first_chunk::<2>().ok_or(cut_off)?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(cut_off)?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_their_bundle() {
        let longest = vec![7; ENTRY_BYTES_MAX];
        let entries = [b"first".as_slice(), b"", &longest];
        let bundle = encode_bundle(entries).expect("all fit");
        assert_eq!(bundle[..7], *b"\0\x05first");
        assert_eq!(decode_bundle(&bundle), Ok(entries.to_vec()));
        assert_eq!(decode_bundle(&[]), Ok(Vec::new()));
        assert_eq!(encode_bundle([vec![7; ENTRY_BYTES_MAX + 1].as_slice()]), None);
    }

    #[test]
    fn a_bundle_that_is_cut_anywhere_says_in_which_entry() {
        let bundle = encode_bundle([b"one".as_slice(), b"two"]).expect("both fit");
        for length in (1..bundle.len()).filter(|&length| length != 5) {
            let entry = usize::from(length > 5);
            assert_eq!(decode_bundle(&bundle[..length]), Err(BundleError::CutOff { entry }), "{length} bytes");
        }
    }

    #[test]
    fn a_bundle_holds_a_tile_of_entries_and_no_more() {
        let bundle = encode_bundle([[].as_slice(); 256]).expect("empty entries fit");
        assert_eq!(decode_bundle(&bundle).map(|entries| entries.len()), Ok(256));
        let bundle = encode_bundle([[].as_slice(); 257]).expect("empty entries fit");
        assert_eq!(decode_bundle(&bundle), Err(BundleError::TooManyEntries));
    }
}
