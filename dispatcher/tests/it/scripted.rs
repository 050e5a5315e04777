//! A store that fails as it is told, and otherwise is the one behind it.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use shared::{
    domain::{Attempt, DeadLetter, Destination, Queue, Tally, Task, TrackedTask},
    id::{AppId, AttemptId, EndpointId, MessageId, TaskId},
    placement::Lane,
    store::*,
    time::Millis,
};

/// As long as the reader waits for a lane to take its part, so that both end at the same time.
const DAWDLING: Duration = Duration::from_millis(2);

/// A call that an owner makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Read,
    Fetch,
    Park,
    Due,
    Settle,
}

/// Calls that fail because of what a lane holds, and whether with a panic.
type Poisoned = Arc<Mutex<HashMap<(Call, Lane), Poison>>>;

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poison {
    /// It fails for ever.
    Refused,
    /// It panics, for ever.
    Panics,
    /// It succeeds, and holds up its thread with all the lanes there for a moment.
    Dawdles,
}

/// The store.
pub(crate) struct Scripted {
    inner: SharedStore,
    /// Calls that fail for ever because of what one lane holds.
    poisoned: Poisoned,
    /// Calls that fail for ever because of what one endpoint's waiting set holds.
    spoiled: Mutex<HashSet<(Call, EndpointId)>>,
    /// Every call fails.
    away: AtomicBool,
    /// So many signs of life fail.
    pub(crate) deaf: AtomicUsize,
    /// How often it became another one.
    pub(crate) failovers: AtomicUsize,
    /// Wishes for cells.
    pub(crate) takes: AtomicUsize,
    /// Reads of a lane's stream from its beginning.
    pub(crate) rereads: Arc<AtomicUsize>,
    /// Nudges do not show.
    pub(crate) hides_nudges: Arc<AtomicBool>,
    /// Calls for bodies.
    pub(crate) fetches: AtomicUsize,
    /// Connections asked for to read with.
    pub(crate) readers: AtomicUsize,
    /// Configurations that were read whole.
    pub(crate) configurations: AtomicUsize,
    /// How often each lane was looked at.
    pages: Mutex<HashMap<Lane, usize>>,
}

impl Scripted {
    pub(crate) fn new(inner: SharedStore) -> Arc<Self> {
        Arc::new(Self {
            inner,
            poisoned: Arc::default(),
            spoiled: Mutex::default(),
            away: AtomicBool::new(false),
            deaf: AtomicUsize::new(0),
            failovers: AtomicUsize::new(0),
            takes: AtomicUsize::new(0),
            rereads: Arc::default(),
            hides_nudges: Arc::default(),
            fetches: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
            configurations: AtomicUsize::new(0),
            pages: Mutex::default(),
        })
    }

    pub(crate) fn poison(&self, call: Call, lane: Lane) {
        self.poison_with(Poison::Refused, call, lane);
    }

    pub(crate) fn poison_with(&self, poison: Poison, call: Call, lane: Lane) {
        self.poisoned.lock().unwrap().insert((call, lane), poison);
    }

    pub(crate) fn spoil(&self, call: Call, endpoint: EndpointId) {
        self.spoiled.lock().unwrap().insert((call, endpoint));
    }

    fn unspoiled(&self, call: Call, mut all: impl Iterator<Item = EndpointId>) -> Result<()> {
        let spoiled = self.spoiled.lock().unwrap();
        match all.any(|endpoint| spoiled.contains(&(call, endpoint))) {
            true => Err(StoreError::new(ErrorKind::Corrupt, "as the script says")),
            false => Ok(()),
        }
    }

    /// How often each lane was looked at so far.
    pub(crate) fn pages(&self) -> HashMap<Lane, usize> {
        self.pages.lock().unwrap().clone()
    }

    pub(crate) fn heal(&self) {
        self.spoiled.lock().unwrap().clear();
        self.poisoned.lock().unwrap().clear();
    }

