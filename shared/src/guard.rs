//! The guard against server-side request forgery: which addresses deliveries may go to.
//!
//! Public addresses only, by the IANA special-purpose registries (RFC 6890 and its successors), plus
//! the networks that the operator allows explicitly. Inside those, plain http and any port are
//! allowed too; everywhere else only https, and not the ports of other protocols.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// IPv4 networks that are not public.
const CLOSED_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    // A cloud's metadata and health address that looks public.
    v4(168, 63, 129, 16, 32),
];
/// The only IPv6 network that is public at all…
const OPEN_V6: Ipv6Net = v6(0x2000, 0, 3);
/// …and what is not public within it.
const CLOSED_V6: [Ipv6Net; 4] =
    [v6(0x2001, 0, 23), v6(0x2001, 0xdb8, 32), v6(0x2002, 0, 16), v6(0x3fff, 0, 20)];
/// NAT64: such an address is as good as the IPv4 address in its last 32 bits.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 96);
/// Ports of other protocols, which a POST could confuse.
const CLOSED_PORTS: [u16; 26] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 53, 110, 119, 143, 389, 465, 587, 636, 993,
    2375, 3306, 5432, 6379,
];

/// Where clouds serve machines their credentials.
pub const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// What a URL may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It may go to public addresses and to allowed networks.
    Public,
    /// It is http, or has an unusual port: it may go to allowed networks only.
    AllowedOnly,
}

/// Why a URL or an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither http nor https.
    #[error("only https URLs can be delivered to")]
    Scheme,
    /// A URL without a host.
    #[error("the URL has no host")]
    Host,
    /// `user:password@`.
    #[error("a URL must not carry user or password")]
    Credentials,
    /// http, or an unusual port, and no network is allowed in which that could be.
    #[error("only https on a usual port can be delivered to, outside the networks of --allow-cidr")]
    Plain,
    /// An address that is not public.
    #[error("the address is not public: allow its network with --allow-cidr")]
    Address,
}

/// The guard of one installation.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<IpNet>,
}

impl Guard {
    /// A guard that also lets these networks pass.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Judges a URL as far as that is possible before its name is resolved. A host that is an
    /// address is judged for good here, since no resolver will see it.
    pub fn url(&self, url: &Url) -> Result<Reach, Refusal> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let port = url.port_or_known_default().ok_or(Refusal::Scheme)?;
        let reach = match url.scheme() {
            "https" if !CLOSED_PORTS.contains(&port) => Reach::Public,
            "https" | "http" => Reach::AllowedOnly,
            _ => return Err(Refusal::Scheme),
        };
        let address = match url.host().ok_or(Refusal::Host)? {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        match address {
            Some(address) if self.address(address, reach) => Ok(reach),
            Some(address) if self.address(address, Reach::Public) => Err(Refusal::Plain),
            Some(_) => Err(Refusal::Address),
            None if self.allowed.is_empty() && is_local(url) => Err(Refusal::Address),
            None if self.allowed.is_empty() && reach == Reach::AllowedOnly => Err(Refusal::Plain),
            None => Ok(reach),
        }
    }

    /// Whether a request of this reach may go to this address.
    pub fn address(&self, address: IpAddr, reach: Reach) -> bool {
        let address = address.to_canonical();
        self.allowed.iter().any(|net| net.contains(&address))
            || (reach == Reach::Public && is_public(address))
    }
}

/// Names that every resolver answers with this machine.
fn is_local(url: &Url) -> bool {
    let name = url.domain().unwrap_or_default().trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            is_public(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        IpAddr::V6(address) => {
            OPEN_V6.contains(&address) && !CLOSED_V6.iter().any(|net| net.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn judge(url: &str, allowed: &[&str]) -> Option<Result<Reach, Refusal>> {
        let guard = Guard::new(allowed.iter().map(|net| net.parse().unwrap()).collect());
        Url::parse(url).ok().map(|url| guard.url(&url))
    }

    #[rstest]
    #[case("127.1")]
    #[case("0")]
    #[case("2130706433")]
    #[case("0x7f.1")]
    #[case("0177.0.0.1")]
    #[case("127.0.0.1.")]
    #[case("１２７.０.０.１")]
    #[case("①②⑦.0.0.1")]
    #[case("[::]")]
    #[case("[::1]")]
    #[case("[::ffff:a9fe:a9fe]")]
    #[case("[::7f00:1]")]
    #[case("[::ffff:0:7f00:1]")]
    #[case("[64:ff9b::a9fe:a9fe]")]
    #[case("[2002:7f00:1::1]")]
    #[case("[2001::1]")]
    #[case("[fec0::1]")]
    #[case("[fd00:ec2::254]")]
    #[case("[fe80::1%25eth0]")]
    #[case("169.254.169.254")]
    #[case("168.63.129.16")]
    #[case("10.0.0.1")]
    #[case("100.64.0.1")]
    #[case("172.31.255.255")]
    #[case("192.168.1.1")]
    #[case("224.0.0.1")]
    #[case("255.255.255.255")]
    #[case("localhost")]
    #[case("foo.localhost.")]
    fn closed_addresses_in_every_spelling_are_refused(#[case] host: &str) {
        let judged = judge(&format!("https://{host}/"), &[]);
        assert!(matches!(judged, None | Some(Err(Refusal::Address))), "{judged:?}");
    }

    #[rstest]
    #[case("https://8.8.8.8/")]
    #[case("https://[2606:4700::1]/")]
    #[case("https://[64:ff9b::808:808]/")]
    #[case("https://example.com:8443/hook")]
    fn public_ones_pass(#[case] url: &str) {
        assert_eq!(judge(url, &[]), Some(Ok(Reach::Public)));
    }

    #[rstest]
    #[case("http://example.com/", Refusal::Plain)]
    #[case("http://8.8.8.8/", Refusal::Plain)]
    #[case("https://8.8.8.8:22/", Refusal::Plain)]
    #[case("https://example.com:6379/", Refusal::Plain)]
    #[case("ftp://example.com/", Refusal::Scheme)]
    #[case("https://good@127.0.0.1/", Refusal::Credentials)]
    fn others_are_refused_with_their_reason(#[case] url: &str, #[case] refusal: Refusal) {
        assert_eq!(judge(url, &[]), Some(Err(refusal)));
    }

    #[test]
    fn an_allowed_network_allows_http_and_any_port_inside_only() {
        let allowed = ["127.0.0.0/8"];
        assert_eq!(judge("http://127.0.0.1:6379/", &allowed), Some(Ok(Reach::AllowedOnly)));
        assert_eq!(judge("http://[::ffff:7f00:1]/", &allowed), Some(Ok(Reach::AllowedOnly)));
        assert_eq!(judge("http://10.0.0.1/", &allowed), Some(Err(Refusal::Address)));
        assert_eq!(judge("http://8.8.8.8/", &allowed), Some(Err(Refusal::Plain)));
        // A name may turn out to lie inside: its addresses decide.
        assert_eq!(judge("http://localhost/", &allowed), Some(Ok(Reach::AllowedOnly)));
    }
}
