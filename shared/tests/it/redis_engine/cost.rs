//! What a message costs the server. Prints figures; compare them within one run only.
//!
//! `cargo test --release -p shared --test it -- --ignored --nocapture cost_per_message`

use std::{collections::HashMap, time::Instant};

use bytes::Bytes;
use loadtests::redis_server::Fsync;
use shared::{
    domain::{Delivery, Message},
    placement::Lane,
    store::{
        Durability, Entry, EntryId, Fence, Fetch, LaneRead, Place, Settle, Settlement, Verdict,
    },
};

use super::Home;
use crate::bench::{Tenant, attempt};

const BATCH: usize = 64;
const BATCHES: usize = 150;
const APPLICATIONS: usize = 16;

struct Usage {
    cpu: f64,
    commands: HashMap<String, f64>,
}

/// Seconds of CPU of the server's process, and microseconds per command.
fn usage(client: &mut ::redis::Connection) -> Usage {
    let info: String = ::redis::cmd("INFO").arg("all").query(client).unwrap();
    let field = |name: &str| -> f64 {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().parse().unwrap()
    };
    let commands = info.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let usec = rest.split(',').find_map(|part| part.strip_prefix("usec="))?;
        Some((name.to_owned(), usec.parse().unwrap()))
    });
    let commands = commands.collect();
    Usage { cpu: field("used_cpu_sys") + field("used_cpu_user"), commands }
}

#[tokio::test]
#[ignore = "prints figures"]
async fn cost_per_message() {
    let home = Home::new(Fsync::EverySecond, Durability::Process).await;
    let store = &home.bench.store;
    let mut tenants = Vec::new();
    for _ in 0..APPLICATIONS {
        tenants.push(home.bench.tenant(1).await);
    }
    let mut fences: HashMap<Lane, Fence> = HashMap::new();
    let mut lanes = Vec::new();
    for lane in Lane::all() {
        fences.insert(lane, home.bench.own(lane).await);
        let after = home.bench.stream(lane).await.last().map_or(EntryId::START, |(id, _)| *id);
        lanes.push(LaneRead { lane, after });
    }
    let mut reader = store.reader().await.unwrap();
    let mut client = home.client();
    let before = usage(&mut client);
    let started = Instant::now();
    for batch in 0..BATCHES {
        let publications = (0..BATCH).map(|n| publication(&tenants[(batch + n) % APPLICATIONS]));
        store.publish(publications.collect()).await.unwrap();
        let mut got = 0;
        while got < BATCH {
            let mut settles = Vec::new();
            let mut fetches = Vec::new();
            for news in reader.read(&lanes, BATCH).await.unwrap() {
                let read = lanes.iter_mut().find(|read| read.lane == news.lane).unwrap();
                read.after = news.entries.last().unwrap().0;
                got += news.entries.len();
                let entries: Vec<(EntryId, Delivery)> =
                    news.entries.into_iter().filter_map(delivery).collect();
                let fence = fences[&news.lane].clone();
                let deliveries = entries.iter().map(|(_, delivery)| *delivery).collect();
                fetches.push(Fetch { fence: fence.clone(), deliveries });
                let settlements = entries.into_iter().map(delivered).collect();
                settles.push(Settle { fence, settlements, states: vec![] });
            }
            store.fetch(&fetches).await.unwrap();
            store.settle(&settles).await.unwrap();
        }
    }
    let wall = started.elapsed();
    let after = usage(&mut client);
    let messages = (BATCH * BATCHES) as f64;
    println!(
        "{:.1} us of CPU of redis per message, {:.0} messages/s in lockstep",
        (after.cpu - before.cpu) * 1e6 / messages,
        messages / wall.as_secs_f64(),
    );
    let mut commands: Vec<(f64, &String)> = after
        .commands
        .iter()
        .map(|(name, usec)| ((usec - before.commands.get(name).unwrap_or(&0.0)) / messages, name))
        .collect();
    commands.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (usec, name) in commands.iter().filter(|(usec, _)| *usec > 0.01) {
        println!("{usec:8.2} us {name}");
    }
}

fn publication(tenant: &Tenant) -> shared::store::Publication {
    let mut publication = tenant.publication();
    let payload = Bytes::from(vec![b'x'; 1024]);
    let message = Message { header: publication.header.clone(), payload };
    publication.record = message.encode().unwrap();
    publication
}

fn delivery((id, entry): (EntryId, Entry)) -> Option<(EntryId, Delivery)> {
    match entry {
        Entry::Delivery { delivery, .. } => Some((id, delivery)),
        Entry::Nudge { .. } | Entry::FanOut(_) | Entry::Unknown => None,
    }
}

fn delivered((entry, delivery): (EntryId, Delivery)) -> Settlement {
    Settlement {
        delivery,
        place: Place::Stream(entry),
        attempts: 1,
        verdict: Verdict::Delivered,
        record: Some(attempt(delivery, 1)),
    }
}
