//! A store whose calls are counted and timed, whichever engine it is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use prometheus::Registry;

use super::{
    metrics::{Metrics, Operation, watch},
    *,
};
use crate::{
    domain::{Application, Attempt, DeadLetter, Destination, Queue, Tally, Task, TrackedTask},
    id::{AppId, AttemptId, EndpointId, MessageId, TaskId},
    placement::Lane,
    time::Millis,
};

/// Counts and times all calls of a store, and asks it now and then how it is, in a task of the runtime
/// that this is called on.
///
/// # Errors
/// If the registry has these metrics already.
pub fn observed(store: SharedStore, registry: &Registry) -> prometheus::Result<SharedStore> {
    let metrics = Metrics::register(registry)?;
    let store: SharedStore = Arc::new(Observed { inner: store, metrics });
    watch(&store, registry)?;
    Ok(store)
}

struct Observed {
    inner: SharedStore,
    metrics: Metrics,
}

impl Observed {
    async fn timed<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let started = Instant::now();
        let result = call.await;
        self.metrics.called(operation, &result, started.elapsed());
        result
    }
}

/// Implements a trait of the store; where it says how much a call carries, that is counted too.
macro_rules! timed {
    ($trait:ident {
        $(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty as $operation:ident
            $(, carrying $items:expr)?;)*
    } $($by_hand:tt)*) => {
        #[async_trait]
        impl $trait for Observed {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$answer> {
                $(self.metrics.carried(Operation::$operation, $items);)?
                self.timed(Operation::$operation, self.inner.$name($($arg),*)).await
            })*
            $($by_hand)*
        }
    };
}

timed!(Publisher {
    fn publish(batch: Vec<Publication>) -> Vec<Published> as Publish, carrying batch.len();
    fn resend(resend: Resend) -> Resent as Resend;
    fn expunge(app: AppId, message: MessageId, record: Bytes) -> bool as Expunge;
});

timed!(Lanes {
    fn page(lane: Lane, after: EntryId, limit: usize) -> Vec<(EntryId, Entry)> as Page;
    fn fetch(fetches: &[Fetch]) -> Vec<Fetched> as Fetch,
        carrying fetches.iter().map(|fetch| fetch.deliveries.len()).sum();
    fn park(fence: &Fence, parks: &[Park]) -> Option<Vec<Parked>> as Park, carrying parks.len();
    fn forget(fence: &Fence, entries: &[EntryId]) -> Option<()> as Forget;
    fn expand(fence: &Fence, expand: &Expand) -> Option<Expanded> as Expand;
    fn due(fence: &Fence, asks: &[Ask]) -> Option<Vec<Due>> as Due, carrying asks.len();
    fn settle(batch: &[Settle]) -> Vec<Option<Vec<Settled>>> as Settle,
        carrying batch.iter().map(|settle| settle.settlements.len()).sum();
    fn agenda(lane: Lane, from: Option<&str>, limit: usize) -> AgendaPage as Agenda;
    fn states(app: AppId, endpoints: &[EndpointId]) -> Vec<Option<Bytes>> as States;
    fn heads(of: Destination) -> Vec<Head> as Heads;
    fn front(queue: Queue, limit: usize) -> Vec<InFront> as Front;
    fn waiting(queue: Queue) -> u64 as Waiting;
    fn depths(queues: &[Queue]) -> Vec<Depth> as Depths;
}
async fn reader(&self) -> Result<Box<dyn Reader>> {
    let inner = self.timed(Operation::Reader, self.inner.reader()).await?;
    Ok(Box::new(ObservedReader { inner, metrics: self.metrics.clone() }))
});

timed!(Leases {
    fn heartbeat(owner: &Owner) -> Vec<Beat> as Heartbeat;
    fn forget_node(owner: &Owner) -> () as ForgetNode;
    fn leases(lanes: &[Lane]) -> Vec<Option<Lease>> as Leases;
    fn acquire(lane: Lane, owner: &Owner, seen: Option<&Lease>) -> Option<Epoch> as Acquire;
    fn renew(fences: &[Fence]) -> Vec<bool> as Renew;
    fn release(fence: &Fence) -> () as Release;
});

