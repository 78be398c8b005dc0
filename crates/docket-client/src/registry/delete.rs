//! Removes what stands on a registry.

use docket_oci::{Reference, RepositoryName};
use http::{HeaderMap, Method};

use super::Registry;
use super::connection::{Outgoing, Payload};
use crate::error::ClientError;

impl Registry {
    /// Removes a tag, or by digest a manifest with every tag on it; false if there was none.
    ///
    /// Not every registry removes tags alone: one that does not refuses, and nothing is changed.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<bool, ClientError> {
        let action = format!("remove {repository} {reference}");
        let call = Outgoing {
            action: action.clone(),
            method: Method::DELETE,
            url: self.connection.repository_url(repository, &format!("manifests/{reference}")),
            scopes: vec![format!("repository:{repository}:delete")],
            headers: HeaderMap::new(),
            payload: Payload::Empty,
        };
        let response = self.connection.send(call).await?;
        let response = self.connection.expect(&action, response, &[200, 202, 204, 404]).await?;
        Ok(response.status() != reqwest::StatusCode::NOT_FOUND)
    }
}
