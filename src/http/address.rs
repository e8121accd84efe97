//! Which address a request comes from: the socket's, or what a trusted proxy says.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::HttpRequest;
use ipnet::IpNet;

/// Proxies whose `X-Forwarded-For` is believed. Nobody else's is.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Addresses and networks: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
    ///
    /// # Errors
    /// With what is neither.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let network = |text: &String| {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| {
                format!("'{text}' is no address and no network, as in 10.0.0.1 or 10.0.0.0/8")
            })
        };
        texts.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where the request comes from; none when not even the socket says it.
    #[must_use]
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip().to_canonical();
        if !self.is_trusted(peer) {
            return Some(peer);
        }
        let headers: Vec<&str> = request
            .headers()
            .get_all("x-forwarded-for")
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        Some(self.behind(peer, &headers))
    }

    /// The right-most address that no trusted proxy has: what stands left of it was said by
    /// somebody who is not trusted. What is no address ends the search.
    fn behind(&self, peer: IpAddr, headers: &[&str]) -> IpAddr {
        let mut nearest = peer;
        for text in headers.iter().flat_map(|header| header.split(',')).rev() {
            let Some(address) = forwarded(text.trim()) else {
                return nearest;
            };
            nearest = address;
            if !self.is_trusted(address) {
                return nearest;
            }
        }
        nearest
    }
}

/// An address as proxies write it, some of them with a port.
fn forwarded(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

/// What is counted as one caller: an IPv4 address, and of IPv6 the network of 64 bits that
/// a subscriber gets.
pub(super) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(texts: &[&str]) -> TrustedProxies {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        TrustedProxies::parse(&texts).expect("networks")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_right_most_address_that_is_not_a_proxys_counts() {
        let trusted = proxies(&["10.0.0.0/8", "fd00::/8"]);
        for (headers, client) in [
            (&["203.0.113.9"][..], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9, 10.9.9.9"], "203.0.113.9"),
            (&["1.1.1.1", "203.0.113.9,fd00::2"], "203.0.113.9"),
            (&["203.0.113.9:4711"], "203.0.113.9"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["::ffff:203.0.113.9"], "203.0.113.9"),
            (&["10.0.0.7"], "10.0.0.7"),
            (&[], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&["203.0.113.9, nonsense, 10.0.0.7"], "10.0.0.7"),
            (&["203.0.113.9, _hidden"], "10.0.0.1"),
        ] {
            assert_eq!(
                trusted.behind(address("10.0.0.1"), headers),
                address(client),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for wrong in ["proxy.example", "10.0.0.0/33", ""] {
            let fault = TrustedProxies::parse(&[wrong.to_owned()]).expect_err("no network");
            assert!(fault.starts_with(&format!("'{wrong}' is no address")), "{fault}");
        }
    }

    #[test]
    fn of_ipv6_the_network_counts_and_of_ipv4_the_address() {
        assert_eq!(counted(address("2001:db8::1:2:3:4")), address("2001:db8::"));
        assert_eq!(counted(address("2001:db8:0:1::1")), address("2001:db8:0:1::"));
        assert_eq!(counted(address("203.0.113.9")), address("203.0.113.9"));
        assert_eq!(counted(address("::ffff:203.0.113.9")), address("203.0.113.9"));
    }
}