timed!(Limits {
    fn take(take: &Take) -> Granted as Take;
    fn next(buckets: &[Metered]) -> Vec<Duration> as Next;
});

timed!(Documents {
    fn configuration(app: AppId) -> Option<Configuration> as Configuration;
    fn application(app: AppId) -> Option<Application> as Application;
    fn version(app: AppId) -> Option<Version> as Version;
    fn commit(app: AppId, expected: Option<Version>, changes: &[Change]) -> Version as Commit;
    fn index(app: AppId, uid: Option<&str>, old_uid: Option<&str>) -> Indexed as Index;
    fn claim(app: AppId) -> Claim as Claim;
    fn unindex(app: AppId, uid: Option<&str>, claim: Claim) -> () as Unindex;
    fn find_uid(uid: &str) -> Option<AppId> as FindUid;
    fn applications(page: &PageRequest) -> Page<AppId> as Applications;
    fn document(kind: Kind, name: &str) -> Option<Bytes> as Document;
    fn documents(kind: Kind) -> Vec<Document> as Documents;
    fn put_document(kind: Kind, document: &Document, expect: &Expect) -> () as PutDocument;
    fn delete_document(kind: Kind, name: &str) -> bool as DeleteDocument;
});

timed!(History {
    fn message(app: AppId, message: MessageId) -> Option<Bytes> as Message;
    fn records(app: AppId, messages: &[MessageId]) -> Vec<Option<Bytes>> as Records;
    fn find_key(app: AppId, key: &str) -> Option<MessageId> as FindKey;
    fn messages(app: AppId, page: &PageRequest) -> Page<LogEntry> as Messages;
    fn endpoint_attempts(queue: Queue, page: &PageRequest) -> Page<Attempt> as EndpointAttempts;
    fn message_attempts(app: AppId, message: MessageId, page: &PageRequest) -> Page<Attempt>
        as MessageAttempts;
    fn expunge_responses(app: AppId, message: MessageId, attempt: Option<AttemptId>) -> bool
        as ExpungeResponses;
    fn dead_letters(queue: Queue, page: &PageRequest) -> Page<DeadLetter> as DeadLetters;
    fn dead_letter(queue: Queue, place: &Cursor) -> Option<DeadLetter> as DeadLetter;
    fn purge_dead_letters(queue: Queue, which: &Purge) -> u64 as PurgeDeadLetters;
    fn tally(of: Destination, from: Millis, to: Millis) -> Tally as Tally;
}
fn since(&self, time: Millis) -> Cursor {
    self.inner.since(time)
});

timed!(Tasks {
    fn begin_task(task: &Task) -> Begun as BeginTask;
    fn task(task: TaskId) -> Option<TrackedTask> as Task;
    fn tasks(page: &PageRequest) -> Page<TrackedTask> as Tasks;
    fn cancel_task(task: TaskId) -> Option<TrackedTask> as CancelTask;
    fn open_tasks(lane: Lane) -> Vec<TrackedTask> as OpenTasks;
    fn remind(destination: Destination) -> () as Remind;
    fn waits(destination: Destination, messages: &[MessageId]) -> Vec<bool> as Waits;
    fn advance_task(fence: &Fence, step: &Step) -> Advanced as AdvanceTask;
});

timed!(Store {
    fn ready() -> () as Ready;
    fn incarnation() -> String as Incarnation;
    fn sweep() -> Swept as Sweep;
    fn vitals() -> Vitals as Vitals;
}
fn durability(&self) -> Durability {
    self.inner.durability()
}

fn spans_shards(&self) -> bool {
    self.inner.spans_shards()
});

struct ObservedReader {
    inner: Box<dyn Reader>,
    metrics: Metrics,
}

#[async_trait]
impl Reader for ObservedReader {
    async fn read_within(
        &mut self,
        lanes: &[LaneRead],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<LaneBatch>> {
        let started = Instant::now();
        let result = self.inner.read_within(lanes, limit, wait).await;
        self.metrics.called(Operation::Read, &result, started.elapsed());
        result
    }
}
