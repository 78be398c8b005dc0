//! Where a registry that keeps a ledger has placed its own statements about an artifact.

use docket_oci::query::escape;
use docket_oci::{Digest, RepositoryName};
use serde::Deserialize;

use super::Registry;

/// A page of the registry's answer, as far as it says where claims stand.
#[derive(Deserialize)]
struct Page {
    claims: Vec<Claim>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Claim {
    placements: Vec<Placement>,
}

#[derive(Deserialize)]
struct Placement {
    repository: String,
    statement: Digest,
    evidence: Option<Digest>,
}

impl Registry {
    /// Evidence and statement manifests in a repository, as its ledger has them; as many as come without a failure.
    pub(crate) async fn placed(&self, repository: &RepositoryName, artifact: &Digest) -> Vec<Digest> {
        let first = format!("/api/v1/claims?artifact={artifact}&limit=1000");
        let (mut path, mut digests) = (first.clone(), Vec::new());
        for _ in 0..PAGES_MAX {
            let Ok(reply) = self.get(&path, "application/json").await else { break };
            let Ok(page) = serde_json::from_slice::<Page>(&reply.body) else { break };
            let placements = page.claims.into_iter().flat_map(|claim| claim.placements);
            for placement in placements.filter(|placement| placement.repository == repository.as_str()) {
                digests.extend(placement.evidence.into_iter().chain([placement.statement]));
            }
            let Some(next) = page.next else { break };
            path = format!("{first}&cursor={}", escape(&next));
        }
        let mut seen = std::collections::HashSet::new();
        digests.retain(|digest| seen.insert(*digest));
        digests
    }
}

/// Pages that are read, of a thousand claims each.
const PAGES_MAX: usize = 16;
