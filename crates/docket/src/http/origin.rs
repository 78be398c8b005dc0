//! Without access rules only this machine may call. A Host that is not loopback comes from a rebound name, and a
//! forwarding header from a proxy that would lend its loopback address to the world.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::http::failure::Failure;

/// Refuses what does not come from this machine for this machine.
pub(crate) async fn only_loopback(request: Request, next: Next) -> Response {
    if let Some(name) = FORWARDED.iter().find(|name| request.headers().contains_key(**name)) {
        return refuse(format!("requests with a {name} header are refused while no access rules are configured"));
    }
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| request.uri().authority().map(Authority::as_str));
    if !host.is_some_and(is_loopback) {
        let host = host.unwrap_or("none");
        return refuse(format!(
            "this registry has no access rules and answers only for localhost, not for host {host:?}"
        ));
    }
    next.run(request).await
}

fn refuse(message: String) -> Response {
    Failure::new(StatusCode::FORBIDDEN, "DENIED", message).oci()
}

/// Whether a Host header names this machine: `localhost`, 127.0.0.0/8 or `[::1]`, with or without a port.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LocalHost:5000", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "[::2]:1", "0.0.0.0"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
