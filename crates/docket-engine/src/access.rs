//! The one decision point: who may do what where. A [`Permit`] is the answer, and no verb works without one.

mod account;
mod passwords;
mod pushes;
mod right;
mod rules;
mod token;

pub use account::{ACCOUNT_BYTES_MAX, Account, AccountError, AccountName, Caller};
pub use passwords::{PASSWORDS_BYTES_MAX, Passwords, PasswordsError, TooManyLogins};
pub use right::{Right, Rights};
pub use rules::{ImmutableTags, Rule, Rules, RulesDraft, RulesError, TOKEN_TTL_MIN};
pub use token::{
    Issued, SCOPE_BYTES_MAX, SCOPES_MAX, Scope, ScopeTooLarge, TOKEN_BYTES_MAX, TokenRefused, needed_scope,
};

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use docket_oci::name::{RepositoryName, Tag};
use docket_store::FixedTags;

use crate::clock::Clock;
use crate::error::EngineError;
use pushes::{OpenPush, Pushes};
pub(crate) use token::Tokens;

/// What is decided by. Without rules whoever is on loopback may do all but administer; with rules nobody may do
/// anything that no rule allows. The operator may do everything in either case.
#[derive(Debug)]
pub struct Access {
    /// Held only to copy the pointer or to swap it.
    rules: RwLock<Option<Arc<Rules>>>,
    /// There as soon as there are rules.
    tokens: OnceLock<Tokens>,
    pushes: Pushes,
    clock: Clock,
}

/// Leave to do one thing in one place. Made by [`Access::decide`] alone. One to push keeps the caller's token alive for
/// that push as long as it is held.
#[derive(Debug, Clone)]
pub struct Permit {
    account: Account,
    right: Right,
    repository: Option<RepositoryName>,
    moves_tags: bool,
    _push: Option<Arc<OpenPush>>,
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
    /// The rules allow it, but the token that was shown has expired.
    Expired,
}

