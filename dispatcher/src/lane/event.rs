//! What a lane is told, by other actors and by its own tasks.

use std::sync::Arc;

use actix::Message;
use shared::{
    domain::Destination,
    id::AppId,
    store::{AgendaPage, Ask, Due, Entry, EntryId, Lease, Metered, Park, Parked},
};

use super::{
    arriving::{Loaded, Wish},
    fetching::Taken,
    turns::Cell,
};
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
    /// A credit was waited for, for an endpoint that is proven or for one that is not.
    Credit { permit: Permit, proven: bool },
    /// Cells of these limits were taken.
    Granted(Arc<[Metered]>, Vec<Cell>),
    /// Limits with a name have changed.
    LimitsChanged,
    /// A page of the agenda was read.
    Agenda(AgendaPage),
    /// A page of the stream was re-read, and a page of the agenda.
    Checked(Vec<(EntryId, Entry)>, AgendaPage),
}
