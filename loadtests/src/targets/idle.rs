//! T7: what it takes when nothing happens, and how soon it is there.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{lab::Lab, outcome::Findings};
use crate::{
    process::memory,
    report::Bound,
    rounds::{Store, Subject},
};

const SETTLE: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(30);
const MEBIBYTE: f64 = (1 << 20) as f64;

/// By process.
#[derive(Debug, Serialize)]
struct Idle {
    store: Store,
    ready_ms: BTreeMap<String, f64>,
    /// Share of a core.
    cpu: BTreeMap<String, f64>,
    memory_mebibytes: BTreeMap<String, f64>,
}

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<Findings> {
    let mut all = Vec::new();
    for store in [Store::RedisEverySecond, Store::Embedded] {
        all.push(watch(lab, store).await?);
    }
    let mut findings = Findings::new(&all)?;
    for idle in &all {
        let whose = match idle.store {
            Store::Embedded => "all in one",
            Store::RedisEverySecond | Store::RedisAlways => "gateway, dispatcher and Redis",
        };
        let percent = 100.0 * idle.cpu.values().sum::<f64>();
        findings = findings.bound(Bound::at_most(format!("% of a core, {whose}"), percent, 1.0));
        for (name, mebibytes) in &idle.memory_mebibytes {
            let what = format!("MiB of {name}");
            findings = findings.bound(Bound::at_most(what, *mebibytes, 60.0));
        }
        for (name, millis) in &idle.ready_ms {
            let what = format!("ms until {name} is ready");
            findings = findings.bound(Bound::at_most(what, *millis, 1000.0));
        }
        for (name, share) in &idle.cpu {
            findings = findings.beside(&format!("% of a core, {name}"), 100.0 * share);
        }
    }
    findings.done()
}

async fn watch(lab: &Lab, store: Store) -> anyhow::Result<Idle> {
    let subject = Subject::sluicegate(&lab.program, store, &[]).await?;
    tokio::time::sleep(SETTLE).await;
    let before = subject.cpu()?;
    tokio::time::sleep(WATCHED).await;
    let share = |name: &str, now: Duration| {
        now.saturating_sub(before.get(name).copied().unwrap_or_default()).as_secs_f64()
            / WATCHED.as_secs_f64()
    };
    let cpu = subject.cpu()?.into_iter().map(|(name, now)| (name.clone(), share(&name, now)));
    let mut idle = Idle {
        store,
        ready_ms: BTreeMap::new(),
        cpu: cpu.collect(),
        memory_mebibytes: BTreeMap::new(),
    };
    for process in subject.processes() {
        let name = process.name().to_owned();
        idle.ready_ms.insert(name.clone(), process.ready_after().as_secs_f64() * 1e3);
        idle.memory_mebibytes.insert(name, memory(process.pid())? as f64 / MEBIBYTE);
    }
    subject.stop().await?;
    Ok(idle)
}
