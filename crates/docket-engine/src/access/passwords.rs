//! Passwords: an htpasswd file with bcrypt hashes, checked so that neither the time nor the answer says what was wrong.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bcrypt::HashParts;
use docket_oci::digest::{Algorithm, Digest};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::{AccountError, AccountName};

/// Accounts and the hashes of their passwords.
#[derive(Debug)]
pub struct Passwords {
    hashes: HashMap<AccountName, String>,
    /// Checked for names that nobody has, so that they cost what a wrong password costs.
    decoy: String,
    /// Pairs that were right a moment ago, by a keyed hash: most clients send theirs with every request. A password is
    /// never kept.
    verified: Cache<Digest, ()>,
    /// The key of that hash; no other process has it.
    secret: [u8; 16],
    /// Checks that run at once. One takes a core for a tenth of a second, and strangers can ask for any number.
    running: Arc<Semaphore>,
    /// Checks that run or wait.
    asked: Semaphore,
}

/// Too many passwords wait to be checked.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many logins at once; try again in a second")]
pub struct TooManyLogins;

/// A password file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordsError {
    /// It is larger than [`PASSWORDS_BYTES_MAX`].
    #[error("it has more than {PASSWORDS_BYTES_MAX} bytes")]
    TooLarge,
    /// A line without a colon.
    #[error("line {0} is no name:hash")]
    Line(usize),
    /// A name that is none.
    #[error("line {line}: {source}")]
    Account {
        /// Which line.
        line: usize,
        /// What is wrong with the name.
        source: AccountError,
    },
    /// A name stands twice.
    #[error("line {line}: account {account} stands twice")]
    Twice {
        /// The later line.
        line: usize,
        /// The account.
        account: String,
    },
    /// A hash of another kind.
    #[error(
        "line {line}: the password of {account} is kept as {kind}; only bcrypt is taken, as `htpasswd -B` makes it"
    )]
    Kind {
        /// Which line.
        line: usize,
        /// The account.
        account: String,
        /// What it is.
        kind: &'static str,
    },
    /// A bcrypt hash that would take too long or too short.
    #[error("line {line}: the bcrypt cost of {account} is {cost}; use {COST_MIN} to {COST_MAX}")]
    Cost {
        /// Which line.
        line: usize,
        /// The account.
        account: String,
        /// Its cost.
        cost: u32,
    },
}

impl Passwords {
    /// No accounts at all.
    pub fn none() -> Self {
        Self::with(HashMap::new(), COST_MIN)
    }

    /// Reads the text of an htpasswd file. Empty lines and those that start with `#` are skipped.
    pub fn parse(text: &str) -> Result<Self, PasswordsError> {
        if text.len() > PASSWORDS_BYTES_MAX {
            return Err(PasswordsError::TooLarge);
        }
        let (mut hashes, mut dearest) = (HashMap::new(), COST_MIN);
        for (content, line) in text.lines().map(str::trim).zip(1..) {
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (name, hash) = content.split_once(':').ok_or(PasswordsError::Line(line))?;
            let account = name.to_owned();
            let Ok(parts) = hash.parse::<HashParts>() else {
                return Err(PasswordsError::Kind { line, account, kind: kind(hash) });
            };
            let cost = parts.get_cost();
            if !(COST_MIN..=COST_MAX).contains(&cost) {
                return Err(PasswordsError::Cost { line, account, cost });
            }
            dearest = dearest.max(cost);
            let name = name.parse().map_err(|source| PasswordsError::Account { line, source })?;
            if hashes.insert(name, hash.to_owned()).is_some() {
                return Err(PasswordsError::Twice { line, account });
            }
        }
        Ok(Self::with(hashes, dearest))
    }

    fn with(hashes: HashMap<AccountName, String>, decoy_cost: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            hashes,
            decoy: format!("$2b${decoy_cost:02}${DECOY}"),
            verified: Cache::builder().max_capacity(VERIFIED_MAX).time_to_live(VERIFIED_FOR).build(),
            secret: *uuid::Uuid::new_v4().as_bytes(),
            running: Arc::new(Semaphore::new(cores.div_ceil(2))),
            asked: Semaphore::new(ASKED_MAX),
        }
    }

    /// Whether there is such an account.
    pub fn has(&self, account: &AccountName) -> bool {
        self.hashes.contains_key(account)
    }

    /// The account whose password this is. A caller that goes away leaves a check running to its end.
    pub async fn check(&self, name: &str, password: &str) -> Result<Option<AccountName>, TooManyLogins> {
        let account = name.parse::<AccountName>().ok().filter(|account| self.has(account));
        let key = self.key(name, password);
        if let Some(account) = &account
            && self.verified.contains_key(&key)
        {
            return Ok(Some(account.clone()));
        }
        let _asked = self.asked.try_acquire().map_err(|_| TooManyLogins)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| TooManyLogins)?;
        let hash = account.as_ref().and_then(|account| self.hashes.get(account)).unwrap_or(&self.decoy).clone();
        let password = password.to_owned();
        let checked = tokio::task::spawn_blocking(move || {
            let _running = running;
            // An error means a password that bcrypt does not take, and so no one's.
            bcrypt::verify(&password, &hash).unwrap_or(false)
        });
        let right = checked.await.unwrap_or(false);
        let account = account.filter(|_| right);
        if account.is_some() {
            self.verified.insert(key, ());
        }
        Ok(account)
    }

    fn key(&self, name: &str, password: &str) -> Digest {
        let length = name.len().to_be_bytes();
        let text = [&self.secret[..], &length, name.as_bytes(), password.as_bytes()].concat();
        Digest::of(Algorithm::Sha256, &text)
    }
}

