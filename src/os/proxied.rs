//! The PROXY protocol (version 1 in text, version 2 in bytes): what a proxy says, ahead of everything else on a connection, of
//! the client behind it. Bytes in, a verdict out; who is believed is for others to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A line of version 1 is no longer, its line end included.
const LINE_MAX: usize = 107;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Before the addresses: signature, version and command, family, length.
const FIXED: usize = 16;

/// Addresses and what follows them. What proxies add (the name a client asked for, its certificate's) fits; a header of 64 KiB that
/// the format would allow does not.
const REST_MAX: usize = 2048;

/// No header is longer.
pub const HEADER_MAX: usize = FIXED + REST_MAX;

/// What the beginning of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// A header may be beginning, and is not complete.
    Partial,
    /// No header of either version, or one with a mistake.
    Wrong,
    /// A header.
    Whole {
        /// Its length.
        length: usize,
        /// The client; `None` where the proxy speaks for itself, or of a client without such an address.
        client: Option<SocketAddr>,
    },
}

/// Reads the header that `input` begins with.
pub fn read(input: &[u8]) -> Header {
    match input.first() {
        None => Header::Partial,
        Some(b'P') => read_line(input),
        Some(b'\r') => read_bytes(input),
        Some(_) => Header::Wrong,
    }
}

fn read_line(input: &[u8]) -> Header {
    let begins = b"PROXY ";
    let shown = &input[..input.len().min(LINE_MAX)];
    if !begins.starts_with(&shown[..shown.len().min(begins.len())]) {
        return Header::Wrong;
    }
    let Some(end) = shown.windows(2).position(|pair| pair == b"\r\n") else {
        return if shown.len() < LINE_MAX { Header::Partial } else { Header::Wrong };
    };
    let words = std::str::from_utf8(&shown[begins.len()..end]).ok().and_then(client_of_line);
    words.map_or(Header::Wrong, |client| Header::Whole { length: end + 2, client })
}

/// The client that a line names behind its first word; `None` if it is not as it must be.
fn client_of_line(words: &str) -> Option<Option<SocketAddr>> {
    let words: Vec<&str> = words.split(' ').collect();
    match words[..] {
        // Whatever follows is not to be looked at.
        ["UNKNOWN", ..] => Some(None),
        ["TCP4", source, target, source_port, target_port] => {
            let ip: Ipv4Addr = source.parse().ok()?;
            let _: Ipv4Addr = target.parse().ok()?;
            port(target_port)?;
            Some(Some((ip, port(source_port)?).into()))
        }
        ["TCP6", source, target, source_port, target_port] => {
            let ip: Ipv6Addr = source.parse().ok()?;
            let _: Ipv6Addr = target.parse().ok()?;
            port(target_port)?;
            Some(Some(socket(ip.into(), port(source_port)?)))
        }
        _ => None,
    }
}

/// A port without a sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn read_bytes(input: &[u8]) -> Header {
    if !SIGNATURE.starts_with(&input[..input.len().min(SIGNATURE.len())]) {
        return Header::Wrong;
    }
    let Some((fixed, rest)) = input.split_at_checked(FIXED) else { return Header::Partial };
    let (version, command) = (fixed[12] >> 4, fixed[12] & 0xf);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    // A transport of which we have never heard is one without an address we could tell; a family likewise.
    if version != 2 || command > 1 || length > REST_MAX {
        return Header::Wrong;
    }
    let Some(rest) = rest.get(..length) else { return Header::Partial };
    let client = match (command, fixed[13]) {
        // The proxy itself: it looks whether we live.
        (0, _) => None,
        (_, 0x11) => match rest.get(..12) {
            Some(told) => Some(socket(Ipv4Addr::from([told[0], told[1], told[2], told[3]]).into(), be(told, 8))),
            None => return Header::Wrong,
        },
        (_, 0x21) => {
            match rest.get(..36).and_then(|told| Some((<[u8; 16]>::try_from(&told[..16]).ok()?, be(told, 32)))) {
                Some((ip, port)) => Some(socket(Ipv6Addr::from(ip).into(), port)),
                None => return Header::Wrong,
            }
        }
        _ => None,
    };
    Header::Whole { length: FIXED + length, client }
}

