//! Logging in to registries: where logins are stored, what a registry asks for, and how it gets it.

mod challenge;
mod credentials;
mod helper;
mod token;

pub use challenge::{Challenge, parse_challenges};
pub use credentials::{CONFIG_BYTES_MAX, Credentials, Login};
pub use helper::{HELPER_OUTPUT_BYTES_MAX, HELPER_TIME_MAX};
pub use token::TOKEN_REPLY_BYTES_MAX;
pub(crate) use token::{TokenRequest, fetch_token};

/// Whether a host name or address, with or without a port, is this machine.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') && !name.is_empty() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_is_told_from_what_looks_like_it() {
        for host in ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:1", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "127.0.0.1.example:80", "10.0.0.1", "[::2]:1", "example:5000", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