/// What a hash is that bcrypt did not make.
fn kind(hash: &str) -> &'static str {
    const KINDS: [(&str, &str); 10] = [
        ("$apr1$", "MD5 (apr1)"),
        ("$1$", "MD5 (crypt)"),
        ("{SHA}", "SHA-1"),
        ("{SSHA}", "salted SHA-1"),
        ("$5$", "SHA-256 (crypt)"),
        ("$6$", "SHA-512 (crypt)"),
        ("$7$", "scrypt"),
        ("$y$", "yescrypt"),
        ("$argon2", "argon2"),
        ("$2", "a broken bcrypt hash"),
    ];
    let known = KINDS.iter().find(|(start, _)| hash.starts_with(start));
    known.map_or("plain text or DES", |(_, kind)| kind)
}

/// The largest password file.
pub const PASSWORDS_BYTES_MAX: usize = 1024 * 1024;
/// What bcrypt itself starts at.
const COST_MIN: u32 = 4;
/// About four seconds a check; more would only help who wants to keep us busy.
const COST_MAX: u32 = 16;
/// Salt and hash of nobody's password.
const DECOY: &str = "C6UzMDM.H6dfI/f/IKcEeO7ZFYTWuQ0nVdQzHhNmVFUXEWBnLWzOS";
/// Pairs kept as right.
const VERIFIED_MAX: u64 = 10_000;
/// How long a pair stays right without being checked again. New passwords come with new memory, so this is not how
/// long an old one works.
const VERIFIED_FOR: Duration = Duration::from_mins(1);
/// Checks that run or wait, past which callers are asked to come back.
const ASKED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// The passwords are `right` (cost 4) and `other` (cost 5).
    fn passwords() -> Passwords {
        let lines = [("alice", "right", 4), ("bob", "other", 5)]
            .map(|(name, password, cost)| format!("{name}:{}\n", bcrypt::hash(password, cost).expect("a hash")));
        Passwords::parse(&format!("# people\n\n{}", lines.concat())).expect("an htpasswd file")
    }

    async fn who(passwords: &Passwords, name: &str, password: &str) -> Option<String> {
        passwords.check(name, password).await.expect("not busy").map(|name| name.as_str().to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_of_the_right_account_opens() {
        let passwords = passwords();
        for _ in 0..2 {
            assert_eq!(who(&passwords, "alice", "right").await.as_deref(), Some("alice"));
            for (name, password) in
                [("alice", "other"), ("alice", ""), ("bob", "right"), ("carol", "right"), ("", ""), ("Alice", "right")]
            {
                assert_eq!(who(&passwords, name, password).await, None, "{name} {password}");
            }
        }
        assert_eq!(who(&Passwords::none(), "alice", "right").await, None);
    }

    #[tokio::test]
    async fn a_password_is_remembered_only_as_a_keyed_hash() {
        let passwords = passwords();
        who(&passwords, "alice", "right").await;
        passwords.verified.run_pending_tasks();
        assert_eq!(passwords.verified.entry_count(), 1);
        assert!(!format!("{passwords:?}").contains("right"));
        assert_ne!(passwords.key("alice", "right"), self::passwords().key("alice", "right"));
        assert_ne!(passwords.key("ab", "c"), passwords.key("a", "bc"));
    }

    #[tokio::test]
    async fn a_flood_of_logins_is_turned_away_but_not_who_logged_in_before() {
        let passwords = passwords();
        who(&passwords, "alice", "right").await;
        let _flood = passwords.asked.acquire_many(u32::try_from(ASKED_MAX).expect("small")).await.expect("open");
        assert!(passwords.check("bob", "other").await.is_err());
        assert!(passwords.check("nobody", "guess").await.is_err());
        assert_eq!(who(&passwords, "alice", "right").await.as_deref(), Some("alice"));
    }

    #[test]
    fn a_name_that_nobody_has_costs_what_the_dearest_password_costs() {
        let decoy = passwords().decoy.parse::<HashParts>().expect("a bcrypt hash");
        assert_eq!(decoy.get_cost(), 5);
        assert_eq!(bcrypt::verify("anything", &passwords().decoy).ok(), Some(false));
    }

    #[test]
    fn other_hashes_are_refused_by_name() {
        for (hash, words) in [
            ("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "kept as MD5 (apr1)"),
            ("{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "kept as SHA-1"),
            ("$6$salt$hash", "kept as SHA-512 (crypt)"),
            ("$2y$05$short", "kept as a broken bcrypt hash"),
            ("secret", "kept as plain text or DES"),
            (&format!("$2b$31${DECOY}"), "cost of alice is 31"),
        ] {
            let said = Passwords::parse(&format!("alice:{hash}")).expect_err("refused").to_string();
            assert!(said.contains(words) && said.starts_with("line 1"), "{said}");
        }
        let hash = format!("$2b$04${DECOY}");
        for (text, words) in [
            ("alice".to_owned(), "line 1 is no name:hash"),
            (format!("anonymous:{hash}"), "\"anonymous\" cannot be an account name"),
            (format!("alice:{hash}\nalice:{hash}"), "line 2: account alice stands twice"),
            ("#".repeat(PASSWORDS_BYTES_MAX + 1), "more than 1048576 bytes"),
        ] {
            let said = Passwords::parse(&text).expect_err("refused").to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
