//! The URL of an endpoint: what is wrong with it can be said at once, or only when its name is
//! resolved. This is the first part; the dispatcher checks every connection again.

use std::net::IpAddr;

use ipnet::IpNet;
use shared::address::{is_allowed, is_public};
use url::{Host, Url};

const MAX_LEN: usize = 2048;

/// Checks a URL and writes it in its normal form, without fragment; the error says what is wrong.
pub(super) fn normalise(text: &str, allow_cidr: &[IpNet]) -> Result<String, &'static str> {
    if text.len() > MAX_LEN {
        return Err("longer than 2048 bytes");
    }
    if text.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\') {
        return Err("must not contain control characters or backslashes");
    }
    let mut url = Url::parse(text.trim()).map_err(|_| "not a URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or password");
    }
    let insecure = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err("must be an https URL"),
    };
    let may_be_insecure = match url.host() {
        None => return Err("must have a host"),
        Some(Host::Ipv4(address)) => check_address(address.into(), allow_cidr)?,
        Some(Host::Ipv6(address)) => check_address(address.into(), allow_cidr)?,
        Some(Host::Domain(name)) => check_name(name, allow_cidr)?,
    };
    if insecure && !may_be_insecure {
        return Err("must be an https URL");
    }
    url.set_fragment(None);
    Ok(url.into())
}

/// Whether http will do.
fn check_address(address: IpAddr, allow_cidr: &[IpNet]) -> Result<bool, &'static str> {
    let allowed = is_allowed(address, allow_cidr);
    if !allowed && !is_public(address) {
        return Err("its address is not public");
    }
    Ok(allowed)
}

/// Whether http will do, as far as a name can tell: it may lead into an allowed network.
fn check_name(name: &str, allow_cidr: &[IpNet]) -> Result<bool, &'static str> {
    let name = name.trim_end_matches('.');
    let local = name == "localhost" || name.ends_with(".localhost");
    if local && allow_cidr.is_empty() {
        return Err("its address is not public");
    }
    Ok(!allow_cidr.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(text: &str) -> Result<String, &'static str> {
        normalise(text, &[])
    }

    #[test]
    fn takes_https_and_writes_the_normal_form() {
        assert_eq!(
            strict("HTTPS://Example.COM:443/a/../b?q#f").unwrap(),
            "https://example.com/b?q"
        );
        assert!(strict("https://1.1.1.1/").is_ok());
        assert!(strict("https://[2606:4700::1111]/").is_ok());
    }

    #[test]
    fn refuses_what_is_not_a_public_https_url() {
        for text in [
            "",
            "example.com",
            "ftp://example.com",
            "http://example.com/",
            "http://1.1.1.1/",
            "https://user@example.com/",
            "https://:password@example.com/",
            "https:\\\\example.com",
            "https://exa\tmple.com/",
            "https://127.1/",
            "https://0/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.0.0.1./",
            "https://１２７.0.0.1/",
            "https://[::]/",
            "https://[::1]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[fe80::1%25eth0]/",
            "https://localhost/",
            "https://foo.localhost./",
        ] {
            assert!(strict(text).is_err(), "{text}: {:?}", strict(text));
        }
    }

    #[test]
    fn inside_allowed_networks_http_will_do() {
        let allow = ["127.0.0.0/8".parse().unwrap()];
        for text in ["http://127.0.0.1:8080/", "http://localhost/", "http://receiver/"] {
            assert!(normalise(text, &allow).is_ok(), "{text}");
        }
        for text in ["http://10.0.0.1/", "https://10.0.0.1/", "http://1.1.1.1/"] {
            assert!(normalise(text, &allow).is_err(), "{text}");
        }
    }
}
