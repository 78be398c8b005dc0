//! Who calls.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::token::Token;

/// Who called. Accounts are known to access only; entries on the ledger never name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Account {
    /// Somebody who showed nothing, where there are access rules.
    Anonymous,
    /// Somebody on this machine, over the loopback address, where there are none.
    Loopback,
    /// Somebody who showed the password of this account, or a token made for it.
    Named(AccountName),
    /// Whoever may open the admin socket or the data folder.
    Operator,
}

/// The name of an account: 1 to [`ACCOUNT_BYTES_MAX`] printable characters of ASCII but `:` and space, not one of the words that mean
/// somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(Arc<str>);

/// A text that is no account name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Characters or length are wrong.
    #[error("{0:?} is no account name: use 1 to {ACCOUNT_BYTES_MAX} printable characters without space and ':'")]
    Characters(String),
    /// It would be taken for somebody else.
    #[error("{0:?} cannot be an account name, it means something else in access rules and logs")]
    Reserved(String),
}

/// An account, and the token that was shown for it, if it was one: a token may reach less than its account has.
#[derive(Debug, Clone)]
pub struct Caller {
    account: Account,
    token: Option<Arc<Token>>,
}

impl fmt::Display for Account {
    /// No two accounts are written alike.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Anonymous => ANONYMOUS,
            Self::Loopback => LOOPBACK,
            Self::Named(name) => name.as_str(),
            Self::Operator => OPERATOR,
        })
    }
}

impl FromStr for Account {
    type Err = AccountError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, AccountError> {
        Ok(match text {
            ANONYMOUS => Self::Anonymous,
            LOOPBACK => Self::Loopback,
            OPERATOR => Self::Operator,
            name => Self::Named(name.parse()?),
        })
    }
}

impl AccountName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if !plain || text.is_empty() || text.len() > ACCOUNT_BYTES_MAX {
            return Err(AccountError::Characters(text.chars().take(ACCOUNT_BYTES_MAX).collect()));
        }
        if [ANONYMOUS, LOOPBACK, OPERATOR, AUTHENTICATED].contains(&text) || text.starts_with(GROUP_MARK) {
            return Err(AccountError::Reserved(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl Caller {
    /// Somebody with all that the account has.
    pub fn new(account: Account) -> Self {
        Self { account, token: None }
    }

    /// Somebody who showed a token, and has of its account only what it reaches.
    pub(super) fn with_token(token: Token) -> Self {
        Self { account: token.account.clone(), token: Some(Arc::new(token)) }
    }

    /// Who it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The token, if one was shown.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_deref()
    }
}

/// The longest account name.
pub const ACCOUNT_BYTES_MAX: usize = 128;
pub(super) const ANONYMOUS: &str = "anonymous";
/// Every named account, in rules.
pub(super) const AUTHENTICATED: &str = "authenticated";
/// What a group's name starts with, in rules.
pub(super) const GROUP_MARK: char = '@';
const LOOPBACK: &str = "loopback";
const OPERATOR: &str = "operator";
