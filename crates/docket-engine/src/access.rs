//! The one decision point: who may do what where. A [`Permit`] is the answer, and no verb works without one.

use docket_oci::name::RepositoryName;

/// Who called. Accounts are known to access only; entries on the ledger never name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Somebody on this machine, over the loopback address.
    Loopback,
    /// Whoever may open the admin socket or the data folder.
    Operator,
}

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Read content, listings and claims.
    Pull,
    /// Write content and tags.
    Push,
    /// Remove content and tags.
    Delete,
    /// Register statements and place them.
    Claim,
    /// Change whom the service admits, look into everything.
    Admin,
}

/// The rules. Without configuration: anyone on loopback may do all but administer, the operator everything.
#[derive(Debug, Clone, Copy)]
pub struct Access;

/// Leave to do one thing in one place. Made by [`Access::decide`] alone.
#[derive(Debug, Clone)]
pub struct Permit {
    right: Right,
    repository: Option<RepositoryName>,
}

/// The rules say no.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{right:?} is not allowed here for {account:?} callers")]
pub struct Denied {
    /// What was asked for.
    pub right: Right,
    /// By whom.
    pub account: Account,
}

impl Access {
    /// Decides; `repository` is `None` for what concerns the whole service.
    pub fn decide(
        &self,
        account: Account,
        right: Right,
        repository: Option<&RepositoryName>,
    ) -> Result<Permit, Denied> {
        match (account, right) {
            (Account::Operator, _) | (Account::Loopback, Right::Pull | Right::Push | Right::Delete | Right::Claim) => {
                Ok(Permit { right, repository: repository.cloned() })
            }
            (Account::Loopback, Right::Admin) => Err(Denied { right, account }),
        }
    }
}

impl Permit {
    /// The repository that may be worked on, if this permit gives the right to it.
    pub(crate) fn repository(&self, right: Right) -> Result<&RepositoryName, WrongPermit> {
        self.repository.as_ref().filter(|_| self.right == right).ok_or(WrongPermit)
    }

    /// The repository of a right that may concern one or the whole service.
    pub(crate) fn scope(&self, right: Right) -> Result<Option<&RepositoryName>, WrongPermit> {
        if self.right == right { Ok(self.repository.as_ref()) } else { Err(WrongPermit) }
    }
}

/// A verb was called with a permit for something else: a mistake in our own code, refused all the same.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the permit does not cover this")]
pub struct WrongPermit;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operator_administers() {
        let access = Access;
        assert!(access.decide(Account::Loopback, Right::Admin, None).is_err());
        assert!(access.decide(Account::Operator, Right::Admin, None).is_ok());
    }

    #[test]
    fn a_permit_covers_one_right_in_one_place() {
        let name = "a/b".parse().expect("a name");
        let permit = Access.decide(Account::Loopback, Right::Pull, Some(&name)).expect("allowed");
        assert_eq!(permit.repository(Right::Pull).expect("covered"), &name);
        assert!(permit.repository(Right::Push).is_err());
        let anywhere = Access.decide(Account::Loopback, Right::Push, None).expect("allowed");
        assert!(anywhere.repository(Right::Push).is_err());
    }
}
