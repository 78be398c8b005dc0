//! `[registry]`: what the registry does where the distribution spec leaves the choice to its operator.

use docket_engine::Conduct;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Registry {
    /// Whether tags, manifests and blobs can be deleted (`registry.deletes`, `DOCKET_REGISTRY__DELETES`, default true).
    /// If not, every way to delete answers 405, whatever the access rules say.
    deletes: bool,
    /// Whether an image manifest is taken although its config or layers were not pushed (`registry.sparse_images`,
    /// `DOCKET_REGISTRY__SPARSE_IMAGES`, default false). An index may always name what is not there.
    sparse_images: bool,
}

impl Registry {
    /// As the engine takes it.
    pub(crate) fn conduct(self) -> Conduct {
        let Self { deletes, sparse_images } = self;
        Conduct { deletes, sparse_images }
    }
}

impl Default for Registry {
    fn default() -> Self {
        let Conduct { deletes, sparse_images } = Conduct::default();
        Self { deletes, sparse_images }
    }
}
