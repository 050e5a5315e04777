//! What a lane is told, by other actors and by its own tasks.

use std::sync::Arc;

use actix::Message;
use shared::{
    domain::{Destination, Queue, TrackedTask},
    id::{AppId, TaskId},
    store::{self, AgendaPage, Ask, Depth, Due, Entry, EntryId, Lease, Metered, Park, Parked},
};

use super::{
    arriving::{Loaded, Wish},
    fanning_out::Chunk,
    fetching::Taken,
    maintaining::Looked,
    replaying::Stepped,
    turns::Cell,
};
use tokio::time::Instant;

use crate::{attempt::Ended, credits::Permit, fetcher::Prepared, persist::Parted, settler::Reply};

/// What the reader found in this lane.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Arrivals {
    /// Where the read began.
    pub(crate) after: EntryId,
    pub(crate) entries: Vec<(EntryId, Entry)>,
    pub(crate) lease: Option<Lease>,
}

/// Take nothing new; answered when nothing is in hand any more.
#[derive(Message)]
#[rtype(result = "Result<(), Stuck>")]
pub(crate) struct Drain {
    /// Otherwise endpoints that are proven are served on until the attempts at all others have ended:
    /// they do not wait for receivers that hang.
    pub(crate) at_once: bool,
}

/// The store refuses what is still in hand, for ever.
#[derive(Debug)]
pub(crate) struct Stuck;

/// The lane is another node's, or nobody's: forget everything.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Lost;

/// The store may have forgotten what it acknowledged: read stream and agenda again.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Reread;

/// What a task reports.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Event {
    /// Endpoints' configurations were loaded, of one application.
    Configured(AppId, Vec<(Wish, Loaded)>),
    /// Parks were answered, or refused.
    Parked(Parted<Park, Parked>),
    /// Nudges were removed; `None`: fenced.
    Forgotten(Vec<EntryId>, Option<()>),
    /// A chunk of a fan-out was tried; `None`: fenced.
    FannedOut(EntryId, Option<Chunk>),
    /// Waiting sets were looked into, or cannot be.
    Looked(Parted<Ask, Due>),
    /// Bodies were read; `None`: fenced.
    Prepared(Option<Vec<Prepared>>),
    /// An attempt ended.
    Attempted(Taken, Box<Ended>),
    /// Whether an endpoint that was to be disabled is.
    Disabled(Destination, bool),
    /// Settlements were answered.
    Settled(Reply),
    /// The store refused a call for this lane's sake; it is repeated.
    Refused,
    /// It refuses that call no more.
    Accepted,
    /// An endpoint has waited for a credit.
    Credit { destination: Destination, permit: Permit },
    /// There is room for a body now that did not fit.
    Room(Taken),
    /// Cells of these limits were taken.
    Granted(Arc<[Metered]>, Vec<Cell>),
    /// Limits with a name have changed.
    LimitsChanged,
    /// A page of the agenda was read.
    Agenda(AgendaPage),
    /// The front of a queue was looked at, due or not.
    Maintained(Looked),
    /// A page of the stream was re-read, and a page of the agenda.
    Checked(Vec<(EntryId, Entry)>, AgendaPage),
    /// The store told how much waits in these queues.
    Measured(Vec<(Queue, Depth)>),
    /// This was sent to oneself, at that time.
    Sounded(Instant),
    /// The lane's tasks were read because of these nudges.
    Tasks(Vec<(Destination, EntryId)>, Vec<TrackedTask>),
    /// A step of a task was made, or failed.
    Stepped(TaskId, store::Result<Stepped>),
}
