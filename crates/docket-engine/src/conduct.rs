//! What a registry does where the spec leaves the choice to whoever runs it.

/// The operator's choices. The default is what clients expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conduct {
    /// Whether tags, manifests and blobs can be deleted.
    pub deletes: bool,
    /// Whether image manifests are taken whose config or layers the repository lacks.
    pub sparse_images: bool,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { deletes: true, sparse_images: false }
    }
}
