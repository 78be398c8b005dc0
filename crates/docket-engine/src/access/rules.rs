//! Access rules: who may do what in which repositories, and which tags never move. What no rule allows is denied.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use docket_oci::name::{RepositoryName, Tag};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use super::account::{ANONYMOUS, AUTHENTICATED, GROUP_MARK};
use super::{Account, AccountError, AccountName, Passwords, Right, Rights};

/// One rule as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Account names, `anonymous` (everybody), `authenticated` (every account), `@group`.
    pub who: Vec<String>,
    /// Patterns of repository names: `*` stays within a segment, `**` does not. A rule for `**` speaks for the service
    /// as a whole besides.
    pub repositories: Vec<String>,
    /// What they may do there.
    pub allow: Vec<Right>,
}

/// Tags that can be made but neither moved nor removed, as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImmutableTags {
    /// Patterns of repository names.
    pub repositories: Vec<String>,
    /// Patterns of tags.
    pub tags: Vec<String>,
    /// Patterns of tags that can be moved all the same.
    #[serde(default)]
    pub except: Vec<String>,
}

/// All that access is decided by, as written.
#[derive(Debug)]
pub struct RulesDraft {
    /// Who may do what where.
    pub rules: Vec<Rule>,
    /// Accounts by the name of their group.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Tags that never move.
    pub immutable_tags: Vec<ImmutableTags>,
    /// Who has which password.
    pub passwords: Passwords,
    /// How long a token is good for, at least [`TOKEN_TTL_MIN`].
    pub token_ttl: Duration,
}

/// Rules that were checked, with their answers remembered.
#[derive(Debug)]
pub struct Rules {
    checked: Vec<CheckedRule>,
    immutable: Vec<CheckedImmutable>,
    pub(super) passwords: Passwords,
    pub(super) token_ttl: Duration,
    /// Answers by account and repository. New rules come with a new cache, so no answer outlives its rules.
    answers: Cache<String, Rights>,
}

/// Rules that cannot be used. The number is the position in the file, from 1.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Clients take tokens that live shorter for broken.
    #[error("token_ttl is less than {} seconds, the least that clients can work with", TOKEN_TTL_MIN.as_secs())]
    TokenTtl,
    /// A list that must name something is empty.
    #[error("{what} is empty: such a rule would never apply; name something or remove the rule")]
    Empty {
        /// Which list.
        what: String,
    },
    /// A group that nobody defined.
    #[error("access rule {rule} speaks of the group {group:?}, which [access.groups] does not have")]
    Group {
        /// Which rule.
        rule: usize,
        /// The group's name as written.
        group: String,
    },
    /// A name that is none.
    #[error("{what}: {source}")]
    Account {
        /// Where it stands.
        what: String,
        /// What is wrong with it.
        source: AccountError,
    },
    /// A pattern that is none.
    #[error("{what} has a pattern that is not understood: {source}")]
    Pattern {
        /// Where it stands.
        what: String,
        /// What is wrong with it.
        source: globset::Error,
    },
}

#[derive(Debug)]
struct CheckedRule {
    /// Everybody, whether or not they show who they are: logging in never takes anything away.
    anonymous: bool,
    authenticated: bool,
    accounts: HashSet<AccountName>,
    repositories: GlobSet,
    whole_service: bool,
    rights: Rights,
}

#[derive(Debug)]
struct CheckedImmutable {
    repositories: GlobSet,
    tags: GlobSet,
    except: GlobSet,
    /// As written, for whoever meets it.
    written: String,
}

impl Rules {
    /// Checks rules, so that no mistake in them is first met by a caller.
    pub fn new(draft: RulesDraft) -> Result<Self, RulesError> {
        if draft.token_ttl < TOKEN_TTL_MIN {
            return Err(RulesError::TokenTtl);
        }
        let groups = draft
            .groups
            .iter()
            .map(|(group, members)| Ok((group.as_str(), accounts(&format!("group {group:?}"), members)?)))
            .collect::<Result<BTreeMap<_, _>, RulesError>>()?;
        let checked = draft.rules.iter().zip(1..).map(|(rule, number)| CheckedRule::new(rule, number, &groups));
        let immutable = draft.immutable_tags.iter().zip(1..);
        let immutable = immutable.map(|(tags, number)| CheckedImmutable::new(tags, number));
        Ok(Self {
            checked: checked.collect::<Result<_, _>>()?,
            immutable: immutable.collect::<Result<_, _>>()?,
            passwords: draft.passwords,
            token_ttl: draft.token_ttl,
            answers: Cache::new(ANSWERS_MAX),
        })
    }

    /// Accounts that rules name, by themselves or in groups, and that have no password.
    pub fn unknown_accounts(&self) -> BTreeSet<&AccountName> {
        let named = self.checked.iter().flat_map(|rule| &rule.accounts);
        named.filter(|account| !self.passwords.has(account)).collect()
    }

