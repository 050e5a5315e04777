//! The store: the one place where gateway and dispatcher meet.
//!
//! [`Store`] is seven small traits with a contract in prose. Lines with MUST are each held by a test
//! of the conformance suite, which every engine passes:
//!
//! | trait | who calls it | what it is for |
//! |---|---|---|
//! | [`Publisher`] | gateway | one atomic write per message, before the 202 |
//! | [`Lanes`] | a lane's owner | read, park, take what is due, settle |
//! | [`Leases`] | dispatcher | who owns which lane |
//! | [`Limits`] | dispatcher, gateway | limits that lanes share |
//! | [`Documents`] | gateway, dispatcher | applications, endpoints, event types |
//! | [`History`] | gateway | messages, attempts, dead letters |
//! | [`Tasks`] | gateway, a lane's owner | sending many messages again |
//!
//! Rules that hold for all of them:
//! - Every write MUST be atomic: all of it or nothing, per application for [`Publisher::publish`] and
//!   per lane for [`Lanes`].
//! - Every write MUST be safe to repeat, because a call whose answer was lost may have happened
//!   ([`ErrorKind::Ambiguous`]).
//! - Only the owner of a lane touches the lane's state. Everybody else appends to its stream.
//! - Times are given as delays from the store's own clock wherever the store compares them.

mod documents;
pub mod embedded;
mod error;
mod fan_out;
mod history;
mod lanes;
mod leases;
mod limits;
mod metrics;
mod observed;
mod publisher;
pub mod redis;
mod stream;
mod tasks;
mod vitals;

use std::{sync::Arc, time::Duration};

pub use documents::{
    Change, Claim, Configuration, Document, Documents, Expect, Indexed, Kind, Version,
};
pub use error::{ErrorKind, Result, StoreError};
pub use fan_out::{Expand, Expanded, FanOut, MAX_FILTER_STEPS};
pub use history::{Cursor, History, LogEntry, Order, Page, PageRequest, Purge};
pub use lanes::{
    AgendaEntry, AgendaPage, Ask, Depth, Due, Fetch, Fetched, Head, InFront, Lanes, PARKED_BELOW,
    Park, Parked, Place, Settle, Settled, Settlement, StateChange, Verdict, Waiting,
};
pub use leases::{Beat, Epoch, Fence, Lease, Leases, Owner};
pub use limits::{Bucket, Granted, Limits, Metered, Pace, Take, pace};
pub use observed::observed;
pub use publisher::{
    Dedup, Fingerprint, MAX_FAN_OUT, Publication, Published, Publisher, Resend, Resent, Target,
    Terms,
};
use serde::{Deserialize, Serialize};
pub use stream::{Entry, EntryId, LONGEST_READ, LaneBatch, LaneRead, NudgeKind, Reader};
pub use tasks::{Advanced, Again, Begun, MAX_STEP, Step, Tasks};
pub use vitals::{Vital, Vitals};

/// What a 202 promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Survives a crash of our processes.
    Process,
    /// Survives a power loss of one node.
    Disk,
    /// Survives the loss of a node.
    Replicated,
}

impl Durability {
    /// The name in configuration and in the `sluicegate-durability` header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Disk => "disk",
            Self::Replicated => "replicated",
        }
    }
}

/// How long records live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// A body with open deliveries, from publish (or resend). Longer than any retry schedule.
    pub message: Duration,
    /// A body once its last delivery is settled. At least minutes, so that a repeated publish still
    /// finds it.
    pub retention: Duration,
    /// The log of messages, attempts and dead letters. Dead letters keep their body as long.
    pub history: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self { message: 4 * DAY, retention: DAY, history: 7 * DAY }
    }
}

/// An engine.
#[async_trait::async_trait]
pub trait Store: Publisher + Lanes + Leases + Limits + Documents + History + Tasks {
    /// The level that a [`Published::Accepted`] stands for.
    fn durability(&self) -> Durability;

    /// Whether one call can span shards. If not, callers group by shard.
    fn spans_shards(&self) -> bool;

    /// Fails if the store cannot be reached, refuses writes, or no longer keeps what
    /// [`Store::durability`] promises; the error says which setting is wrong.
    async fn ready(&self) -> Result<()>;

    /// A text that changes when what was acknowledged may have been lost: another run or another
    /// master. An owner that sees it change re-reads its lanes and agendas from the beginning.
    async fn incarnation(&self) -> Result<String>;

    /// Removes what outlived its time, a bounded amount per call. Engines whose server does this by
    /// itself answer [`Swept::All`].
    async fn sweep(&self) -> Result<Swept>;

    /// How the engine is: for metrics, asked now and then. An engine may have nothing to tell.
    async fn vitals(&self) -> Result<Vitals> {
        Ok(Vitals::default())
    }
}

/// How far a call of [`Store::sweep`] came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Swept {
    /// Nothing is left whose time was over when the call began.
    All,
    /// There is more to remove.
    Part,
}

/// A store that the parts of one process share.
pub type SharedStore = Arc<dyn Store>;
