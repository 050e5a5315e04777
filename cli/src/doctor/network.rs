//! The network that deliveries use: what names resolve to, and where the guard lets them go.

use std::net::{IpAddr, Ipv4Addr};

use dispatcher::Unresolved;
use ipnet::IpNet;
use shared::guard::{Guard, METADATA, Reach};
use url::Url;

use super::finding::{Finding, Findings};
use crate::config::{Settings, StoreChoice};

/// Asked for where no endpoint names a host: whether there is an answer is all that counts.
const ANY_NAME: &str = "example.com";

/// Networks that are not public, by an address in each.
const PRIVATE: [(&str, Ipv4Addr); 4] = [
    ("this machine (127.0.0.0/8)", Ipv4Addr::new(127, 0, 0, 1)),
    ("10.0.0.0/8", Ipv4Addr::new(10, 0, 0, 1)),
    ("172.16.0.0/12", Ipv4Addr::new(172, 16, 0, 1)),
    ("192.168.0.0/16", Ipv4Addr::new(192, 168, 0, 1)),
];

/// Whether names resolve: those of endpoints, or any.
pub(super) async fn names(hosts: Vec<String>, findings: &mut Findings) {
    let check = "names";
    let wanted = !hosts.is_empty();
    let asked = if wanted { hosts } else { vec![ANY_NAME.to_owned()] };
    let answers = match dispatcher::resolve(&asked).await {
        Ok(answers) => answers,
        Err(error) => {
            findings.add(Finding::failed(check, error.to_string(), "correct /etc/resolv.conf"));
            return;
        }
    };
    for (name, answer) in asked.iter().zip(answers) {
        findings.add(judge(name, wanted, answer.map(|addresses| addresses.len())));
    }
}

fn judge(name: &str, wanted: bool, answer: Result<usize, Unresolved>) -> Finding {
    let check = "names";
    match answer {
        Ok(addresses) => Finding::ok(check, format!("{name} has {addresses} addresses")),
        Err(error) if wanted => {
            let found = format!("{name}, to which an endpoint delivers: {error}");
            let todo = match error {
                Unresolved::Failed => {
                    "correct the endpoint's URL, or the name servers in /etc/resolv.conf"
                }
                Unresolved::Late => {
                    "correct the name servers in /etc/resolv.conf, or the way to them"
                }
            };
            match error {
                // One customer's mistake is none of this installation.
                Unresolved::Failed => Finding::warning(check, found, todo),
                Unresolved::Late => Finding::failed(check, found, todo),
            }
        }
        Err(error) => {
            let todo =
                "deliveries to names will fail: correct the name servers in /etc/resolv.conf";
            Finding::warning(check, format!("{name}: {error}"), todo)
        }
    }
}

/// Where deliveries may go.
pub(super) async fn guard(settings: &Settings, findings: &mut Findings) {
    let store = match &settings.store {
        StoreChoice::Embedded => Vec::new(),
        StoreChoice::Redis(url) => addresses(url).await,
    };
    for finding in opened(&settings.allow_cidr, &store) {
        findings.add(finding);
    }
}

async fn addresses(url: &Url) -> Vec<IpAddr> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let found = tokio::net::lookup_host((host, url.port().unwrap_or(6379))).await;
    found.map(|found| found.map(|address| address.ip()).collect()).unwrap_or_default()
}

fn opened(allowed: &[IpNet], store: &[IpAddr]) -> Vec<Finding> {
    let check = "deliveries";
    if allowed.is_empty() {
        let found = "to public addresses by https only; private networks and metadata are closed";
        return vec![Finding::ok(check, found.to_owned())];
    }
    let guard = Guard::new(allowed.to_vec());
    let open = |address: &IpAddr| guard.address(*address, Reach::AllowedOnly);
    let mut findings = Vec::new();
    let nets: Vec<_> = allowed.iter().map(ToString::to_string).collect();
    let private: Vec<_> = PRIVATE
        .iter()
        .filter(|(_, address)| open(&IpAddr::V4(*address)))
        .map(|(name, _)| *name)
        .collect();
    let shown = format!("also, and by http, into {}", nets.join(", "));
    findings.push(match private.is_empty() {
        true => Finding::ok(check, shown),
        false => Finding::ok(check, format!("{shown}; this opens {}", private.join(", "))),
    });
    if allowed.iter().any(|net| net.prefix_len() == 0) {
        let todo = "whoever can make endpoints reaches all of your network: name the networks that you mean";
        findings.push(Finding::warning(check, "allow_cidr has all addresses".to_owned(), todo));
    }
    if let Some(address) = METADATA.iter().find(|address| open(address)) {
        let found = format!("allow_cidr opens {address}, where clouds serve credentials");
        findings.push(Finding::warning(check, found, "leave it out of allow_cidr"));
    }
    if let Some(address) = store.iter().find(|address| open(address)) {
        let found = format!("allow_cidr opens {address}, where the store is");
        let todo = "whoever can make endpoints can send requests there: give the store a password, or \
                    leave its address out";
        findings.push(Finding::warning(check, found, todo));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(allow_cidr: &[&str], store: &[IpAddr]) -> String {
        let allowed: Vec<_> = allow_cidr.iter().map(|net| net.parse().unwrap()).collect();
        opened(&allowed, store).iter().map(|finding| format!("{finding}\n")).collect()
    }

    #[test]
    fn what_is_open_is_told() {
        assert!(told(&[], &[]).starts_with("ok"));
        let usual = told(&["10.0.0.0/8"], &[]);
        assert!(
            usual.starts_with("ok") && usual.contains("10.0.0.0/8") && !usual.contains("warning")
        );
        assert!(!usual.contains("127.0.0"), "{usual}");
        let all = told(&["0.0.0.0/0"], &[IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3))]);
        for wanted in ["all addresses", "169.254.169.254", "10.1.2.3, where the store is"] {
            assert!(all.contains(wanted), "{wanted}: {all}");
        }
        assert!(told(&["fd00::/8"], &[]).contains("fd00:ec2::254"));
    }

    #[test]
    fn a_name_server_that_is_silent_fails_only_where_a_name_is_needed() {
        assert!(judge("a.example", true, Ok(1)).to_string().starts_with("ok"));
        assert!(judge("a.example", true, Err(Unresolved::Late)).to_string().starts_with("failed"));
        assert!(
            judge("a.example", true, Err(Unresolved::Failed)).to_string().starts_with("warning")
        );
        assert!(
            judge("a.example", false, Err(Unresolved::Late)).to_string().starts_with("warning")
        );
    }
}
