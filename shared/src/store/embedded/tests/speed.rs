//! A measurement: messages per second through publish, read, fetch and settle.
//!
//! `cargo test -p shared --release embedded::tests::speed -- --ignored --nocapture`

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::rig::{LONG, Rig, attempt};
use crate::{
    placement::Lane,
    store::{
        Durability, Entry, EntryId, Fetch, LaneBatch, LaneRead, Lanes, Place, Publisher, Settle,
        Settlement, Verdict,
    },
};

const PUBLISHERS: usize = 64;
const MESSAGES: usize = 400_000;
const REPORTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check"]
async fn messages_per_second() {
    for durability in [Durability::Process, Durability::Disk] {
        let rig = Arc::new(Rig::with(durability, LONG).await);
        println!("{}: 1 KiB, fan-out 1, {PUBLISHERS} publishers", durability.name());
        let left = Arc::new(AtomicUsize::new(MESSAGES));
        for _ in 0..PUBLISHERS {
            let (rig, left) = (Arc::clone(&rig), Arc::clone(&left));
            let take = |left: usize| left.checked_sub(1);
            tokio::spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                    rig.store.publish(vec![rig.publication(vec![])]).await.unwrap();
                }
            });
        }
        settle_all(&rig).await;
    }
}

/// Settles what is published, as it comes, and tells how fast each part of it went.
async fn settle_all(rig: &Rig) {
    let mut reader = rig.store.reader().await.unwrap();
    let mut read = LaneRead { lane: rig.fence.lane, after: EntryId::START };
    let others = Lane::all().filter(|lane| *lane != read.lane);
    let others: Vec<_> = others.map(|lane| LaneRead { lane, after: EntryId::START }).collect();
    let (mut settled, mut part, mut since, mut used) = (0, 0, Instant::now(), cpu_seconds());
    while settled < MESSAGES {
        let lanes: Vec<_> = std::iter::once(read).chain(others.iter().copied()).collect();
        for batch in reader.read(&lanes, 64).await.unwrap() {
            read.after = batch.entries.last().unwrap().0;
            settled += settle(rig, &batch).await;
        }
        if settled - part >= MESSAGES / REPORTS {
            let count = (settled - part) as f64;
            let rate = count / since.elapsed().as_secs_f64();
            let cost = (cpu_seconds() - used) / count * 1e6;
            println!("  {settled:>7} settled, {rate:.0}/s, {cost:.0} µs of CPU each");
            (part, since, used) = (settled, Instant::now(), cpu_seconds());
        }
    }
}

/// What the process used so far, in all its threads: unlike the rate, this hardly depends on what else
/// the machine does. The kernel counts hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks = fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

async fn settle(rig: &Rig, batch: &LaneBatch) -> usize {
    let found = batch.entries.iter().filter_map(|(id, entry)| match entry {
        Entry::Delivery { delivery, .. } => Some((*id, *delivery)),
        Entry::Nudge { .. } | Entry::FanOut(_) | Entry::Unknown => None,
    });
    let found: Vec<_> = found.collect();
    let deliveries = found.iter().map(|(_, delivery)| *delivery).collect();
    rig.store.fetch(&[Fetch { fence: rig.fence.clone(), deliveries }]).await.unwrap();
    let settlements = found.iter().map(|(id, delivery)| Settlement {
        delivery: *delivery,
        place: Place::Stream(*id),
        attempts: 1,
        verdict: Verdict::Delivered,
        record: Some(attempt(delivery)),
    });
    let settlements: Vec<_> = settlements.collect();
    let count = settlements.len();
    let settle = Settle { fence: rig.fence.clone(), settlements, states: vec![] };
    rig.store.settle(&[settle]).await.unwrap();
    count
}