    /// What an account may do in a repository, or with the service as a whole.
    pub(super) fn rights(&self, account: &Account, repository: Option<&RepositoryName>) -> Rights {
        let Some(repository) = repository else { return self.service_rights(account) };
        // A line break occurs in no name.
        let key = format!("{account}\n{repository}");
        if let Some(rights) = self.answers.get(key.as_str()) {
            return rights;
        }
        let applying = self.checked.iter().filter(|rule| rule.reaches(account));
        let here = applying.filter(|rule| rule.repositories.is_match(repository.as_str()));
        let rights = here.fold(Rights::NONE, |rights, rule| rights.or(rule.rights));
        self.answers.insert(key, rights);
        rights
    }

    /// The rule by which a tag never moves, as it was written.
    pub(crate) fn immutable(&self, repository: &RepositoryName, tag: &Tag) -> Option<&str> {
        let tag = tag.as_str();
        let rule = self.immutable.iter().find(|rule| {
            rule.tags.is_match(tag) && !rule.except.is_match(tag) && rule.repositories.is_match(repository.as_str())
        });
        rule.map(|rule| rule.written.as_str())
    }

    /// Whether one rule lets an account pull from every repository.
    pub(super) fn shows_everything(&self, account: &Account) -> bool {
        let mut applying = self.checked.iter().filter(|rule| rule.reaches(account));
        applying.any(|rule| rule.whole_service && rule.rights.contains(Right::Pull))
    }

    /// Reading listings is for everybody who may pull anything: they show no more than that. Everything else about the
    /// service as a whole takes a rule for all repositories.
    fn service_rights(&self, account: &Account) -> Rights {
        let reading: Rights = [Right::Pull].into_iter().collect();
        let applying = self.checked.iter().filter(|rule| rule.reaches(account));
        applying.fold(Rights::NONE, |rights, rule| {
            rights.or(if rule.whole_service { rule.rights } else { rule.rights.and(reading) })
        })
    }
}

impl CheckedRule {
    fn new(rule: &Rule, number: usize, groups: &BTreeMap<&str, HashSet<AccountName>>) -> Result<Self, RulesError> {
        let what = |list: &str| format!("`{list}` of access rule {number}");
        if rule.allow.is_empty() {
            return Err(RulesError::Empty { what: what("allow") });
        }
        let (mut anonymous, mut authenticated, mut named) = (false, false, HashSet::new());
        let who = not_empty(&what("who"), &rule.who)?;
        for name in who {
            match name.as_str() {
                ANONYMOUS => anonymous = true,
                AUTHENTICATED => authenticated = true,
                name => match name.strip_prefix(GROUP_MARK) {
                    Some(group) => {
                        let missing = || RulesError::Group { rule: number, group: group.to_owned() };
                        named.extend(groups.get(group).ok_or_else(missing)?.iter().cloned());
                    }
                    None => named.extend(accounts(&what("who"), std::slice::from_ref(&name.to_owned()))?),
                },
            }
        }
        Ok(Self {
            anonymous,
            authenticated,
            accounts: named,
            repositories: patterns(&what("repositories"), &rule.repositories)?,
            whole_service: rule.repositories.iter().any(|pattern| pattern == EVERY_REPOSITORY),
            rights: rule.allow.iter().copied().collect(),
        })
    }

    fn reaches(&self, account: &Account) -> bool {
        match account {
            Account::Anonymous => self.anonymous,
            Account::Named(name) => self.anonymous || self.authenticated || self.accounts.contains(name),
            Account::Loopback | Account::Operator => false,
        }
    }
}

impl CheckedImmutable {
    fn new(tags: &ImmutableTags, number: usize) -> Result<Self, RulesError> {
        let what = |list: &str| format!("`{list}` of immutable_tags {number}");
        let except = if tags.except.is_empty() { GlobSet::empty() } else { patterns(&what("except"), &tags.except)? };
        let but = if tags.except.is_empty() { String::new() } else { format!(" except {}", tags.except.join(", ")) };
        Ok(Self {
            repositories: patterns(&what("repositories"), &tags.repositories)?,
            tags: patterns(&what("tags"), &tags.tags)?,
            except,
            written: format!("tags {}{but} of {} are immutable", tags.tags.join(", "), tags.repositories.join(", ")),
        })
    }
}

fn not_empty<'a>(what: &str, list: &'a [String]) -> Result<&'a [String], RulesError> {
    if list.is_empty() { Err(RulesError::Empty { what: what.to_owned() }) } else { Ok(list) }
}

fn accounts(what: &str, names: &[String]) -> Result<HashSet<AccountName>, RulesError> {
    let name = |name: &String| name.parse().map_err(|source| RulesError::Account { what: what.to_owned(), source });
    names.iter().map(name).collect()
}

fn patterns(what: &str, patterns: &[String]) -> Result<GlobSet, RulesError> {
    let failed = |source| RulesError::Pattern { what: what.to_owned(), source };
    let mut set = GlobSetBuilder::new();
    for pattern in not_empty(what, patterns)? {
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(failed)?);
    }
    set.build().map_err(failed)
}

/// The shortest life of a token.
pub const TOKEN_TTL_MIN: Duration = Duration::from_mins(1);
/// The pattern of a rule that speaks for the service as a whole.
const EVERY_REPOSITORY: &str = "**";
/// Answers that are remembered; names that strangers make up push out what is asked least.
const ANSWERS_MAX: u64 = 20_000;
