//! What the server tells of itself, and what its connections have seen.

use std::sync::atomic::{AtomicU64, Ordering};

use ::redis::{
    ErrorKind, FromRedisValue, InfoDict, RedisError, ServerErrorKind as Server, cmd, pipe,
};

use super::Redis;
use crate::{
    store::{Result, Vital, Vitals},
    time::Millis,
};

/// Counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counts {
    reconnects: AtomicU64,
    scripts: [AtomicU64; ScriptError::ALL.len()],
}

/// How a script failed.
#[derive(Debug, Clone, Copy)]
enum ScriptError {
    /// The server did not know it; it is sent then.
    NoScript,
    OutOfMemory,
    ReadOnly,
    Busy,
    Loading,
    Cluster,
    Other,
}

impl ScriptError {
    const ALL: [Self; 7] = [
        Self::NoScript,
        Self::OutOfMemory,
        Self::ReadOnly,
        Self::Busy,
        Self::Loading,
        Self::Cluster,
        Self::Other,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::NoScript => "no_script",
            Self::OutOfMemory => "out_of_memory",
            Self::ReadOnly => "read_only",
            Self::Busy => "busy",
            Self::Loading => "loading",
            Self::Cluster => "cluster",
            Self::Other => "other",
        }
    }

    /// `None` if it is not the server that said so.
    fn of(error: &RedisError) -> Option<Self> {
        match error.kind() {
            ErrorKind::Server(Server::NoScript) => Some(Self::NoScript),
            ErrorKind::Server(Server::ReadOnly) => Some(Self::ReadOnly),
            ErrorKind::Server(Server::BusyLoading) => Some(Self::Loading),
            ErrorKind::Server(
                Server::Moved
                | Server::Ask
                | Server::TryAgain
                | Server::ClusterDown
                | Server::CrossSlot
                | Server::MasterDown,
            ) => Some(Self::Cluster),
            ErrorKind::Server(_) => Some(Self::Other),
            ErrorKind::Extension => Some(match error.code() {
                Some("OOM") => Self::OutOfMemory,
                Some("BUSY") => Self::Busy,
                _ => Self::Other,
            }),
            _ => None,
        }
    }
}

