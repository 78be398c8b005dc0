//! Listings: repositories, tags, referrers.

use docket_oci::digest::Digest;
use docket_oci::name::{RepositoryName, Tag};

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;

/// A page of referrers.
#[derive(Debug, Clone)]
pub struct ReferrersPage {
    /// Their descriptors, JSON objects joined by commas: as they were written with their manifests, so that nothing is parsed here.
    pub descriptors: String,
    /// Where the next page starts, if there is one.
    pub next: Option<Digest>,
}

impl Instance {
    /// Tags after `last` in byte order, at most `limit`, and whether more follow.
    pub async fn tags(&self, permit: &Permit, last: &str, limit: usize) -> Result<(Vec<Tag>, bool), EngineError> {
        let repository = permit.repository(Right::Pull)?;
        let tags = self.store.tags(repository, last, limit + 1).await?.ok_or(EngineError::RepositoryUnknown)?;
        Ok(cut(tags, limit))
    }

    /// Names for the operator, at most `limit`, and whether more follow: repositories, or the tags of one.
    pub async fn stored_names(
        &self,
        permit: &Permit,
        repository: Option<&RepositoryName>,
        last: &str,
        limit: usize,
    ) -> Result<(Vec<String>, bool), EngineError> {
        permit.scope(Right::Admin)?;
        let names: Vec<String> = match repository {
            None => self.store.repositories(last, limit + 1).await?.iter().map(ToString::to_string).collect(),
            Some(repository) => {
                let tags = self.store.tags(repository, last, limit + 1).await?;
                tags.ok_or(EngineError::RepositoryUnknown)?.iter().map(ToString::to_string).collect()
            }
        };
        Ok(cut(names, limit))
    }

    /// Repositories after `last` in byte order that the caller may pull from, at most `limit`, and whether more follow.
    ///
    /// Names that are not shown are passed over in steps, and once something was found, only so many of them: a page may
    /// then be short. A page never ends on a name that is not shown, since that would show it.
    pub async fn repositories(
        &self,
        permit: &Permit,
        last: &str,
        limit: usize,
    ) -> Result<(Vec<RepositoryName>, bool), EngineError> {
        permit.scope(Right::Pull)?;
        let (mut shown, mut last, mut passed_over) = (Vec::new(), last.to_owned(), 0);
        loop {
            let step = (limit + 1).clamp(REPOSITORIES_STEP_MIN, REPOSITORIES_STEP_MAX);
            let names = self.store.repositories(&last, step).await?;
            let is_end = names.len() < step;
            names.last().into_iter().for_each(|name| name.as_str().clone_into(&mut last));
            let read = names.len();
            let before = shown.len();
            shown.extend(names.into_iter().filter(|name| self.access.shows(permit.account(), name)));
            passed_over += read - (shown.len() - before);
            if shown.len() > limit || is_end {
                return Ok(cut(shown, limit));
            }
            if !shown.is_empty() && passed_over > REPOSITORIES_PASSED_MAX {
                return Ok((shown, true));
            }
        }
    }

    /// Manifests that name `subject`, whether or not it was ever pushed.
    pub async fn referrers(
        &self,
        permit: &Permit,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&Digest>,
    ) -> Result<ReferrersPage, EngineError> {
        let repository = permit.repository(Right::Pull)?;
        if last.is_none()
            && let Some(descriptors) =
                self.store.joined_referrers(repository, subject, artifact_type, REFERRERS_PAGE_MAX).await?
        {
            return Ok(ReferrersPage { descriptors, next: None });
        }
        let page =
            self.store.referrers(repository, subject, artifact_type, last, REFERRERS_PAGE_MAX, REFERRERS_BYTES_MAX);
        let (rows, more) = page.await?;
        let next = rows.last().filter(|_| more).map(|row| row.digest);
        let descriptors = rows.into_iter().map(|row| row.descriptor).collect::<Vec<_>>().join(",");
        Ok(ReferrersPage { descriptors, next })
    }
}

/// Keeps a page of what was read one row too far.
fn cut<T>(mut rows: Vec<T>, limit: usize) -> (Vec<T>, bool) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    (rows, more)
}

/// Referrers in one answer.
const REFERRERS_PAGE_MAX: usize = 1000;
/// Bytes of descriptors in one answer: clients read at most 4 MiB, and annotations can be large.
const REFERRERS_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Names read at once, where some of them are not shown.
const REPOSITORIES_STEP_MIN: usize = 100;
/// The most names read at once: a full page and one.
const REPOSITORIES_STEP_MAX: usize = 10_001;
/// Names passed over in one answer that has something to show.
const REPOSITORIES_PASSED_MAX: usize = 50_000;
