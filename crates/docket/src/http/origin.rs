//! Requests that somebody else makes with the caller's means. Without access rules only this machine may call: a Host
//! that is not loopback comes from a rebound name, and a forwarding header from a proxy that would lend its loopback
//! address to the world. With rules or without, no web page of another site changes anything here.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::uri::Authority;
use axum::response::Response;

use crate::http::failure::Failure;

/// Refuses what is not the caller's own request.
pub(super) fn stranger(request: &Request, has_rules: bool) -> Option<Response> {
    let host = text(request.headers(), &header::HOST).or_else(|| request.uri().authority().map(Authority::as_str));
    let refused = if has_rules {
        // A browser adds logins that it remembers to requests of every page it shows.
        let is_foreign = !request.method().is_safe() && is_foreign_page(request.headers(), |page| Some(page) == host);
        is_foreign.then(|| OTHER_SITE.to_owned())
    } else {
        // A browser on this machine lends its loopback address to every page it shows.
        let is_foreign = is_foreign_page(request.headers(), is_loopback);
        strange(request.headers(), host).or_else(|| is_foreign.then(|| OTHER_SITE.to_owned()))
    };
    refused.map(|message| Failure::new(StatusCode::FORBIDDEN, "DENIED", message).at(request.uri().path()))
}

/// What gives a request away as coming from elsewhere. A proxy that adds no header at all cannot be told apart.
fn strange(headers: &HeaderMap, host: Option<&str>) -> Option<String> {
    let forwarded = headers.keys().map(HeaderName::as_str);
    let mut forwarded = forwarded.filter(|name| name.starts_with("x-forwarded") || FORWARDED.contains(name));
    if let Some(name) = forwarded.next() {
        return Some(format!("requests with a {name} header are refused while no access rules are configured"));
    }
    if !host.is_some_and(is_loopback) {
        let host = host.unwrap_or("none");
        return Some(format!(
            "this registry has no access rules and answers only for localhost, not for host {host:?}"
        ));
    }
    None
}

/// Whether a browser says that a page makes the request which is not one of ours.
fn is_foreign_page(headers: &HeaderMap, is_own: impl Fn(&str) -> bool) -> bool {
    let origin = text(headers, &header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    origin.is_some_and(|origin| !is_own(origin)) || site.is_some_and(|site| OTHER_SITES.contains(&site))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a Host header names this machine: `localhost`, 127.0.0.0/8 or `[::1]`, with or without a port.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, after)) if after.is_empty() || after.starts_with(':') => address,
            _ => "",
        },
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

const OTHER_SITE: &str = "requests that a web page of another site makes are refused";
/// Beside every `X-Forwarded-…`.
const FORWARDED: [&str; 3] = ["forwarded", "via", "x-real-ip"];
/// Values of Sec-Fetch-Site that a page of this service does not have.
const OTHER_SITES: [&str; 2] = ["cross-site", "same-site"];

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
