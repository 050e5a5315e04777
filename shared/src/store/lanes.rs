//! Lanes: what their owners do.
//!
//! A delivery *flows* in its lane's stream and *waits* in its queue's waiting set:
//!
//! ```text
//! publish ──▶ stream ──settle──▶ (gone)
//!               │  ╲
//!             park   settle: retry
//!               ▼      ▼
//!             waiting set ──settle──▶ (gone)
//! ```
//!
//! The waiting set is ordered by a score: parked work by a sequence of its lane (below
//! [`PARKED_BELOW`], so it is always due, in the stream's order), retries and delayed work by
//! the time they are due in milliseconds. The *agenda* of a lane names exactly the queues that have a
//! waiting set.
//!
//! An endpoint has a queue for each [`crate::domain::Strand`] of its work, which waits apart from the
//! others: waiting sets, counts of tries and entries of the agenda MUST be a queue's own, histories and
//! states the endpoint's.
//!
//! In an ordered queue all is scored by the sequence: what it holds leaves it in the order in which it
//! came, and when a member may be tried is written down beside its tries.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use super::{Entry, EntryId, Expand, Expanded, Fence, Reader, Result, Version};
use crate::{
    domain::{Attempt, DeadReason, Delivery, Destination, Queue},
    id::{AppId, EndpointId},
    placement::Lane,
};

/// A wish for the bodies of deliveries of one lane.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// Who asks.
    pub fence: Fence,
    /// What for.
    pub deliveries: Vec<Delivery>,
}

/// Answer to a [`Fetch`].
#[derive(Clone, Debug)]
pub enum Fetched {
    /// The caller still owned the lane at the time of reading.
    Held {
        /// The message records, in order; `None` where the body is gone.
        records: Vec<Option<Bytes>>,
        /// Version of each application's configuration; one that was deleted is missing.
        versions: BTreeMap<AppId, Version>,
    },
    /// It did not: nothing may be sent.
    Fenced,
}

/// Moves a delivery from the stream into its queue's waiting set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Park {
    /// Where it is.
    pub entry: EntryId,
    /// Which it is.
    pub delivery: Delivery,
    /// `None`: due at once, in the stream's order. Otherwise due after this delay.
    pub delay: Option<Duration>,
}

/// What became of a [`Park`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parked {
    /// It waits now.
    Moved,
    /// The entry is not there any more, or is another delivery's: nothing was changed.
    NotThere,
}

/// A wish for work from a queue's waiting set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Which queue.
    pub queue: Queue,
    /// How many of the parked ones, from the first on, including those already held.
    pub parked: usize,
    /// How many of the due retries, from the first on, including those already held.
    pub retries: usize,
}

/// What a queue has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Due {
    /// Parked work, in order. Of an ordered queue: what comes before the first that is not due.
    pub parked: Vec<Waiting>,
    /// Due retries and delayed work, earliest first.
    pub retries: Vec<Waiting>,
    /// Delay until the earliest member that is not due yet.
    pub next: Option<Duration>,
    /// How many deliveries wait in all, due or not.
    pub waiting: u64,
}

/// A delivery that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Which.
    pub delivery: Delivery,
    /// Attempts made so far.
    pub attempts: u32,
    /// Steps of the retry schedule used so far: attempts less those that the receiver deferred.
    pub steps: u32,
}

/// The first delivery of an ordered queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Which it is.
    pub first: Waiting,
    /// Delay until it may be tried; zero if that is over.
    pub opens_in: Duration,
    /// How many deliveries wait in its queue, with itself.
    pub waiting: u64,
}

/// How much waits in a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Depth {
    /// Deliveries, due or not.
    pub waiting: u64,
    /// The first of those that are parked; the first of all of an ordered queue.
    pub parked: Option<Delivery>,
    /// How long the earliest retry or delayed delivery has been due; `None` if none is. Says nothing of
    /// an ordered queue.
    pub overdue: Option<Duration>,
}

