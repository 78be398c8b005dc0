//! Who may do what, from outside: rules, passwords, tokens, tags that never move, and everything that broke into others.

mod advisories;
mod clients;
mod immutable;
mod ledger;
mod listings;
mod login;
mod tokens;

/// What most tests stand on: everybody reads `public`, alice does everything, bob writes to `team`, carol reads it.
pub(crate) const RULES: &str = r#"
[[access.rules]]
who = ["anonymous"]
repositories = ["public/**"]
allow = ["pull"]
[[access.rules]]
who = ["alice"]
repositories = ["**"]
allow = ["pull", "push", "tag", "delete", "claim"]
[[access.rules]]
who = ["bob"]
repositories = ["team/**"]
allow = ["pull", "push"]
[[access.rules]]
who = ["carol"]
repositories = ["team/**"]
allow = ["pull"]
[[access.immutable_tags]]
repositories = ["release/**"]
tags = ["v*"]
except = ["*-rc*"]
"#;
