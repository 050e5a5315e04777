//! The store on Redis: reached, recent, durable, with room, and its clock with ours.

use std::time::Duration;

use shared::store::{
    Durability, SharedStore,
    redis::{self, Layout, OLDEST, Redis, Server, Skew},
};
use url::Url;

use super::finding::{Finding, Findings};
use crate::{config::Settings, exit::Failure};

/// A round trip from which on each publication and each settlement is slow.
const SLOW: Duration = Duration::from_millis(20);
/// How full it may be before somebody should look.
const FULL_PERCENT: u64 = 85;
/// How far clocks may be apart: what is due then is delivered as much too late or too early…
const MOST_APART: Duration = Duration::from_secs(1);
/// …and from here on receivers refuse the time in signatures, and issuers' tokens are not valid.
const UNUSABLE: Duration = Duration::from_secs(120);

/// The store, if it can be read at all.
pub(super) async fn check(
    settings: &Settings,
    url: &Url,
    findings: &mut Findings,
) -> Option<SharedStore> {
    let opened = redis::unchecked(url.as_str(), settings.durability, settings.lifetimes());
    let found = match opened {
        Ok(redis) => redis.server().await.map(|server| (redis, server)),
        Err(error) => Err(error),
    };
    let (redis, server) = match found {
        Ok(found) => found,
        Err(error) => {
            let found = format!("{}: {error}", settings.store);
            let todo =
                "start it, or correct the setting `store`, its password, or the network between";
            findings.add(Finding::failed("store", found, todo));
            return None;
        }
    };
    match redis.skew().await {
        Ok(skew) => {
            findings.add(latency(settings, &skew));
            findings.add(clocks(&skew));
        }
        Err(error) => findings.fail_each("clock.store", &Failure::from(error)),
    }
    findings.add(version(&server));
    durable(settings, &redis, findings).await;
    findings.add(writes(settings, &server));
    findings.add(memory(&server));
    layout(&redis, findings).await.then_some(redis)
}

fn latency(settings: &Settings, skew: &Skew) -> Finding {
    let found = format!("{} answers within {:.1?}", settings.store, skew.round_trip);
    match skew.round_trip > SLOW {
        true => Finding::warning(
            "store",
            found,
            "each message costs several such round trips: run it nearer",
        ),
        false => Finding::ok("store", found),
    }
}

fn clocks(skew: &Skew) -> Finding {
    let side = if skew.server_is_ahead { "ahead of" } else { "behind" };
    let within = skew.round_trip / 2;
    let found =
        format!("the store's clock is {:.1?} {side} this machine's, ± {within:.1?}", skew.apart);
    let todo = "let NTP set both clocks";
    match skew.apart.saturating_sub(within) {
        apart if apart > UNUSABLE => Finding::failed("clock.store", found, todo),
        apart if apart > MOST_APART => Finding::warning("clock.store", found, todo),
        _ => Finding::ok("clock.store", found),
    }
}

fn version(server: &Server) -> Finding {
    let found = format!("redis {}", server.version);
    let (major, minor) = OLDEST;
    let todo = format!("use {major}.{minor} or newer");
    match server.is_recent() {
        Some(true) => Finding::ok("store.version", found),
        Some(false) => Finding::failed("store.version", found, &todo),
        None => Finding::warning("store.version", found, &todo),
    }
}

/// One finding for each setting that the level asks for.
async fn durable(settings: &Settings, redis: &Redis, findings: &mut Findings) {
    let level = settings.durability.name();
    match redis.settings().await {
        Ok(found) => {
            for setting in found {
                findings.add(match setting.wrong {
                    Some(wrong) => Finding::failed("durability", wrong, ""),
                    None => Finding::ok(
                        "durability",
                        format!("{} {}, as `{level}` needs", setting.name, setting.found),
                    ),
                });
            }
        }
        Err(error) => {
            let found = format!("the settings of redis cannot be read: {error}");
            findings.add(Finding::failed("durability", found, "let this user run CONFIG GET"));
        }
    }
}

