//! What can be allowed, and sets of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a caller wants to do. Each right gives one thing: reading, adding, moving, removing, claiming, overseeing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Read content, listings and claims.
    Pull,
    /// Add content, and tags that do not stand yet. Nothing that stands is changed by it.
    Push,
    /// Move tags that stand to other content; of use only together with `Push`.
    Tag,
    /// Remove content and tags.
    Delete,
    /// Register statements and place them.
    Claim,
    /// Read every claim and receipt, wherever it is placed; change whom the service admits.
    Admin,
}

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u8);

impl Right {
    /// Every right.
    pub const ALL: [Self; 6] = [Self::Pull, Self::Push, Self::Tag, Self::Delete, Self::Claim, Self::Admin];

    /// The words for it between a caller and a place.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Pull => "pull from",
            Self::Push => "push to",
            Self::Tag => "move tags of",
            Self::Delete => "delete from",
            Self::Claim => "register claims with",
            Self::Admin => "administer",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Every right.
    pub const ALL: Self = Self((1 << Right::ALL.len()) - 1);

    /// Whether the right is in it.
    pub fn contains(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Those in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The rest without one.
    #[must_use]
    pub fn without(self, right: Right) -> Self {
        Self(self.0 & !right.bit())
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        Self(rights.into_iter().fold(0, |bits, right| bits | right.bit()))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(Right::ALL.into_iter().filter(|right| self.contains(*right))).finish()
    }
}
