//! Addresses: where to listen, and networks whose members are believed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address and port; port 0 lets the system pick one.
    pub address: SocketAddr,
    /// Whether a machine that does not have this kind of address (no IPv6) may go without it.
    pub is_optional: bool,
}

impl Listen {
    /// An address that must work.
    pub const fn on(address: SocketAddr) -> Listen {
        Listen { address, is_optional: false }
    }

    /// Both loopback addresses with one port; the one of IPv6 where there is IPv6.
    pub fn loopback(port: u16) -> Vec<Listen> {
        vec![
            Listen::on(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            Listen { address: SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port), is_optional: true },
        ]
    }
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// The network of a text: `10.0.0.0/8`, `fd00::/8`, or one address.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(bits.parse().ok()?))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Network { address, bits })
    }

    /// Whether an address lies in it. The IPv4 form of an address is meant, where it has one.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                own.to_bits().checked_shr(32 - self.bits) == ip.to_bits().checked_shr(32 - self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                own.to_bits().checked_shr(128 - self.bits) == ip.to_bits().checked_shr(128 - self.bits)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_begin_like_it() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..], &["11.0.0.0", "::1"][..]),
            ("127.0.0.1", &["127.0.0.1"], &["127.0.0.2"]),
            ("192.168.7.0/25", &["192.168.7.127"], &["192.168.7.128"]),
            ("0.0.0.0/0", &["1.2.3.4"], &["::1"]),
            ("::/0", &["::1"], &["1.2.3.4"]),
            ("fd00::/8", &["fd12::1"], &["fe80::1"]),
        ] {
            let network = Network::parse(network).unwrap();
            for ip in inside {
                assert!(network.contains(ip.parse().unwrap()), "{ip} in {network}");
            }
            for ip in outside {
                assert!(!network.contains(ip.parse().unwrap()), "{ip} in {network}");
            }
        }
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "localhost", "10.0.0.0/4294967295"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
