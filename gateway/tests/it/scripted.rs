//! A store that follows a script while it publishes, and otherwise is the one behind it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use shared::{
    audit,
    domain::{Attempt, DeadLetter, Destination, Queue, Tally, Task, TrackedTask},
    id::{AppId, AttemptId, EndpointId, MessageId, TaskId},
    placement::Lane,
    store::*,
    time::Millis,
};
use tokio::sync::Semaphore;

/// What a call to publish does.
pub(crate) enum Act {
    /// Nothing but fail.
    Refuse(ErrorKind),
    /// Everything, but its answer is lost.
    LoseTheAnswer,
    /// Says of each message that the configuration has changed.
    Stale,
    /// Waits until somebody adds a permit.
    Wait(Arc<Semaphore>),
    /// Takes so long.
    Take(Duration),
}

/// The store.
pub(crate) struct Scripted {
    inner: SharedStore,
    script: Mutex<VecDeque<Act>>,
    /// How many messages each call carried.
    pub(crate) batches: Mutex<Vec<usize>>,
    /// Whose messages are found, whoever asks: an engine may look up messages by id alone.
    pub(crate) owner_of_all: Mutex<Option<AppId>>,
}

impl Scripted {
    pub(crate) fn new(inner: SharedStore, script: impl IntoIterator<Item = Act>) -> Arc<Self> {
        let script = Mutex::new(script.into_iter().collect());
        Arc::new(Self { inner, script, batches: Mutex::default(), owner_of_all: Mutex::default() })
    }
}

#[async_trait]
impl Publisher for Scripted {
    async fn publish(&self, batch: Vec<Publication>) -> Result<Vec<Published>> {
        // What is written down of changes is in no script.
        if batch.iter().all(|publication| publication.header.app == audit::APPLICATION) {
            return self.inner.publish(batch).await;
        }
        self.batches.lock().unwrap().push(batch.len());
        let act = self.script.lock().unwrap().pop_front();
        match act {
            None => {}
            Some(Act::Refuse(kind)) => return Err(StoreError::new(kind, "as the script says")),
            Some(Act::Stale) => return Ok(vec![Published::Stale; batch.len()]),
            Some(Act::LoseTheAnswer) => {
                self.inner.publish(batch).await?;
                return Err(StoreError::new(ErrorKind::Ambiguous, "as the script says"));
            }
            Some(Act::Wait(gate)) => gate.acquire().await.unwrap().forget(),
            Some(Act::Take(time)) => tokio::time::sleep(time).await,
        }
        self.inner.publish(batch).await
    }

    async fn resend(&self, resend: Resend) -> Result<Resent> {
        self.inner.resend(resend).await
    }

    async fn expunge(&self, app: AppId, message: MessageId, record: Bytes) -> Result<bool> {
        self.inner.expunge(app, message, record).await
    }
}

/// Implements a trait by asking the store behind.
macro_rules! forward {
    ($name:ident { $(fn $call:ident($($arg:ident: $type:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl $name for Scripted {
            $(async fn $call(&self, $($arg: $type),*) -> Result<$answer> {
                self.inner.$call($($arg),*).await
            })*
        }
    };
}

forward!(Documents {
    fn configuration(app: AppId) -> Option<Configuration>;
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
});

#[async_trait]
impl History for Scripted {
    async fn message(&self, app: AppId, message: MessageId) -> Result<Option<Bytes>> {
        let owner = *self.owner_of_all.lock().unwrap();
        self.inner.message(owner.unwrap_or(app), message).await
    }

    async fn find_key(&self, app: AppId, key: &str) -> Result<Option<MessageId>> {
        self.inner.find_key(app, key).await
    }

    async fn messages(&self, app: AppId, page: &PageRequest) -> Result<Page<LogEntry>> {
        self.inner.messages(app, page).await
    }

    async fn endpoint_attempts(&self, queue: Queue, page: &PageRequest) -> Result<Page<Attempt>> {
        self.inner.endpoint_attempts(queue, page).await
    }

    async fn message_attempts(
        &self,
        app: AppId,
        message: MessageId,
        page: &PageRequest,
    ) -> Result<Page<Attempt>> {
        self.inner.message_attempts(app, message, page).await
    }

    async fn expunge_responses(
        &self,
        app: AppId,
        message: MessageId,
        attempt: Option<AttemptId>,
    ) -> Result<bool> {
        self.inner.expunge_responses(app, message, attempt).await
    }

    async fn dead_letters(&self, queue: Queue, page: &PageRequest) -> Result<Page<DeadLetter>> {
        self.inner.dead_letters(queue, page).await
    }

    async fn dead_letter(&self, queue: Queue, place: &Cursor) -> Result<Option<DeadLetter>> {
        self.inner.dead_letter(queue, place).await
    }

    async fn purge_dead_letters(&self, queue: Queue, which: &Purge) -> Result<u64> {
        self.inner.purge_dead_letters(queue, which).await
    }

    async fn tally(&self, of: Destination, from: Millis, to: Millis) -> Result<Tally> {
        self.inner.tally(of, from, to).await
    }

    fn since(&self, time: Millis) -> Cursor {
        self.inner.since(time)
    }
}

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

forward!(Leases {
    fn heartbeat(owner: &Owner) -> Vec<Beat>;
    fn forget_node(owner: &Owner) -> ();
    fn leases(lanes: &[Lane]) -> Vec<Option<Lease>>;
    fn acquire(lane: Lane, owner: &Owner, seen: Option<&Lease>) -> Option<Epoch>;
    fn renew(fences: &[Fence]) -> Vec<bool>;
    fn release(fence: &Fence) -> ();
});

forward!(Lanes {
    fn reader() -> Box<dyn Reader>;
    fn page(lane: Lane, after: EntryId, limit: usize) -> Vec<(EntryId, Entry)>;
    fn fetch(fetches: &[Fetch]) -> Vec<Fetched>;
    fn park(fence: &Fence, parks: &[Park]) -> Option<Vec<Parked>>;
    fn forget(fence: &Fence, entries: &[EntryId]) -> Option<()>;
    fn expand(fence: &Fence, expand: &Expand) -> Option<Expanded>;
    fn due(fence: &Fence, asks: &[Ask]) -> Option<Vec<Due>>;
    fn settle(batch: &[Settle]) -> Vec<Option<Vec<Settled>>>;
    fn agenda(lane: Lane, from: Option<&str>, limit: usize) -> AgendaPage;
    fn states(app: AppId, endpoints: &[EndpointId]) -> Vec<Option<Bytes>>;
    fn heads(of: Destination) -> Vec<Head>;
    fn front(queue: Queue, limit: usize) -> Vec<InFront>;
    fn waiting(queue: Queue) -> u64;
    fn depths(queues: &[Queue]) -> Vec<Depth>;
});

forward!(Limits {
    fn take(take: &Take) -> Granted;
    fn next(buckets: &[Metered]) -> Vec<Duration>;
});

#[async_trait]
impl Store for Scripted {
    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn spans_shards(&self) -> bool {
        self.inner.spans_shards()
    }

    async fn ready(&self) -> Result<()> {
        self.inner.ready().await
    }

    async fn incarnation(&self) -> Result<String> {
        self.inner.incarnation().await
    }

    async fn sweep(&self) -> Result<Swept> {
        self.inner.sweep().await
    }
}

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