fn be(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// An address in its IPv4 form, where it has one.
fn socket(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2.
    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        [SIGNATURE, &[0x20 | command, family][..], &(rest.len() as u16).to_be_bytes(), rest].concat()
    }

    fn told(input: &[u8]) -> Option<Option<String>> {
        match read(input) {
            Header::Whole { length, client } => {
                assert!(length <= input.len());
                Some(client.map(|client| client.to_string()))
            }
            _ => None,
        }
    }

    #[test]
    fn a_line_names_the_client() {
        for (line, client) in [
            ("PROXY TCP4 9.9.9.9 10.0.0.1 1234 443\r\nGET", Some("9.9.9.9:1234")),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255:65535")),
            ("PROXY TCP6 2001:db8::1 ::1 0 80\r\n", Some("[2001:db8::1]:0")),
            ("PROXY TCP6 ::ffff:9.9.9.9 ::1 5 80\r\n", Some("9.9.9.9:5")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::1 whatever it says\r\n", None),
        ] {
            assert_eq!(told(line.as_bytes()), Some(client.map(str::to_owned)), "{line:?}");
        }
    }

    #[test]
    fn bytes_name_the_client_whatever_follows_its_address() {
        let four = [9, 9, 9, 9, 10, 0, 0, 1, 0x04, 0xd2, 0x01, 0xbb];
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[33] = 7;
        let client = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(told(&second(1, 0x11, &four)), client("9.9.9.9:1234"));
        assert_eq!(told(&second(1, 0x11, &[&four[..], b"\x03\0\x04abcd"].concat())), client("9.9.9.9:1234"));
        assert_eq!(told(&second(1, 0x21, &six)), client("[2001:db8::]:7"));
        assert_eq!(told(&second(1, 0x11, &[&four[..], &[0; REST_MAX - 12]].concat())), client("9.9.9.9:1234"));
        for (command, family) in [(0, 0x11), (0, 0x00), (1, 0x00), (1, 0x31), (1, 0x12)] {
            assert_eq!(told(&second(command, family, &four)), Some(None), "{command} {family}");
        }
    }

    #[test]
    fn what_is_no_header_is_wrong() {
        for line in [
            "GET / HTTP/1.1\r\n\r\n",
            "PROXY\r\n",
            "PROXYTCP4 9.9.9.9 10.0.0.1 1234 443\r\n",
            "PROXY TCP4  9.9.9.9 10.0.0.1 1234 443\r\n",
            "PROXY TCP4 9.9.9.9 10.0.0.1 1234 443 \r\n",
            "PROXY TCP4 9.9.9.9 10.0.0.1 1234\r\n",
            "PROXY TCP4 9.9.9 10.0.0.1 1234 443\r\n",
            "PROXY TCP4 9.9.9.9 ::1 1234 443\r\n",
            "PROXY TCP4 9.9.9.9 10.0.0.1 01234 443\r\n",
            "PROXY TCP4 9.9.9.9 10.0.0.1 +1234 443\r\n",
            "PROXY TCP4 9.9.9.9 10.0.0.1 65536 443\r\n",
            "PROXY TCP6 9.9.9.9 10.0.0.1 1234 443\r\n",
            "PROXY UDP4 9.9.9.9 10.0.0.1 1234 443\r\n",
            "proxy TCP4 9.9.9.9 10.0.0.1 1234 443\r\n",
            "\r\nGET / HTTP/1.1\r\n",
            "\x16\x03\x01",
        ] {
            assert_eq!(read(line.as_bytes()), Header::Wrong, "{line:?}");
        }
        assert_eq!(read(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; LINE_MAX]].concat()), Header::Wrong);
        let four = [9, 9, 9, 9, 10, 0, 0, 1, 0x04, 0xd2, 0x01, 0xbb];
        assert_eq!(read(&second(2, 0x11, &four)), Header::Wrong);
        assert_eq!(read(&second(1, 0x11, &four[..11])), Header::Wrong);
        assert_eq!(read(&second(1, 0x21, &four)), Header::Wrong);
        assert_eq!(read(&second(1, 0x11, &[0; REST_MAX + 1])), Header::Wrong);
        let mut first_version = second(1, 0x11, &four);
        first_version[12] = 0x11;
        assert_eq!(read(&first_version), Header::Wrong);
    }

    #[test]
    fn every_beginning_of_a_header_is_partial() {
        let whole = second(1, 0x11, &[9, 9, 9, 9, 10, 0, 0, 1, 0x04, 0xd2, 0x01, 0xbb]);
        for header in [b"PROXY TCP4 9.9.9.9 10.0.0.1 1234 443\r\n".as_slice(), &whole] {
            for end in 0..header.len() {
                assert_eq!(read(&header[..end]), Header::Partial, "{end}");
            }
            assert!(matches!(read(header), Header::Whole { length, .. } if length == header.len()));
        }
    }
}
