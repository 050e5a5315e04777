//! What the server says of itself. It only reads: it works beside gateways and dispatchers that run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::redis::{InfoDict, cmd};
use tokio::time::Instant;

use super::{Redis, durability, durability::Setting, keys};
use crate::{
    placement::{FORMAT, LANES, SHARDS},
    store::Result,
};

/// The oldest version of the server that is worked with: major and minor number.
pub const OLDEST: (u32, u32) = (7, 0);
/// How often the clock is asked for: the fastest answer counts.
const CLOCK_READINGS: usize = 7;

/// The layout of keys and records that a store was written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// It was never written to.
    None,
    /// The one of this version.
    Ours,
    /// Another one.
    Other(String),
}

/// This version's layout, as it stands in the store.
pub(super) fn layout() -> String {
    format!("format={FORMAT} shards={SHARDS} lanes={LANES}")
}

impl Layout {
    pub(super) fn of(found: Option<String>) -> Self {
        match found {
            None => Self::None,
            Some(found) if found == layout() => Self::Ours,
            Some(found) => Self::Other(found),
        }
    }
}

/// What `INFO` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its version, such as `7.2.4`.
    pub version: String,
    /// Whether it takes writes by its role: a replica does not.
    pub is_master: bool,
    /// Whether it still reads its files.
    pub is_loading: bool,
    /// Whether the last write to its log, and the last rewrite of it, went well.
    pub log_is_written: bool,
    /// Bytes that it holds.
    pub used_memory: u64,
    /// Bytes that it may hold; 0: as many as the machine has.
    pub max_memory: u64,
    /// Replicas that follow it closely enough to count.
    pub replicas: u32,
}

impl Server {
    fn of(info: &InfoDict) -> Self {
        let text = |name: &str| info.get::<String>(name).unwrap_or_default();
        let number = |name: &str| info.get::<u64>(name).unwrap_or_default();
        let went_well = |name: &str| info.get::<String>(name).is_none_or(|status| status == "ok");
        // The second one is there only with min-replicas-max-lag above 0.
        let replicas = info
            .get::<u32>("min_slaves_good_slaves")
            .or_else(|| info.get::<u32>("connected_slaves"))
            .unwrap_or_default();
        Self {
            version: text("redis_version"),
            is_master: text("role") == "master",
            is_loading: number("loading") != 0,
            log_is_written: went_well("aof_last_write_status")
                && went_well("aof_last_bgrewrite_status"),
            used_memory: number("used_memory"),
            max_memory: number("maxmemory"),
            replicas,
        }
    }

    /// Whether the version is [`OLDEST`] or newer; `None`: it cannot be read.
    pub fn is_recent(&self) -> Option<bool> {
        let mut numbers = self.version.split('.').map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??) >= OLDEST)
    }
}

/// How the server's clock stands against ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// How far they are apart.
    pub apart: Duration,
    /// Whether the server's clock is the one ahead.
    pub server_is_ahead: bool,
    /// What the answer took; the figure above is right within half of it.
    pub round_trip: Duration,
}

impl Redis {
    /// The settings that the configured durability asks for, as the server has them.
    pub async fn settings(&self) -> Result<Vec<Setting>> {
        let configured = self.configured().await?;
        Ok(durability::judge(self.durability, &configured).collect())
    }

    /// The layout that the database was written with.
    pub async fn layout(&self) -> Result<Layout> {
        Ok(Layout::of(self.serving.command(cmd("GET").arg(keys::layout())).await?))
    }

    /// What the server says of itself.
    pub async fn server(&self) -> Result<Server> {
        Ok(Server::of(&self.serving.command(&cmd("INFO")).await?))
    }

    /// How its clock stands against ours.
    pub async fn skew(&self) -> Result<Skew> {
        let mut best: Option<Skew> = None;
        for _ in 0..CLOCK_READINGS {
            let sent = Instant::now();
            let before = since_epoch();
            let (seconds, micros): (u64, u32) = self.serving.command(&cmd("TIME")).await?;
            let round_trip = sent.elapsed();
            let theirs = Duration::from_secs(seconds) + Duration::from_micros(micros.into());
            let ours = before + round_trip / 2;
            let skew =
                Skew { apart: theirs.abs_diff(ours), server_is_ahead: theirs > ours, round_trip };
            best = Some(best.filter(|best| best.round_trip <= round_trip).unwrap_or(skew));
        }
        Ok(best.unwrap_or(Skew {
            apart: Duration::ZERO,
            server_is_ahead: false,
            round_trip: Duration::ZERO,
        }))
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let recent = |version: &str| {
            let info = format!("redis_version:{version}\r\nrole:master\r\nloading:0\r\n");
            Server::of(&InfoDict::new(&info)).is_recent()
        };
        assert_eq!(recent("6.2.14"), Some(false));
        assert_eq!(recent("7.0.0"), Some(true));
        assert_eq!(recent("10.1"), Some(true));
        assert_eq!(recent("unstable"), None);
    }

    #[test]
    fn what_info_says_is_read() {
        let info = "role:slave\r\nloading:1\r\naof_last_write_status:err\r\nused_memory:3\r\n\
                    maxmemory:4\r\nconnected_slaves:2\r\n";
        let server = Server::of(&InfoDict::new(info));
        assert!(!server.is_master && server.is_loading && !server.log_is_written);
        assert_eq!((server.used_memory, server.max_memory, server.replicas), (3, 4, 2));
        assert!(Server::of(&InfoDict::new("role:master\r\n")).log_is_written, "no log, no fault");
    }
}
