//! Reads listings page by page: repositories, tags and referrers.

use std::collections::BTreeMap;

use docket_oci::manifest::{Kind, MANIFEST_BYTES_MAX, index_bytes};
use docket_oci::response::{Catalog, TagList, parse_next_link};
use docket_oci::{Descriptor, Digest, Reference, RepositoryName, Tag, media};
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::{Response, Url};

use super::connection::{Outgoing, Payload, read_bounded};
use super::{CATALOG_SCOPE, FetchedManifest, Registry, pull_scope};
use crate::error::ClientError;

impl Registry {
    /// All repositories that the registry shows us, in its order.
    pub async fn repositories(&self) -> Result<Vec<RepositoryName>, ClientError> {
        let action = "list the repositories";
        let mut repositories = Vec::new();
        let mut next = Some(self.connection.resolve(action, self.base_url(), "/v2/_catalog")?);
        let mut pages = 0;
        while let Some(url) = next {
            self.count_page(&mut pages)?;
            let response = self.ask_page(action, vec![CATALOG_SCOPE.to_owned()], url).await?;
            let response = self.connection.expect(action, response, &[200]).await?;
            next = self.next_page(action, &response)?;
            let body = read_bounded(response, self.host(), action, MANIFEST_BYTES_MAX as u64).await?;
            let page: Catalog =
                serde_json::from_slice(&body).map_err(|_| self.connection.protocol(action, "it sent no catalog"))?;
            repositories.extend(page.repositories);
            if repositories.len() > REPOSITORIES_MAX {
                return Err(self.too_many("repositories", REPOSITORIES_MAX));
            }
        }
        Ok(repositories)
    }

    /// All tags of a repository, in the registry's order; an absent repository is an error.
    pub async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, ClientError> {
        let action = format!("list the tags of {repository}");
        let mut tags = Vec::new();
        let mut next = Some(self.connection.repository_url(repository, "tags/list"));
        let mut pages = 0;
        while let Some(url) = next {
            self.count_page(&mut pages)?;
            let response = self.ask_page(&action, pull_scope(repository), url).await?;
            let response = self.connection.expect(&action, response, &[200]).await?;
            next = self.next_page(&action, &response)?;
            let body = read_bounded(response, self.host(), &action, MANIFEST_BYTES_MAX as u64).await?;
            let page: TagList =
                serde_json::from_slice(&body).map_err(|_| self.connection.protocol(&action, "it sent no tag list"))?;
            tags.extend(page.tags);
            if tags.len() > TAGS_MAX {
                return Err(self.too_many("tags", TAGS_MAX));
            }
        }
        Ok(tags)
    }

    /// The descriptors of all manifests whose subject is `digest`, of one artifact type or of any.
    ///
    /// Registries without the referrers API keep them in an index under a tag made of the digest (distribution-spec,
    /// "Referrers Tag Schema"); that is read too. What is listed is the registry's word, to be checked against the manifests.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ClientError> {
        let action = format!("list the referrers of {repository} {digest}");
        let mut referrers = Vec::new();
        let mut first = self.connection.repository_url(repository, &format!("referrers/{digest}"));
        if let Some(artifact_type) = artifact_type {
            first.set_query(Some(&format!("artifactType={}", docket_oci::query::escape(artifact_type))));
        }
        let mut next = Some(first);
        let mut pages = 0;
        while let Some(url) = next {
            self.count_page(&mut pages)?;
            let response = self.ask_page(&action, pull_scope(repository), url).await?;
            if response.status() == reqwest::StatusCode::NOT_FOUND && pages == 1 {
                referrers = self.referrers_by_tag(repository, digest).await?;
                break;
            }
            let response = self.connection.expect(&action, response, &[200]).await?;
            next = self.next_page(&action, &response)?;
            let body = read_bounded(response, self.host(), &action, MANIFEST_BYTES_MAX as u64).await?;
            let page = FetchedManifest::check(self.host(), None, Some(media::OCI_IMAGE_INDEX), body)?;
            referrers.extend(page.manifest.manifests);
            if referrers.len() > REFERRERS_MAX {
                return Err(self.too_many("referrers", REFERRERS_MAX));
            }
        }
        // A registry need not filter, so we do.
        referrers
            .retain(|referrer| artifact_type.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted)));
        Ok(referrers)
    }

    async fn referrers_by_tag(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, ClientError> {
        match self.manifest(repository, &Reference::Tag(Tag::of_referrers(digest))).await {
            // What stands under the tag is no list, so nothing is listed.
            Err(ClientError::Manifest { .. }) => Ok(Vec::new()),
            index => Ok(index?.map(|index| index.manifest.manifests).unwrap_or_default()),
        }
    }

    /// Adds a manifest to the list of its subject's referrers on a registry that keeps none itself.
    ///
    /// The list is a manifest under a tag: two who add at the same time can lose one of the two, which is why the referrers API exists.
    pub async fn list_referrer_by_tag(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: Descriptor,
    ) -> Result<(), ClientError> {
        let tag = Reference::Tag(Tag::of_referrers(subject));
        let mut referrers = match self.manifest(repository, &tag).await? {
            Some(index) if index.manifest.kind() == Kind::Index => index.manifest.manifests,
            // Somebody uses the tag for something else, which must not be lost.
            Some(_) => {
                let action = format!("list a referrer under {repository} {tag}");
                return Err(self.connection.protocol(&action, "what stands there is no list of referrers"));
            }
            None => Vec::new(),
        };
        if referrers.iter().any(|listed| listed.digest == referrer.digest) {
            return Ok(());
        }
        referrers.push(referrer);
        let bytes = index_bytes(&referrers, &BTreeMap::new());
        self.put_manifest(repository, &tag, media::OCI_IMAGE_INDEX, bytes.into()).await.map(|_| ())
    }

    async fn ask_page(&self, action: &str, scopes: Vec<String>, url: Url) -> Result<Response, ClientError> {
        let accept = HeaderValue::from_static("application/json, application/vnd.oci.image.index.v1+json");
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept)]);
        let action = action.to_owned();
        self.connection
            .send(Outgoing { action, method: Method::GET, url, scopes, headers, payload: Payload::Empty })
            .await
    }

    /// The next page, which must be on the same registry.
    fn next_page(&self, action: &str, response: &Response) -> Result<Option<Url>, ClientError> {
        let mut links = response.headers().get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
        let Some(target) = links.find_map(parse_next_link) else { return Ok(None) };
        let url = self.connection.resolve(action, response.url(), target)?;
        if self.connection.is_own(&url) {
            Ok(Some(url))
        } else {
            Err(self.connection.protocol(action, "its next page is on another host"))
        }
    }

    fn count_page(&self, pages: &mut usize) -> Result<(), ClientError> {
        *pages += 1;
        if *pages > LISTING_PAGES_MAX { Err(self.too_many("pages in one listing", LISTING_PAGES_MAX)) } else { Ok(()) }
    }

    fn too_many(&self, what: &'static str, limit: usize) -> ClientError {
        ClientError::TooMuch { place: self.host().to_owned(), what, limit: limit as u64 }
    }
}

/// The most pages of one listing.
pub const LISTING_PAGES_MAX: usize = 1_000;
/// The most repositories of one registry.
pub const REPOSITORIES_MAX: usize = 200_000;
/// The most tags of one repository.
pub const TAGS_MAX: usize = 200_000;
/// The most referrers of one digest.
pub const REFERRERS_MAX: usize = 10_000;
