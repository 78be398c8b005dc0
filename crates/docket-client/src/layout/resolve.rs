//! Finds artifacts in a layout: by name, by being the only one, by what refers to them.

use std::collections::{HashMap, HashSet, VecDeque};

use docket_oci::{Descriptor, Digest, Reference, media};

use super::{LAYOUT_MANIFESTS_MAX, Layout};
use crate::error::ClientError;

impl Layout {
    /// The manifest that a reference on the command line means: a digest, a name of `index.json`, or nothing.
    ///
    /// Nothing means the only artifact there is. Where claims were copied along, that is the only one with a name, or the
    /// only one that is not about another.
    pub async fn resolve(&self, reference: Option<&str>) -> Result<Digest, ClientError> {
        if let Some(reference) = reference {
            let digest = reference.parse().ok().or_else(|| self.named(reference).map(|named| named.digest));
            return digest.ok_or_else(|| ClientError::Absent {
                place: self.place(),
                what: format!("artifact named {reference}"),
            });
        }
        let listed = self.listed();
        if listed.is_empty() {
            return Err(ClientError::Absent { place: self.place(), what: "artifact".to_owned() });
        }
        if let Some(only) = only(listed.iter()) {
            return Ok(only);
        }
        if let Some(only) = only(listed.iter().filter(|listed| name_of(listed).is_some())) {
            return Ok(only);
        }
        let referrers: HashSet<Digest> =
            self.referrer_map().await?.values().flatten().map(|referrer| referrer.digest).collect();
        let own = only(listed.iter().filter(|listed| !referrers.contains(&listed.digest)));
        own.ok_or_else(|| {
            let names = listed.iter().filter(|listed| !referrers.contains(&listed.digest));
            let names = names.map(|listed| name_of(listed).map_or_else(|| listed.digest.to_string(), str::to_owned));
            let names = names.take(NAMES_SHOWN_MAX).collect::<Vec<_>>().join(", ");
            ClientError::Ambiguous { place: self.place(), names }
        })
    }

    /// The manifests whose subject is `digest`, of one artifact type or of any: all that can be reached from `index.json` are looked at.
    pub async fn referrers(
        &self,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ClientError> {
        let all = self.referrer_map().await?.get(digest).map_or(&[][..], Vec::as_slice);
        let wanted = |referrer: &&Descriptor| {
            artifact_type.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted))
        };
        Ok(all.iter().filter(wanted).cloned().collect())
    }

    /// The name that `index.json` gives a manifest.
    pub fn name_of(&self, digest: &Digest) -> Option<&str> {
        self.listed().iter().filter(|listed| listed.digest == *digest).find_map(name_of)
    }

    /// What `index.json` lists under a name.
    pub(super) fn named(&self, name: &str) -> Option<&Descriptor> {
        self.listed().iter().find(|listed| name_of(listed) == Some(name))
    }

    async fn referrer_map(&self) -> Result<&HashMap<Digest, Vec<Descriptor>>, ClientError> {
        self.referrers.get_or_try_init(|| self.read_referrers()).await
    }

    async fn read_referrers(&self) -> Result<HashMap<Digest, Vec<Descriptor>>, ClientError> {
        let mut by_subject: HashMap<Digest, Vec<Descriptor>> = HashMap::new();
        let mut seen = HashSet::new();
        let mut waiting: VecDeque<Digest> = manifests_of(self.listed()).collect();
        while let Some(digest) = waiting.pop_front() {
            if !seen.insert(digest) {
                continue;
            }
            if seen.len() > LAYOUT_MANIFESTS_MAX {
                let limit = LAYOUT_MANIFESTS_MAX as u64;
                return Err(ClientError::TooMuch { place: self.place(), what: "manifests", limit });
            }
            // An index may list what is not there; whoever needs it will be told.
            let Some(found) = self.manifest(&Reference::Digest(digest)).await? else { continue };
            if let Some(subject) = &found.manifest.subject {
                by_subject.entry(subject.digest).or_default().push(found.referrer_descriptor());
            }
            waiting.extend(manifests_of(found.manifest.children()));
        }
        Ok(by_subject)
    }
}

/// How many names an error lists.
const NAMES_SHOWN_MAX: usize = 20;

fn name_of(descriptor: &Descriptor) -> Option<&str> {
    descriptor.annotations.get(media::ANNOTATION_REF_NAME).map(String::as_str)
}

fn manifests_of(descriptors: &[Descriptor]) -> impl Iterator<Item = Digest> {
    descriptors.iter().filter(|listed| media::is_manifest(&listed.media_type)).map(|listed| listed.digest)
}

/// The one digest that all the descriptors have; listed twice under two names is still one artifact.
fn only<'a>(mut descriptors: impl Iterator<Item = &'a Descriptor>) -> Option<Digest> {
    let first = descriptors.next()?.digest;
    descriptors.all(|other| other.digest == first).then_some(first)
}