/// A delivery that waits, due or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InFront {
    /// Which.
    pub waiting: Waiting,
    /// Whether its message's body is still there.
    pub lives: bool,
}

/// Where the owner found a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the lane's stream, under this id.
    Stream(EntryId),
    /// In its queue's waiting set.
    Waiting,
}

/// The end of one attempt, or of a delivery that needs none.
#[derive(Clone, PartialEq, Debug)]
pub struct Settlement {
    /// Which.
    pub delivery: Delivery,
    /// Where it is.
    pub place: Place,
    /// How many attempts were made with this one: the store must know of `attempts - 1`, or of
    /// `attempts` where `record` is `None`.
    pub attempts: u32,
    /// What is to become of it.
    pub verdict: Verdict,
    /// The attempt, unless there was none.
    pub record: Option<Attempt>,
}

/// What is to become of a delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It arrived.
    Delivered,
    /// Try again after this delay.
    Retry {
        /// How long to wait.
        delay: Duration,
        /// Steps of the schedule used so far, with this one if it used one.
        steps: u32,
    },
    /// Given up, with a dead letter.
    Dead(DeadReason),
    /// Its endpoint or application was deleted: nothing is kept of it.
    Deleted,
}

/// What became of a settlement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    /// Done as wished.
    Done,
    /// The delivery is not there, or has another number of attempts: nothing was changed. Also the
    /// answer to repeating a settlement that had happened; except a retry without attempt out of the
    /// waiting set, which does the same once more.
    NotThere,
}

/// A change of an endpoint's serving state, or of when its queue can next be served.
#[derive(Clone, PartialEq, Debug)]
pub struct StateChange {
    /// Which queue.
    pub queue: Queue,
    /// What to remember for a takeover and for the API: an object of JSON. `None` leaves it.
    pub state: Option<Bytes>,
    /// Agenda: when it can next be served. `None` leaves it.
    pub reopens: Option<Duration>,
}

/// What one lane's owner wants settled, as one atomic write.
#[derive(Clone, Debug)]
pub struct Settle {
    /// Who settles.
    pub fence: Fence,
    /// What.
    pub settlements: Vec<Settlement>,
    /// States to remember.
    pub states: Vec<StateChange>,
}

/// A queue that has a waiting set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AgendaEntry {
    /// Which.
    pub queue: Queue,
    /// Delay until it can next be served; zero if that is over.
    pub opens_in: Duration,
}

/// Part of an agenda.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AgendaPage {
    /// Some of its queues. One may come twice.
    pub entries: Vec<AgendaEntry>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// What an owner does with its lanes.
///
/// Each call that writes is fenced: if the lease does not name exactly this owner and epoch, nothing
/// MUST be written, and that lane's part of the answer is `None`.
#[async_trait::async_trait]
pub trait Lanes: Send + Sync {
    /// A reader with a connection of its own.
    async fn reader(&self) -> Result<Box<dyn Reader>>;

    /// Up to `limit` entries behind `after`, without waiting: for takeover and for checking oneself.
    async fn page(&self, lane: Lane, after: EntryId, limit: usize)
    -> Result<Vec<(EntryId, Entry)>>;

    /// Bodies, with proof that the lane is still held. One answer per fetch.
    async fn fetch(&self, fetches: &[Fetch]) -> Result<Vec<Fetched>>;

    /// Parks deliveries.
    ///
    /// - The delivery MUST be added to the waiting set, and its queue to the agenda, only if the entry
    ///   was there and carried this very delivery. One that waits already stays as it is, and only the
    ///   entry goes.
    /// - Those without delay MUST keep the order in which they are given, behind all parked before.
    /// - In an ordered queue one with delay MUST keep the order, too, and is not due before it is over.
    /// - The agenda's time of the queue is lowered to the delivery's, never raised; that of an ordered
    ///   queue stays, because its first one does.
    async fn park(&self, fence: &Fence, parks: &[Park]) -> Result<Option<Vec<Parked>>>;

