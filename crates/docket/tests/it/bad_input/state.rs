//! All that can be seen of a server, to find out whether anything changed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Ask as _, Fsck, Server, Site};

/// Repositories with their tags, claims, and what `fsck` counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State {
    tags: BTreeMap<String, Vec<String>>,
    claims: Value,
    stored: Fsck,
}

impl State {
    /// Looks at everything.
    pub(super) async fn of(site: &Site, server: &Server) -> Self {
        let mut tags = BTreeMap::new();
        for name in server.request("GET", "/v2/_catalog").expect(200).await.strings("repositories") {
            let listed = server.repository(&name).tags().await;
            tags.insert(name, listed);
        }
        let claims = server.request("GET", "/api/v1/claims?limit=1000").expect(200).await.json();
        Self { tags, claims, stored: site.fsck_clean() }
    }

    /// Looks again and insists that nothing changed.
    pub(super) async fn is_unchanged(&self, site: &Site, server: &Server) {
        assert_eq!(Self::of(site, server).await, *self);
    }
}
