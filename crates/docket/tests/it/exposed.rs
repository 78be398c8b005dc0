//! The public address as strangers find it: TLS, slow clients, too many of them, large answers.

mod downloads;
mod proxies;
mod resets;
mod slow;
mod tls;