    /// Removes handled nudges. A delivery or a fan-out MUST stay where it is, also when its entry is
    /// named: only settling and expanding end them.
    async fn forget(&self, fence: &Fence, entries: &[EntryId]) -> Result<Option<()>>;

    /// Appends the next deliveries of a fan-out, and moves its cursor.
    ///
    /// - Both MUST happen in one write, and only if the entry is there and carries this very fan-out.
    /// - With [`Expand::next`] an entry with that cursor MUST follow behind all others of the lane;
    ///   without it the fan-out is done.
    /// - Each delivery counts as open from then on, the entry until the fan-out is done. Where then
    ///   nothing is open, the body's life is shortened as by the end of the last delivery.
    async fn expand(&self, fence: &Fence, expand: &Expand) -> Result<Option<Expanded>>;

    /// Looks at queues without taking anything: one answer per ask, all deliveries of one page in
    /// order of their score. Of an ordered queue nothing MUST be shown behind one that is not due.
    async fn due(&self, fence: &Fence, asks: &[Ask]) -> Result<Option<Vec<Due>>>;

    /// Settles; one answer per lane, and in it one per settlement.
    ///
    /// - A settlement MUST change nothing unless the delivery is at its place with the number of
    ///   attempts that [`Settlement::attempts`] implies.
    /// - `Retry` moves it into the waiting set (or raises its score there) and remembers attempts and
    ///   steps; where the endpoint was deleted it MUST end as [`Verdict::Deleted`].
    /// - In an ordered queue `Retry` MUST leave the delivery where it stands. So it must wait already:
    ///   out of the stream the answer is [`Settled::NotThere`], and nothing is changed. The agenda's time
    ///   becomes the retry's; what ends lowers it.
    /// - The end of the last open delivery of a message shortens its body's life to
    ///   [`super::Lifetimes::retention`], but never below what a dead letter of the message needs: the
    ///   body MUST live [`super::Lifetimes::history`] from each death on, whatever becomes of the
    ///   message's other deliveries.
    /// - The attempt joins the histories of its endpoint and of its message; a dead letter joins the
    ///   endpoint's dead letters.
    /// - A queue without waiting deliveries MUST leave the agenda in the same write.
    /// - A full store MUST still settle, park and forget.
    ///
    /// One write names a delivery at most once.
    async fn settle(&self, batch: &[Settle]) -> Result<Vec<Option<Vec<Settled>>>>;

    /// Part of a lane's agenda. Queues that stay in it while its pages are read MUST all come.
    async fn agenda(&self, lane: Lane, from: Option<&str>, limit: usize) -> Result<AgendaPage>;

    /// What was last remembered of these endpoints.
    async fn states(&self, app: AppId, endpoints: &[EndpointId]) -> Result<Vec<Option<Bytes>>>;

    /// The first of each ordered queue of an endpoint in which something waits, in the order of the
    /// strands.
    async fn heads(&self, of: Destination) -> Result<Vec<Head>>;

    /// The first deliveries of a queue's waiting set in the order of their score, due or not: at most
    /// `limit`. Where one is said to have no body, its body MUST be gone for ever.
    async fn front(&self, queue: Queue, limit: usize) -> Result<Vec<InFront>>;

    /// How many deliveries wait in a queue's waiting set.
    async fn waiting(&self, queue: Queue) -> Result<u64>;

    /// How much waits in these queues, and since when it could be tried: one answer per queue, at a cost
    /// that does not grow with what waits.
    async fn depths(&self, queues: &[Queue]) -> Result<Vec<Depth>>;
}

/// Scores of parked work lie below this, times in milliseconds above: a sequence of one lane would
/// need a million parks per second for 11 days to reach it, and restarts when the lane is empty.
pub const PARKED_BELOW: u64 = 1_000_000_000_000;
