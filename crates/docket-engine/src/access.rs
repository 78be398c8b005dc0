//! The one decision point: who may do what where. A [`Permit`] is the answer, and no verb works without one.

mod account;
mod right;
mod rules;

pub use account::{ACCOUNT_BYTES_MAX, Account, AccountError, AccountName, Caller};
pub use right::{Right, Rights, Scope};
pub use rules::{Rule, Rules, RulesError};

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use docket_oci::name::RepositoryName;

/// What is decided by. Without rules whoever is on loopback may do all but administer; with rules nobody may do
/// anything that no rule allows. The operator may do everything in either case.
#[derive(Debug, Default)]
pub struct Access {
    /// Held only to copy the pointer or to swap it.
    rules: RwLock<Option<Arc<Rules>>>,
}

/// Leave to do one thing in one place. Made by [`Access::decide`] alone.
#[derive(Debug, Clone)]
pub struct Permit {
    account: Account,
    right: Right,
    repository: Option<RepositoryName>,
}

/// The answer is no.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Denied {
    /// What was asked for.
    pub right: Right,
    /// By whom.
    pub account: Account,
    /// Where; `None` for the whole service.
    pub repository: Option<RepositoryName>,
    /// What is in the way.
    pub by: DeniedBy,
}

/// What is in the way of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeniedBy {
    /// No rule allows it.
    Rules,
    /// The rules allow it, but the token that was shown does not reach so far.
    Scope,
}

impl Access {
    /// Decides; `repository` is `None` for what concerns the whole service.
    pub fn decide(&self, caller: &Caller, right: Right, repository: Option<&RepositoryName>) -> Result<Permit, Denied> {
        let allowed = self.rights(caller.account(), repository);
        let reached = caller.scope().map_or(Rights::ALL, |scope| scope.rights(repository));
        let denied = |by| Denied { right, account: caller.account().clone(), repository: repository.cloned(), by };
        if !allowed.contains(right) {
            return Err(denied(DeniedBy::Rules));
        }
        if !reached.contains(right) {
            return Err(denied(DeniedBy::Scope));
        }
        Ok(Permit { account: caller.account().clone(), right, repository: repository.cloned() })
    }

    /// What an account may do in a repository, or for `None` with the service as a whole.
    pub fn rights(&self, account: &Account, repository: Option<&RepositoryName>) -> Rights {
        match (account, self.rules()) {
            (Account::Operator, _) => Rights::ALL,
            (Account::Loopback, None) => Rights::ALL.without(Right::Admin),
            (Account::Anonymous | Account::Named(_), None) => Rights::NONE,
            (Account::Anonymous | Account::Named(_) | Account::Loopback, Some(rules)) => {
                rules.rights(account, repository)
            }
        }
    }

    /// The rules that stand now, if there are any.
    pub fn rules(&self) -> Option<Arc<Rules>> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other rules in the place of those that stood. Whoever is being answered meanwhile is judged by the old ones
    /// or by the new ones, never by a mixture. There is no way back to none: that would open the service to strangers.
    pub fn replace(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(rules));
    }
}

impl Permit {
    /// Who was permitted.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The repository that may be worked on, if this permit gives the right to it.
    pub(crate) fn repository(&self, right: Right) -> Result<&RepositoryName, WrongPermit> {
        self.repository.as_ref().filter(|_| self.right == right).ok_or(WrongPermit)
    }

    /// The repository of a right that may concern one or the whole service.
    pub(crate) fn scope(&self, right: Right) -> Result<Option<&RepositoryName>, WrongPermit> {
        if self.right == right { Ok(self.repository.as_ref()) } else { Err(WrongPermit) }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { right, account, repository, by } = self;
        let why = match by {
            DeniedBy::Rules => "no access rule allows it",
            DeniedBy::Scope => "the token does not reach so far",
        };
        match repository {
            Some(repository) => write!(formatter, "{account} may not {} {repository}: {why}", right.in_words()),
            None => write!(formatter, "{account} may not {} this service as a whole: {why}", right.in_words()),
        }
    }
}

/// A verb was called with a permit for something else: a mistake in our own code, refused all the same.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the permit does not cover this")]
pub struct WrongPermit;

#[cfg(test)]
mod tests;