    pub(crate) fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn present(&self) -> Result<()> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::new(ErrorKind::Unavailable, "as the script says")),
            false => Ok(()),
        }
    }

    fn readable(&self, call: Call, lanes: impl IntoIterator<Item = Lane>) -> Result<()> {
        readable(&self.poisoned, call, lanes)?;
        self.present()
    }
}

fn readable(poisoned: &Poisoned, call: Call, lanes: impl IntoIterator<Item = Lane>) -> Result<()> {
    let found = {
        let poisoned = poisoned.lock().unwrap();
        lanes.into_iter().find_map(|lane| poisoned.get(&(call, lane)).copied())
    };
    match found {
        None => Ok(()),
        Some(Poison::Refused) => Err(StoreError::new(ErrorKind::Corrupt, "as the script says")),
        Some(Poison::Panics) => panic!("as the script says"),
        Some(Poison::Dawdles) => {
            std::thread::sleep(DAWDLING);
            Ok(())
        }
    }
}

/// Implements a trait by asking the store behind.
macro_rules! forward {
    ($name:ident {
        $(fn $call:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*
    } $($by_hand:tt)*) => {
        #[async_trait]
        impl $name for Scripted {
            $(async fn $call(&self, $($arg: $type),*) -> Result<$answer> {
                self.present()?;
                self.inner.$call($($arg),*).await
            })*
            $($by_hand)*
        }
    };
}

forward!(Publisher {
    fn publish(batch: Vec<Publication>) -> Vec<Published>;
    fn resend(resend: Resend) -> Resent;
    fn expunge(app: AppId, message: MessageId, record: Bytes) -> bool;
});

forward!(Documents {
    fn version(app: AppId) -> Option<Version>;
    fn commit(app: AppId, expected: Option<Version>, changes: &[Change]) -> Version;
    fn index(app: AppId, uid: Option<&str>, old_uid: Option<&str>) -> Indexed;
    fn claim(app: AppId) -> Claim;
    fn unindex(app: AppId, uid: Option<&str>, claim: Claim) -> ();
    fn find_uid(uid: &str) -> Option<AppId>;
    fn applications(page: &PageRequest) -> Page<AppId>;
    fn document(kind: Kind, name: &str) -> Option<Bytes>;
    fn documents(kind: Kind) -> Vec<Document>;
    fn put_document(kind: Kind, document: &Document, expect: &Expect) -> ();
    fn delete_document(kind: Kind, name: &str) -> bool;
}
async fn configuration(&self, app: AppId) -> Result<Option<Configuration>> {
    self.present()?;
    self.configurations.fetch_add(1, Ordering::SeqCst);
    self.inner.configuration(app).await
});

forward!(Tasks {
    fn begin_task(task: &Task) -> Begun;
    fn task(task: TaskId) -> Option<TrackedTask>;
    fn tasks(page: &PageRequest) -> Page<TrackedTask>;
    fn cancel_task(task: TaskId) -> Option<TrackedTask>;
    fn open_tasks(lane: Lane) -> Vec<TrackedTask>;
    fn remind(destination: Destination) -> ();
    fn waits(destination: Destination, messages: &[MessageId]) -> Vec<bool>;
    fn advance_task(fence: &Fence, step: &Step) -> Advanced;
});

#[async_trait]
impl Limits for Scripted {
    async fn take(&self, take: &Take) -> Result<Granted> {
        self.takes.fetch_add(1, Ordering::SeqCst);
        self.present()?;
        self.inner.take(take).await
    }

    async fn next(&self, buckets: &[Metered]) -> Result<Vec<Duration>> {
        self.present()?;
        self.inner.next(buckets).await
    }
}

#[async_trait]
impl History for Scripted {
    async fn message(&self, app: AppId, message: MessageId) -> Result<Option<Bytes>> {
        self.present()?;
        self.inner.message(app, message).await
    }

    async fn find_key(&self, app: AppId, key: &str) -> Result<Option<MessageId>> {
        self.present()?;
        self.inner.find_key(app, key).await
    }

    async fn messages(&self, app: AppId, page: &PageRequest) -> Result<Page<LogEntry>> {
        self.present()?;
        self.inner.messages(app, page).await
    }

    async fn endpoint_attempts(&self, queue: Queue, page: &PageRequest) -> Result<Page<Attempt>> {
        self.present()?;
        self.inner.endpoint_attempts(queue, page).await
    }

    async fn message_attempts(
        &self,
        app: AppId,
        message: MessageId,
        page: &PageRequest,
    ) -> Result<Page<Attempt>> {
        self.present()?;
        self.inner.message_attempts(app, message, page).await
    }

    async fn expunge_responses(
        &self,
        app: AppId,
        message: MessageId,
        attempt: Option<AttemptId>,
    ) -> Result<bool> {
        self.present()?;
        self.inner.expunge_responses(app, message, attempt).await
    }

    async fn dead_letters(&self, queue: Queue, page: &PageRequest) -> Result<Page<DeadLetter>> {
        self.present()?;
        self.inner.dead_letters(queue, page).await
    }

    async fn dead_letter(&self, queue: Queue, place: &Cursor) -> Result<Option<DeadLetter>> {
        self.present()?;
        self.inner.dead_letter(queue, place).await
    }

    async fn purge_dead_letters(&self, queue: Queue, which: &Purge) -> Result<u64> {
        self.present()?;
        self.inner.purge_dead_letters(queue, which).await
    }

    async fn tally(&self, of: Destination, from: Millis, to: Millis) -> Result<Tally> {
        self.present()?;
        self.inner.tally(of, from, to).await
    }

    fn since(&self, time: Millis) -> Cursor {
        self.inner.since(time)
    }
}

#[async_trait]
impl Leases for Scripted {
    async fn heartbeat(&self, owner: &Owner) -> Result<Vec<Beat>> {
        let deaf = |left: usize| left.checked_sub(1);
        if self.deaf.fetch_update(Ordering::SeqCst, Ordering::SeqCst, deaf).is_ok() {
            return Err(StoreError::new(ErrorKind::Unavailable, "as the script says"));
        }
        self.present()?;
        self.inner.heartbeat(owner).await
    }

    async fn forget_node(&self, owner: &Owner) -> Result<()> {
        self.present()?;
        self.inner.forget_node(owner).await
    }

    async fn leases(&self, lanes: &[Lane]) -> Result<Vec<Option<Lease>>> {
        self.present()?;
        self.inner.leases(lanes).await
    }

    async fn acquire(
        &self,
        lane: Lane,
        owner: &Owner,
        seen: Option<&Lease>,
    ) -> Result<Option<Epoch>> {
        self.present()?;
        self.inner.acquire(lane, owner, seen).await
    }

    async fn renew(&self, fences: &[Fence]) -> Result<Vec<bool>> {
        self.present()?;
        self.inner.renew(fences).await
    }

    async fn release(&self, fence: &Fence) -> Result<()> {
        self.present()?;
        self.inner.release(fence).await
    }
}

#[async_trait]
impl Lanes for Scripted {
    async fn reader(&self) -> Result<Box<dyn Reader>> {
        self.present()?;
        self.readers.fetch_add(1, Ordering::SeqCst);
        let inner = self.inner.reader().await?;
        let (poisoned, rereads) = (Arc::clone(&self.poisoned), Arc::clone(&self.rereads));
        let hides_nudges = Arc::clone(&self.hides_nudges);
        Ok(Box::new(Watched { inner, poisoned, rereads, hides_nudges }))
    }

    async fn page(
        &self,
        lane: Lane,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<(EntryId, Entry)>> {
        self.readable(Call::Read, [lane])?;
        *self.pages.lock().unwrap().entry(lane).or_default() += 1;
        let mut page = self.inner.page(lane, after, limit).await?;
        hide_nudges(&self.hides_nudges, &mut page);
        Ok(page)
    }

    async fn fetch(&self, fetches: &[Fetch]) -> Result<Vec<Fetched>> {
        self.readable(Call::Fetch, fetches.iter().map(|fetch| fetch.fence.lane))?;
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.inner.fetch(fetches).await
    }

    async fn park(&self, fence: &Fence, parks: &[Park]) -> Result<Option<Vec<Parked>>> {
        self.readable(Call::Park, [fence.lane])?;
        self.unspoiled(Call::Park, parks.iter().map(|park| park.delivery.endpoint))?;
        self.inner.park(fence, parks).await
    }

    async fn forget(&self, fence: &Fence, entries: &[EntryId]) -> Result<Option<()>> {
        self.present()?;
        self.inner.forget(fence, entries).await
    }

    async fn expand(&self, fence: &Fence, expand: &Expand) -> Result<Option<Expanded>> {
        self.present()?;
        self.inner.expand(fence, expand).await
    }

    async fn due(&self, fence: &Fence, asks: &[Ask]) -> Result<Option<Vec<Due>>> {
        self.readable(Call::Due, [fence.lane])?;
        self.unspoiled(Call::Due, asks.iter().map(|ask| ask.queue.endpoint))?;
        self.inner.due(fence, asks).await
    }

    async fn settle(&self, batch: &[Settle]) -> Result<Vec<Option<Vec<Settled>>>> {
        self.readable(Call::Settle, batch.iter().map(|settle| settle.fence.lane))?;
        self.inner.settle(batch).await
    }

    async fn agenda(&self, lane: Lane, from: Option<&str>, limit: usize) -> Result<AgendaPage> {
        self.present()?;
        self.inner.agenda(lane, from, limit).await
    }

    async fn states(&self, app: AppId, endpoints: &[EndpointId]) -> Result<Vec<Option<Bytes>>> {
        self.present()?;
        self.inner.states(app, endpoints).await
    }

    async fn heads(&self, of: Destination) -> Result<Vec<Head>> {
        self.inner.heads(of).await
    }

    async fn front(&self, queue: Queue, limit: usize) -> Result<Vec<InFront>> {
        self.present()?;
        self.inner.front(queue, limit).await
    }

    async fn waiting(&self, queue: Queue) -> Result<u64> {
        self.inner.waiting(queue).await
    }

    async fn depths(&self, queues: &[Queue]) -> Result<Vec<Depth>> {
        self.present()?;
        self.inner.depths(queues).await
    }
}

/// A reader that counts reads from the beginning.
struct Watched {
    inner: Box<dyn Reader>,
    poisoned: Poisoned,
    rereads: Arc<AtomicUsize>,
    hides_nudges: Arc<AtomicBool>,
}

fn hide_nudges(hidden: &AtomicBool, entries: &mut Vec<(EntryId, Entry)>) {
    if hidden.load(Ordering::SeqCst) {
        entries.retain(|(_, entry)| !matches!(entry, Entry::Nudge { .. }));
    }
}

#[async_trait]
impl Reader for Watched {
    async fn read_within(
        &mut self,
        lanes: &[LaneRead],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<LaneBatch>> {
        readable(&self.poisoned, Call::Read, lanes.iter().map(|read| read.lane))?;
        let mut batches = self.inner.read_within(lanes, limit, wait).await?;
        batches.iter_mut().for_each(|batch| hide_nudges(&self.hides_nudges, &mut batch.entries));
        let from_start =
            |lane: Lane| lanes.iter().any(|read| read.lane == lane && read.after == EntryId::START);
        let count = batches.iter().filter(|batch| from_start(batch.lane)).count();
        self.rereads.fetch_add(count, Ordering::SeqCst);
        Ok(batches)
    }
}

#[async_trait]
impl Store for Scripted {
    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn spans_shards(&self) -> bool {
        self.inner.spans_shards()
    }

    async fn ready(&self) -> Result<()> {
        self.present()
    }

    async fn incarnation(&self) -> Result<String> {
        self.present()?;
        let failovers = self.failovers.load(Ordering::SeqCst);
        Ok(format!("{} after {failovers}", self.inner.incarnation().await?))
    }

    async fn sweep(&self) -> Result<Swept> {
        self.inner.sweep().await
    }
}