/// Whether it would take writes now.
fn writes(settings: &Settings, server: &Server) -> Finding {
    let check = "store.writes";
    if !server.is_master {
        let todo = "name its master in the setting `store`";
        return Finding::failed(
            check,
            "this redis is a replica and refuses writes".to_owned(),
            todo,
        );
    }
    if server.is_loading {
        let found = "it still loads its files and refuses everything else".to_owned();
        return Finding::failed(check, found, "wait until it has");
    }
    if !server.log_is_written {
        let found = "its last write to the log, or the last rewrite of it, failed".to_owned();
        return Finding::failed(check, found, "see the disk's room and the log of redis");
    }
    if settings.durability == Durability::Replicated && server.replicas == 0 {
        let found = "no replica follows: everything new is refused".to_owned();
        return Finding::failed(check, found, "start the replicas, see INFO replication");
    }
    Finding::ok(check, format!("it is master, {} replicas follow", server.replicas))
}

fn memory(server: &Server) -> Finding {
    let check = "store.memory";
    let used = server.used_memory >> 20;
    if server.max_memory == 0 {
        let found = format!("{used} MiB used, no maxmemory is set");
        let todo = "when the machine's memory is used up, the system kills redis: set maxmemory";
        return Finding::warning(check, found, todo);
    }
    let percent = server.used_memory.saturating_mul(100) / server.max_memory;
    let found = format!("{used} of {} MiB used, {percent} %", server.max_memory >> 20);
    match percent {
        100.. => Finding::failed(check, found, "new messages are refused: raise maxmemory"),
        FULL_PERCENT..100 => {
            Finding::warning(check, found, "new messages will be refused: raise maxmemory")
        }
        _ => Finding::ok(check, found),
    }
}

/// Whether records can be read.
async fn layout(redis: &Redis, findings: &mut Findings) -> bool {
    let check = "store.format";
    let (finding, readable) = match redis.layout().await {
        Ok(Layout::None) => (Finding::ok(check, "the database is new".to_owned()), true),
        Ok(Layout::Ours) => (Finding::ok(check, "written with this format".to_owned()), true),
        Ok(Layout::Other(theirs)) => {
            let todo = "use the version that wrote it, or an empty database";
            (Finding::failed(check, format!("written with `{theirs}`"), todo), false)
        }
        Err(error) => (Finding::failed(check, error.to_string(), ""), false),
    };
    findings.add(finding);
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            version: "7.2.4".to_owned(),
            is_master: true,
            is_loading: false,
            log_is_written: true,
            used_memory: 1 << 20,
            max_memory: 1 << 30,
            replicas: 0,
        }
    }

    fn shown(finding: &Finding) -> String {
        finding.to_string()
    }

    #[test]
    fn memory_is_judged_by_what_is_left() {
        let with =
            |used, max| shown(&memory(&Server { used_memory: used, max_memory: max, ..server() }));
        assert!(with(1 << 20, 1 << 30).starts_with("ok"));
        assert!(with(900 << 20, 1 << 30).starts_with("warning"));
        assert!(with(1 << 30, 1 << 30).starts_with("failed"));
        assert!(with(1 << 20, 0).contains("set maxmemory"));
    }

    #[test]
    fn clocks_are_judged_beyond_what_the_answer_took() {
        let with = |apart, round_trip| {
            let [apart, round_trip] = [apart, round_trip].map(Duration::from_millis);
            shown(&clocks(&Skew { apart, server_is_ahead: true, round_trip }))
        };
        assert!(with(900, 1).starts_with("ok"));
        assert!(with(1_400, 1).starts_with("warning"));
        assert!(with(1_400, 1_000).starts_with("ok"), "the answer may have been slow one way");
        assert!(with(200_000, 1).starts_with("failed"));
    }

    #[test]
    fn old_servers_fail() {
        let with = |text: &str| shown(&version(&Server { version: text.to_owned(), ..server() }));
        assert!(with("6.2.7").starts_with("failed") && with("7.0.0").starts_with("ok"));
    }
}