impl Counts {
    /// A connection broke: the next request makes another one.
    pub(super) fn broke(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn script_failed(&self, error: &RedisError) {
        if let Some(kind) = ScriptError::of(error) {
            self.scripts[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tell(&self) -> impl Iterator<Item = Vital> {
        let reconnects = Vital::counter(
            "sluicegate_store_reconnects_total",
            "Connections to Redis that broke and were replaced",
            self.reconnects.load(Ordering::Relaxed),
        );
        let scripts = ScriptError::ALL.into_iter().map(|kind| {
            let count = self.scripts[kind as usize].load(Ordering::Relaxed);
            let (name, help) = (
                "sluicegate_store_script_errors_total",
                "Scripts that Redis answered with an error",
            );
            Vital::counter(name, help, count).labelled("kind", kind.name())
        });
        std::iter::once(reconnects).chain(scripts)
    }
}

impl Redis {
    pub(super) async fn tell_vitals(&self) -> Result<Vitals> {
        let mut pipeline = pipe();
        pipeline.add_command(cmd("INFO")).cmd("TIME");
        let (info, (seconds, micros)): (InfoDict, (u64, u64)) = self.ask_all(&pipeline).await?;
        let clock = Millis(seconds * 1000 + micros / 1000);
        Ok(Vitals { clock: Some(clock), vitals: vitals(&info).chain(self.counts.tell()).collect() })
    }
}

fn number(info: &InfoDict, field: &str) -> f64 {
    get::<f64>(info, field).unwrap_or_default()
}

fn get<T: FromRedisValue>(info: &InfoDict, field: &str) -> Option<T> {
    info.get(field)
}

fn is(info: &InfoDict, field: &str, text: &str) -> f64 {
    f64::from(u8::from(get::<String>(info, field).is_some_and(|found| found == text)))
}

/// How far the furthest replica is behind, in bytes of the replication stream.
fn lag(info: &InfoDict) -> f64 {
    let replicas = number(info, "connected_slaves") as usize;
    let written = number(info, "master_repl_offset");
    let behind = (0..replicas).filter_map(|nth| {
        let told: String = get(info, &format!("slave{nth}"))?;
        let offset = told.split(',').find_map(|part| part.strip_prefix("offset="))?;
        Some(written - offset.parse::<f64>().ok()?)
    });
    behind.fold(0.0, f64::max)
}

fn vitals(info: &InfoDict) -> impl Iterator<Item = Vital> {
    let number = |field| number(info, field);
    let is = |field, text| is(info, field, text);
    [
        ("sluicegate_redis_memory_used_bytes", "Memory that Redis uses", number("used_memory")),
        ("sluicegate_redis_memory_max_bytes", "Its maxmemory; 0: no limit", number("maxmemory")),
        ("sluicegate_redis_evicted_keys", "Keys evicted since its start", number("evicted_keys")),
        (
            "sluicegate_redis_aof_enabled",
            "Whether the append-only file is on",
            number("aof_enabled"),
        ),
        (
            "sluicegate_redis_aof_last_write_ok",
            "Whether the last write to the append-only file succeeded",
            is("aof_last_write_status", "ok"),
        ),
        (
            "sluicegate_redis_aof_last_rewrite_ok",
            "Whether the last rewrite of the append-only file succeeded",
            is("aof_last_bgrewrite_status", "ok"),
        ),
        (
            "sluicegate_redis_aof_delayed_fsyncs",
            "Fsyncs put off because the disk was busy, since its start",
            number("aof_delayed_fsync"),
        ),
        (
            "sluicegate_redis_rdb_last_save_ok",
            "Whether the last snapshot succeeded",
            is("rdb_last_bgsave_status", "ok"),
        ),
        (
            "sluicegate_redis_rdb_last_save_timestamp_seconds",
            "When the last snapshot succeeded, since the Unix epoch",
            number("rdb_last_save_time"),
        ),
        (
            "sluicegate_redis_rdb_unsaved_changes",
            "Changes since the last snapshot",
            number("rdb_changes_since_last_save"),
        ),
        (
            "sluicegate_redis_connected_replicas",
            "Replicas that are connected",
            number("connected_slaves"),
        ),
        (
            "sluicegate_redis_replication_lag_bytes",
            "How far the furthest replica is behind",
            lag(info),
        ),
        ("sluicegate_redis_connected_clients", "Connections", number("connected_clients")),
        ("sluicegate_redis_is_master", "Whether it takes writes", is("role", "master")),
    ]
    .into_iter()
    .map(|(name, help, value)| Vital::gauge(name, help, value))
}

#[cfg(test)]
mod tests {
    use ::redis::Value;

    use super::*;

    fn info(text: &str) -> InfoDict {
        InfoDict::from_redis_value(Value::BulkString(text.into())).unwrap()
    }

    #[test]
    fn the_furthest_replica_counts() {
        assert_eq!(lag(&info("role:master\nconnected_slaves:0\nmaster_repl_offset:9\n")), 0.0);
        let two = "connected_slaves:2\nslave0:ip=a,port=1,state=online,offset=90,lag=0\n\
                   slave1:ip=b,port=2,state=online,offset=40,lag=3\nmaster_repl_offset:100\n";
        assert_eq!(lag(&info(two)), 60.0);
    }

    #[test]
    fn what_the_server_tells_is_shown_with_its_unit() {
        let told = "used_memory:1024\nmaxmemory:2048\naof_last_write_status:err\nrole:master\n";
        let info = info(told);
        let shown = |name: &str| vitals(&info).find(|vital| vital.name == name).unwrap().value;
        assert_eq!(shown("sluicegate_redis_memory_used_bytes"), 1024.0);
        assert_eq!(shown("sluicegate_redis_memory_max_bytes"), 2048.0);
        assert_eq!(shown("sluicegate_redis_aof_last_write_ok"), 0.0);
        assert_eq!(shown("sluicegate_redis_is_master"), 1.0);
    }
}
