//! All that can be seen of a universe through the traits, without what differs between stores.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use shared::{
    domain::{HOUR_MS, Queue},
    placement::Lane,
    store::{Ask, Entry, EntryId, Fence, Order, SharedStore},
    time::Millis,
};

use super::{
    call::in_gaps,
    tasks::timeless,
    universe::{STRANDS, Side, Universe, metered},
};
use crate::bench::{ALL, whole};

/// What is seen, by the name of what it is.
pub(super) struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    pub(super) async fn of(universe: &Universe, side: &Side) -> Self {
        let mut snapshot = Self(BTreeMap::new());
        for &lane in &universe.lanes {
            snapshot.lane(universe, &side.store, lane).await;
        }
        let configured = universe.is_configured(universe.apps[0]).await;
        for bucket in universe.buckets.iter().skip(usize::from(!configured)) {
            // Of no version: what the bucket knows counts, if it knows anything.
            let asked = [metered(bucket, 0, 0)];
            let next = side.store.next(&asked).await.unwrap();
            snapshot.see(format!("next of {bucket:?}"), in_gaps(next[0]));
        }
        for &queue in &universe.queues {
            for strand in STRANDS {
                snapshot.queue(universe, &side.store, Queue { strand, ..queue }).await;
            }
            if universe.has(queue).await {
                snapshot.history(&side.store, queue).await;
            }
        }
        for &app in &universe.apps {
            // A deleted application's log may be gone or still wait for the sweep.
            if universe.is_configured(app).await {
                let log = side.store.messages(app, &whole(Order::OldestFirst)).await.unwrap();
                let ids: BTreeSet<_> = log.entries.iter().map(|(_, header)| header.id).collect();
                snapshot.see(format!("log of {app}"), (log.entries.len(), ids));
            }
            for key in 0..3 {
                let holder = side.store.find_key(app, &Universe::key(key)).await.unwrap();
                snapshot.see(format!("key {key} of {app}"), holder);
            }
        }
        for task in &universe.tasks {
            let tracked = side.store.task(task.id).await.unwrap();
            let progress = tracked.map(|tracked| timeless(tracked.progress));
            snapshot.see(format!("progress of {}", task.id), progress);
            let open = side.store.open_tasks(task.queue().lane()).await.unwrap();
            let is_open = open.iter().any(|tracked| tracked.task.id == task.id);
            snapshot.see(format!("whether {} is open", task.id), is_open);
        }
        for &(app, message) in &universe.messages {
            let page = whole(Order::OldestFirst);
            let attempts = side.store.message_attempts(app, message, &page).await.unwrap();
            let mut records = Vec::new();
            for (_, attempt) in attempts.entries {
                if universe.has(Queue::live(app, attempt.endpoint)).await {
                    records.push(attempt.id);
                }
            }
            records.sort();
            snapshot.see(format!("attempts of {message}"), records);
        }
        snapshot
    }

    /// What is not the same in both.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        let different = self.0.iter().filter(|(name, expected)| found.0[*name] != **expected);
        let lines: Vec<_> = different
            .map(|(name, expected)| {
                format!("{name}\n  model:  {expected}\n  engine: {}", found.0[name])
            })
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn see(&mut self, name: String, what: impl Debug) {
        self.0.insert(name, format!("{what:?}"));
    }

    async fn lane(&mut self, universe: &Universe, store: &SharedStore, lane: Lane) {
        let entries = store.page(lane, EntryId::START, ALL).await.unwrap().into_iter();
        let ours = entries.map(|(_, entry)| entry).filter(|entry| universe.owns(entry));
        let mut ours: Vec<_> = ours.collect();
        // The nudges of one commit have no order.
        let is_nudge = |entry: &Entry| matches!(entry, Entry::Nudge { .. });
        for run in ours.chunk_by_mut(|one, next| is_nudge(one) && is_nudge(next)) {
            run.sort_by_key(|entry| format!("{entry:?}"));
        }
        self.see(format!("stream of {lane:?}"), ours);
        let agenda = store.agenda(lane, None, ALL).await.unwrap().entries.into_iter();
        let ours: BTreeSet<_> =
            agenda.map(|entry| entry.queue).filter(|queue| universe.knows(queue)).collect();
        self.see(format!("agenda of {lane:?}"), ours);
        let lease = store.leases(&[lane]).await.unwrap().remove(0);
        let owner = lease.and_then(|lease| lease.owner);
        self.see(
            format!("owner of {lane:?}"),
            owner.filter(|owner| universe.owners.contains(owner)),
        );
    }

    async fn queue(&mut self, universe: &Universe, store: &SharedStore, queue: Queue) {
        self.see(format!("waiting of {queue:?}"), store.waiting(queue).await.unwrap());
        let lane = queue.lane();
        let lease = store.leases(&[lane]).await.unwrap().remove(0);
        let held = lease.and_then(|lease| Some((lease.owner?, lease.epoch)));
        let Some((owner, epoch)) = held.filter(|(owner, _)| universe.owners.contains(owner)) else {
            return self.see(format!("due of {queue:?}"), "nobody may ask");
        };
        let ask = Ask { queue, parked: ALL, retries: ALL };
        let fence = Fence { lane, owner, epoch };
        let mut due = store.due(&fence, &[ask]).await.unwrap().unwrap().remove(0);
        // Members that became due in the same millisecond have no order.
        due.retries.sort_by_key(|waiting| waiting.delivery);
        let next = due.next.is_some();
        self.see(format!("due of {queue:?}"), (due.parked, due.retries, next, due.waiting));
    }

    async fn history(&mut self, store: &SharedStore, queue: Queue) {
        let page = whole(Order::OldestFirst);
        let attempts = store.endpoint_attempts(queue, &page).await.unwrap().entries;
        // What one write settles of several strands has no order.
        let mut records: Vec<_> = attempts.into_iter().map(|(_, attempt)| attempt).collect();
        records.sort_by_key(|attempt| attempt.id);
        self.see(format!("attempts at {queue:?}"), records);
        let now = Millis::now();
        let tally = store.tally(queue.destination(), Millis(now.0 - HOUR_MS), now).await.unwrap();
        self.see(format!("tally of {queue:?}"), tally);
        let letters = store.dead_letters(queue, &page).await.unwrap().entries;
        let mut letters: Vec<_> = letters
            .into_iter()
            .map(|(_, dead)| (dead.message, dead.generation, dead.reason, dead.attempts))
            .collect();
        // Those of several strands again have no order, and may be of one message and generation.
        letters.sort_by_key(|letter| format!("{letter:?}"));
        self.see(format!("dead letters of {queue:?}"), letters);
        let states = store.states(queue.app, &[queue.endpoint]).await.unwrap();
        self.see(format!("state of {queue:?}"), states);
    }
}

impl Universe {
    /// Whether an entry is this universe's: an engine may hold what earlier ones left.
    pub(super) fn owns(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Delivery { delivery, .. } => self.knows(&delivery.queue()),
            Entry::Nudge { queue, .. } => self.knows(queue),
            Entry::FanOut(fan_out) => self.apps.contains(&fan_out.app),
            Entry::Unknown => true,
        }
    }

    fn knows(&self, queue: &Queue) -> bool {
        self.queues.contains(&Queue::live(queue.app, queue.endpoint))
    }
}
