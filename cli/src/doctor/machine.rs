//! The machine: its clock, the addresses to listen on, file descriptors.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use shared::{sealing::KeyRing, trace::Tracer};

use super::finding::{Finding, Findings};
use crate::{arguments::Role, client, config::Settings};

/// No clock that is right shows less: 2026-01-01.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);
/// Nor more, for as long as this is used: 2100-01-01.
const LATEST: Duration = Duration::from_secs(4_102_444_800);
/// How long whoever listens already is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the clock can be right.
pub(super) fn clock(findings: &mut Findings) {
    findings.add(plausible(SystemTime::now()));
}

fn plausible(now: SystemTime) -> Finding {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let shown = format!("{} s since 1970", since_epoch.as_secs());
    match (EARLIEST..LATEST).contains(&since_epoch) {
        true => Finding::ok("clock", "it shows a plausible time".to_owned()),
        false => Finding::failed("clock", shown, "this cannot be right: let NTP set it"),
    }
}

/// Whether the process may open what its settings need.
pub(super) fn descriptors(settings: &Settings, findings: &mut Findings) {
    let check = "descriptors";
    findings.add(
        match dispatcher::descriptors(&settings.dispatcher(KeyRing::default(), Tracer::default())) {
            Ok(found) => {
                let most = found.hard.map_or("any number".to_owned(), |hard| hard.to_string());
                Finding::ok(check, format!("{} are needed, {most} allowed here", found.needed))
            }
            Err(error) => Finding::failed(check, error.to_string(), ""),
        },
    );
}

/// Whether the process can listen, or does already.
pub(super) async fn listeners(settings: &Settings, role: Role, findings: &mut Findings) {
    let api = ("listen", settings.listen, "api/v1/health");
    let admin = ("admin_listen", settings.admin_listen, "livez");
    for (setting, address, path) in role.takes_messages().then_some(api).into_iter().chain([admin])
    {
        findings.add(listener(setting, address, path).await);
    }
}

async fn listener(setting: &'static str, address: SocketAddr, path: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) if address.port() == 0 => {
            Finding::ok(setting, format!("any port of {}", address.ip()))
        }
        Ok(_) => Finding::ok(setting, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match is_ours(address, path).await {
                true => Finding::ok(setting, format!("a sluicegate serves {address} already")),
                false => {
                    let todo = format!("stop it, or choose another address with `{setting}`");
                    Finding::failed(setting, format!("another program listens on {address}"), &todo)
                }
            }
        }
        Err(error) => {
            let todo = format!("choose another address with `{setting}`");
            Finding::failed(setting, format!("{address}: {error}"), &todo)
        }
    }
}

/// Whether what listens answers as a sluicegate does.
async fn is_ours(address: SocketAddr, path: &str) -> bool {
    let Ok(url) = client::local(address).map(|base| format!("{base}{path}")) else { return false };
    let asking = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
    let Ok(asking) = asking else { return false };
    let Ok(answer) = asking.get(url).send().await else { return false };
    match answer.status().as_u16() {
        204 => true,
        200 => answer.text().await.is_ok_and(|text| text == "alive\n"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_fails() {
        assert!(plausible(UNIX_EPOCH).to_string().starts_with("failed"));
        let set = UNIX_EPOCH + EARLIEST + Duration::from_secs(1);
        assert!(plausible(set).to_string().starts_with("ok"));
        assert!(plausible(UNIX_EPOCH + LATEST).to_string().starts_with("failed"));
    }
}