impl Access {
    /// No rules yet.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { rules: RwLock::default(), tokens: OnceLock::new(), pushes: Pushes::new(clock.clone()), clock }
    }

    /// Decides; `repository` is `None` for what concerns the whole service.
    pub fn decide(&self, caller: &Caller, right: Right, repository: Option<&RepositoryName>) -> Result<Permit, Denied> {
        let account = caller.account();
        let denied = |by| Err(Denied { right, account: account.clone(), repository: repository.cloned(), by });
        let mut rights = self.rights(account, repository);
        if !rights.contains(right) {
            return denied(DeniedBy::Rules);
        }
        let mut push = None;
        if let Some(token) = caller.token() {
            rights = rights.and(token.rights(repository));
            if !rights.contains(right) {
                return denied(DeniedBy::Scope);
            }
            let is_of_push = matches!(right, Right::Pull | Right::Push);
            if self.has_expired(caller)
                && !repository.is_some_and(|repository| is_of_push && self.pushes.is_alive(token, repository))
            {
                return denied(DeniedBy::Expired);
            }
            let pushed_to = repository.filter(|_| right == Right::Push);
            push = pushed_to.map(|repository| Arc::new(self.pushes.begin(token, repository)));
        }
        let moves_tags = rights.contains(Right::Tag);
        Ok(Permit { account: account.clone(), right, repository: repository.cloned(), moves_tags, _push: push })
    }

    /// What the rules allow an account in a repository, or for `None` with the service as a whole.
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

    /// Whether there are rules.
    pub fn has_rules(&self) -> bool {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The caller that a name and its password stand for; `None` if one of them is wrong.
    pub async fn log_in(&self, name: &str, password: &str) -> Result<Option<Caller>, TooManyLogins> {
        let Some(rules) = self.rules() else { return Ok(None) };
        let account = rules.passwords.check(name, password).await?;
        Ok(account.map(|account| Caller::new(Account::Named(account))))
    }

    /// The caller that a token stands for, whether or not it has expired. An account that has gone takes its tokens
    /// along.
    pub fn recognise(&self, token: &str) -> Result<Caller, TokenRefused> {
        let (Some(rules), Some(tokens)) = (self.rules(), self.tokens.get()) else { return Err(TokenRefused) };
        let token = tokens.read(token, self.clock.now())?;
        let stands = match &token.account {
            Account::Anonymous => true,
            Account::Named(account) => rules.passwords.has(account),
            Account::Loopback | Account::Operator => false,
        };
        if stands { Ok(Caller::with_token(token)) } else { Err(TokenRefused) }
    }

    /// Whether a caller came with a token that has expired.
    pub fn has_expired(&self, caller: &Caller) -> bool {
        caller.token().is_some_and(|token| token.expires_at <= self.clock.now())
    }

    /// Makes a token for the part of a scope that the account has. `None` without rules: nobody needs one then.
    pub fn issue(&self, account: &Account, scope: &Scope) -> Option<Issued> {
        let (rules, tokens) = (self.rules()?, self.tokens.get()?);
        let granted = scope.granted(|repository| rules.rights(account, repository));
        Some(tokens.issue(account, &granted, rules.token_ttl.as_secs(), self.clock.now()))
    }

    /// Whether an account may see what is in a repository: what listings are filtered by.
    pub(crate) fn shows(&self, account: &Account, repository: &RepositoryName) -> bool {
        self.rights(account, Some(repository)).contains(Right::Pull)
    }

    /// Whether an account may see what is in every repository, so that nothing is missing from what it is shown.
    pub fn shows_everything(&self, account: &Account) -> bool {
        match self.rules() {
            Some(rules) => rules.shows_everything(account),
            None => self.rights(account, None).contains(Right::Pull),
        }
    }

    /// Whether an account may see claims and receipts wherever they are placed, and those that are placed nowhere.
    pub(crate) fn shows_whole_ledger(&self, account: &Account) -> bool {
        let rights = self.rights(account, None);
        rights.contains(Right::Claim) || rights.contains(Right::Admin)
    }

    /// The tags that a push by this permit must leave where they are.
    pub(crate) fn fixed_for_push(&self, permit: &Permit, repository: &RepositoryName) -> FixedTags {
        if permit.moves_tags { self.immutable(permit, repository) } else { FixedTags::all() }
    }

    /// The tags that nobody but the operator moves or removes.
    pub(crate) fn immutable(&self, permit: &Permit, repository: &RepositoryName) -> FixedTags {
        match (&permit.account, self.rules()) {
            (Account::Operator, _) | (_, None) => FixedTags::none(),
            (Account::Anonymous | Account::Loopback | Account::Named(_), Some(rules)) => {
                let repository = repository.clone();
                FixedTags::new(move |tag| rules.immutable(&repository, tag).is_some())
            }
        }
    }

    /// Why a tag stays where it is.
    pub(crate) fn why_fixed(&self, permit: &Permit, repository: &RepositoryName, tag: &Tag) -> EngineError {
        let rule = self.rules().and_then(|rules| rules.immutable(repository, tag).map(str::to_owned));
        let (tag, repository, account) = (tag.clone(), repository.clone(), permit.account.clone());
        match rule {
            Some(rule) => EngineError::TagImmutable { tag, rule },
            None => EngineError::TagStands { tag, repository, account },
        }
    }

    /// Puts other rules in the place of those that stood. Whoever is being answered meanwhile is judged by the old ones
    /// or by the new ones, never by a mixture. There is no way back to none: that would open the service to strangers.
    pub(crate) fn replace(
        &self,
        rules: Rules,
        tokens: impl FnOnce() -> Result<Tokens, EngineError>,
    ) -> Result<(), EngineError> {
        if self.tokens.get().is_none() {
            // If two come here at once, both have read the same key.
            let _ = self.tokens.set(tokens()?);
        }
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(rules));
        Ok(())
    }

    fn rules(&self) -> Option<Arc<Rules>> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
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
            DeniedBy::Expired => "the token has expired",
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
