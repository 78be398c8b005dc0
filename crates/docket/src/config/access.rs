//! `[access]`: who may do what. Without this section the server answers on loopback only, and anyone there may push.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use docket_engine::{ImmutableTags, Instance, Passwords, Rule, Rules, RulesDraft};
use serde::{Deserialize, Serialize};

/// Who may do what; what no rule allows is denied.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    /// Accounts and their passwords (`access.htpasswd`): a file as `htpasswd -B` makes it. Without it there are no accounts, and
    /// rules reach only `anonymous`.
    htpasswd: Option<PathBuf>,
    /// How long a token is good for (`access.token_ttl`, default `15m`, at least `60s`).
    #[serde(with = "humantime_serde")]
    token_ttl: Duration,
    /// Who may do what where (`[[access.rules]]`).
    rules: Vec<Rule>,
    /// Accounts by the name of their group (`[access.groups]`).
    groups: BTreeMap<String, Vec<String>>,
    /// Tags that can be made but neither moved nor removed (`[[access.immutable_tags]]`).
    immutable_tags: Vec<ImmutableTags>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            htpasswd: None,
            token_ttl: Duration::from_mins(15),
            rules: Vec::new(),
            groups: BTreeMap::new(),
            immutable_tags: Vec::new(),
        }
    }
}

impl Access {
    /// The rules of a configuration, checked; the password file is read each time. `None` if there are to be none, which a
    /// running server that has some does not take: it would be open.
    pub(crate) fn rules(section: Option<&Self>, instance: &Instance) -> anyhow::Result<Option<Rules>> {
        let Some(section) = section else {
            let message = "the configuration has no [access] any more; without rules this server would be open, so it \
                keeps those it has: restart it if that is meant";
            anyhow::ensure!(!instance.access().has_rules(), message);
            return Ok(None);
        };
        let rules = section.check()?;
        for account in rules.unknown_accounts() {
            tracing::warn!(account = account.as_str(), "an access rule names an account that has no password");
        }
        Ok(Some(rules))
    }

    fn check(&self) -> anyhow::Result<Rules> {
        let passwords = match &self.htpasswd {
            None => Passwords::none(),
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("cannot read access.htpasswd {}", path.display()))?;
                Passwords::parse(&text).with_context(|| format!("access.htpasswd {} is not usable", path.display()))?
            }
        };
        let draft = RulesDraft {
            rules: self.rules.clone(),
            groups: self.groups.clone(),
            immutable_tags: self.immutable_tags.clone(),
            passwords,
            token_ttl: self.token_ttl,
        };
        Rules::new(draft).context("[access] is not usable")
    }
}
