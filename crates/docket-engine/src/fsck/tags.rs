//! Whether tags stand where the ledger last observed them: the tag table is signed by nobody, the entries are.

use docket_oci::digest::Digest;
use docket_proof::statement::SignedStatement;
use docket_store::ObservedTagNow;

use super::{FsckReport, PAGE};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::observe::{Event, Observation};

impl Instance {
    /// Compares each tag that was ever observed with its newest observation. Where observation was suspended since, the tag may
    /// have moved unobserved, and an entry says so; a tag that was never observed, nobody spoke of.
    pub(super) async fn check_tags(&self, report: &mut FsckReport) -> Result<(), EngineError> {
        let mut after = (0, String::new());
        loop {
            // Tag and observations of one moment, so that a push in between is no lie.
            let page = self.store.observed_tags(&after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.position.clone();
            for observed in &page {
                if let Some(problem) = self.check_tag(observed).await? {
                    report.problem(format!("tag {}:{} {problem}", observed.repository, observed.tag));
                }
            }
        }
    }

    async fn check_tag(&self, observed: &ObservedTagNow) -> Result<Option<String>, EngineError> {
        let (newest, repository) = (observed.newest, &observed.repository);
        let switch = match observed.switched {
            None => None,
            Some(index) => Some((index, self.observation(index).await?.filter(|said| said.repository == *repository))),
        };
        let is_gap = match &switch {
            None => false,
            Some((index, Some(Observation { event: Event::Resumed, .. }))) => *index > newest,
            Some((_, Some(Observation { event: Event::Suspended, .. }))) => true,
            Some((index, _)) => {
                return Ok(Some(format!("may have moved unobserved by entry {index}, which does not say so")));
            }
        };
        if is_gap {
            return Ok(None);
        }
        let said = self.observation(newest).await?.filter(|said| said.repository == *repository);
        let says = |said: &Observation| said.tags.iter().any(|it| it.tag.as_str() == observed.tag);
        let Some(said) = said.filter(says) else {
            return Ok(Some(format!("was last observed by entry {newest}, which does not speak of it")));
        };
        let left = said.digest.filter(|_| said.event == Event::Tagged);
        let on = |digest: Option<Digest>| digest.map_or_else(|| "nowhere".to_owned(), |digest| format!("on {digest}"));
        let (now, then) = (on(observed.digest), on(left));
        Ok((left != observed.digest)
            .then(|| format!("stands {now}, but entry {newest}, the newest about it, left it {then}")))
    }

    async fn observation(&self, index: u64) -> Result<Option<Observation>, EngineError> {
        let row = self.store.entry(index).await?;
        let statement = row.and_then(|row| SignedStatement::decode(&row.bytes).ok());
        Ok(statement.filter(|it| it.issuer() == self.service()).and_then(|it| Observation::of(&it)))
    }
}
