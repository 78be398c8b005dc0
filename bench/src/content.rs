//! What is stored and read: blobs that cost no memory, and manifests, the same bytes at every server.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use docket_oci::manifest::{Descriptor, artifact_manifest};
use docket_oci::{Algorithm, Digest, Hasher, media};

/// A blob: a mark that makes it differ from all others, then noise that repeats, so that a gigabyte of it takes no
/// memory and a thousand of them share the same.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    mark: Vec<u8>,
    /// Length.
    pub bytes: u64,
    /// Its name.
    pub digest: Digest,
}

impl Blob {
    /// The blob of that name and length; the same name gives the same blob.
    pub(crate) fn new(name: &str, bytes: u64) -> Self {
        let mut blob = Self { bytes, ..Self::of(name.as_bytes()) };
        let mut hasher = Hasher::new(Algorithm::Sha256);
        blob.slices(0..bytes).for_each(|slice| hasher.update(slice));
        blob.digest = hasher.finish();
        blob
    }

    /// The blob with exactly this content.
    pub(crate) fn of(content: &[u8]) -> Self {
        Self { mark: content.to_vec(), bytes: content.len() as u64, digest: Digest::of(Algorithm::Sha256, content) }
    }

    /// Its bytes in that range, in pieces.
    pub(crate) fn slices(&self, range: Range<u64>) -> impl Iterator<Item = &[u8]> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let left = usize::try_from(range.end.checked_sub(at)?).ok()?;
            let from = usize::try_from(at).ok()?;
            let rest = match from.checked_sub(self.mark.len()) {
                None => &self.mark[from..],
                Some(from) => &NOISE[from % NOISE_BYTES..],
            };
            let slice = &rest[..rest.len().min(left)];
            at += slice.len() as u64;
            (!slice.is_empty()).then_some(slice)
        })
    }

    /// How a manifest names it as a layer.
    pub(crate) fn layer(&self) -> Descriptor {
        Descriptor::new("application/vnd.oci.image.layer.v1.tar", self.digest, self.bytes)
    }
}

/// The manifest of an image with these layers; the title makes it differ from others.
pub(crate) fn image(title: &str, layers: &[Descriptor]) -> Vec<u8> {
    artifact_manifest("application/vnd.example.image", layers, None, &titled(title))
}

/// A manifest that refers to another one.
pub(crate) fn referrer(title: &str, layer: &Blob, subject: &Descriptor) -> Vec<u8> {
    artifact_manifest("application/vnd.example.sbom", &[layer.layer()], Some(subject), &titled(title))
}

/// How a listing names a manifest.
pub(crate) fn described(manifest: &[u8]) -> Descriptor {
    Descriptor::of(media::OCI_IMAGE_MANIFEST, manifest)
}

fn titled(title: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("org.opencontainers.image.title".to_owned(), title.to_owned())])
}

/// Bytes that no compression finds anything in (xorshift64).
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(NOISE_BYTES).collect()
});

/// Small enough for a processor's cache: sending it costs the generator as little as can be.
const NOISE_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_as_long_as_asked_whatever_the_pieces() {
        for bytes in [0, 1, 2, 2048, 3 * 1024 * 1024 + 7] {
            let blob = Blob::new("a", bytes);
            let whole: Vec<u8> = blob.slices(0..bytes).flatten().copied().collect();
            assert_eq!((whole.len() as u64, Digest::of(Algorithm::Sha256, &whole)), (bytes, blob.digest));
            let middle = bytes / 3;
            let halves = blob.slices(0..middle).chain(blob.slices(middle..bytes));
            assert!(halves.flatten().copied().eq(whole));
        }
    }

    #[test]
    fn blobs_differ_by_name() {
        assert_ne!(Blob::new("a", 2048).digest, Blob::new("b", 2048).digest);
    }
}
