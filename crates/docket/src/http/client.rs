//! Where a request comes from, behind the proxies that are trusted to say so.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::http::listener::Peer;

/// The client's own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub address: IpAddr,
    /// Whether the client speaks TLS, to us or to the proxy before us.
    pub is_secure: bool,
}

impl Client {
    /// What the connection says, and what a trusted proxy at its other end says. A client can write these headers too, so
    /// `X-Forwarded-For` is read from its end: the first address that is no trusted proxy is the client's.
    pub(super) fn of(peer: &Peer, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let is_proxy = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
        if !is_proxy(&peer.address) {
            return Self { address: peer.address, is_secure: peer.is_tls };
        }
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let hops = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        let mut address = peer.address;
        for hop in hops {
            // What is no address was not written by a proxy of ours.
            let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
            address = hop.to_canonical();
            if !is_proxy(&address) {
                break;
            }
        }
        let proto = headers.get_all("x-forwarded-proto").iter().next_back().and_then(|value| value.to_str().ok());
        let is_secure = proto.map_or(peer.is_tls, |proto| proto.rsplit(',').next().unwrap_or(proto).trim() == "https");
        Self { address, is_secure }
    }
}

/// What counts as one client: of IPv6, everybody has a network of 2^64 addresses to ask from.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let peer = Peer { address: peer.parse().expect("an address"), is_tls: false, files: None };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header"));
        }
        Client::of(&peer, &map, &["10.0.0.0/8".parse().expect("a network")])
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let forged = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https")];
        let stranger = client("192.0.2.7", &forged);
        assert_eq!((stranger.address.to_string().as_str(), stranger.is_secure), ("192.0.2.7", false));
        let proxied = client("10.0.0.1", &forged);
        assert_eq!((proxied.address.to_string().as_str(), proxied.is_secure), ("1.1.1.1", true));
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() {
        for (line, expected) in [
            ("6.6.6.6, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
            ("", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("192.0.2.7, ::ffff:10.0.0.2", "192.0.2.7"),
        ] {
            assert_eq!(client("10.0.0.1", &[("x-forwarded-for", line)]).address.to_string(), expected, "{line}");
        }
        let two = client("10.0.0.1", &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7")]);
        assert_eq!(two.address.to_string(), "192.0.2.7");
    }

    #[test]
    fn one_network_of_ipv6_counts_as_one_client() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
        ] {
            assert_eq!(network_of(address.parse().expect("an address")).to_string(), expected);
        }
    }
}
