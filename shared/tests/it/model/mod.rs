//! The contract as the simplest program that keeps it: an engine in memory, of one lock and plain
//! maps. It passes the conformance suite like every engine, and the state machine compares the others
//! with it. It must stay naive: no cleverness here that an engine could share.

mod documents;
mod history;
mod lanes;
mod leases;
mod limits;
mod publisher;
mod tasks;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use shared::{
    domain::{
        Attempt, DeadLetter, Delivery, Destination, MessageHeader, Queue, Tally, TaskStatus,
        TrackedTask,
    },
    id::{AppId, MessageId, TaskId},
    placement::Lane,
    store::{
        Bucket, Claim, Configuration, Durability, Entry, EntryId, Fence, Fingerprint, Lease,
        Lifetimes, Result, Store, Swept,
    },
    time::Millis,
};
use tokio::{sync::Notify, time::Instant};

/// The engine.
#[derive(Clone)]
pub(crate) struct Model {
    state: Arc<Mutex<State>>,
    appended: Arc<Notify>,
}

/// All that it keeps.
pub(crate) struct State {
    lifetimes: Lifetimes,
    last_entry: u64,
    last_park: u64,
    configurations: BTreeMap<AppId, Configuration>,
    index: BTreeMap<AppId, Claim>,
    last_claim: u64,
    uids: BTreeMap<String, AppId>,
    documents: BTreeMap<(&'static str, String), Bytes>,
    buckets: BTreeMap<Bucket, limits::Cells>,
    bodies: BTreeMap<(AppId, MessageId), Body>,
    keys: BTreeMap<(AppId, String), Key>,
    streams: BTreeMap<Lane, BTreeMap<EntryId, Entry>>,
    waiting: BTreeMap<Queue, BTreeMap<Delivery, Wait>>,
    agenda: BTreeMap<Queue, Instant>,
    endpoint_states: BTreeMap<Destination, Bytes>,
    leases: BTreeMap<Lane, Lease>,
    beats: BTreeMap<String, u64>,
    log: Vec<MessageHeader>,
    attempts: Vec<(AppId, Attempt)>,
    /// By hour since the epoch.
    tallies: BTreeMap<(Destination, u64), Tally>,
    dead: Vec<(AppId, DeadLetter)>,
    /// Places in `dead` of those that were removed.
    purged: BTreeSet<usize>,
    tasks: BTreeMap<TaskId, TrackedTask>,
}

struct Body {
    record: Bytes,
    open: usize,
    /// Whether its bytes count towards a quota while deliveries are open.
    charged: bool,
    /// How long it lives once nothing is open.
    retention: Duration,
    /// Until when a dead letter needs it.
    needed: Option<Instant>,
    expires: Instant,
}

struct Key {
    message: MessageId,
    fingerprint: Fingerprint,
    expires: Instant,
}

#[derive(Clone, Copy)]
struct Wait {
    score: Score,
    /// Of an ordered queue's member.
    not_before: Option<Instant>,
    attempts: u32,
    steps: u32,
}

/// Parked work comes before all that is due by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Score {
    Parked(u64),
    At(Instant),
}

impl Model {
    pub(crate) fn open(lifetimes: Lifetimes) -> Self {
        let state = State {
            lifetimes,
            last_entry: 0,
            last_park: 0,
            configurations: BTreeMap::new(),
            index: BTreeMap::new(),
            last_claim: 0,
            uids: BTreeMap::new(),
            documents: BTreeMap::new(),
            buckets: BTreeMap::new(),
            bodies: BTreeMap::new(),
            keys: BTreeMap::new(),
            streams: BTreeMap::new(),
            waiting: BTreeMap::new(),
            agenda: BTreeMap::new(),
            endpoint_states: BTreeMap::new(),
            leases: BTreeMap::new(),
            beats: BTreeMap::new(),
            log: Vec::new(),
            attempts: Vec::new(),
            tallies: BTreeMap::new(),
            dead: Vec::new(),
            purged: BTreeSet::new(),
            tasks: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), appended: Arc::new(Notify::new()) }
    }

    /// What waits for an endpoint, due or not, with the attempts made.
    pub(crate) fn waiting_for(&self, destination: Destination) -> Vec<(Delivery, u32)> {
        let state = self.state();
        let queues = state.waiting.iter();
        let sets = queues.filter(|(queue, _)| queue.destination() == destination);
        sets.flat_map(|(_, set)| set).map(|(delivery, wait)| (*delivery, wait.attempts)).collect()
    }

    /// The state, after what has expired went away.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.bodies.retain(|_, body| body.expires > now);
        state.keys.retain(|_, key| key.expires > now);
        let kept = state.lifetimes.history;
        state.tasks.retain(|_, TrackedTask { progress, .. }| {
            progress.status == TaskStatus::Running
                || progress.updated_at.after(kept) > Millis::now()
        });
        state
    }
}

impl State {
    fn append(&mut self, lane: Lane, entry: Entry) {
        self.last_entry += 1;
        let id = EntryId { major: self.last_entry, minor: 0 };
        self.streams.entry(lane).or_default().insert(id, entry);
    }

    fn has_endpoint(&self, queue: Queue) -> bool {
        let configuration = self.configurations.get(&queue.app);
        configuration.is_some_and(|found| found.endpoints.contains_key(&queue.endpoint))
    }

    fn holds(&self, fence: &Fence) -> bool {
        let lease = self.leases.get(&fence.lane);
        lease.is_some_and(|lease| {
            lease.owner.as_ref() == Some(&fence.owner) && lease.epoch == fence.epoch
        })
    }
}

#[async_trait::async_trait]
impl Store for Model {
    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn spans_shards(&self) -> bool {
        true
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }

    async fn incarnation(&self) -> Result<String> {
        Ok("one".into())
    }

    async fn sweep(&self) -> Result<Swept> {
        Ok(Swept::All)
    }
}
