//! A lane's stream: what stands in it, and how owners read it.

use std::time::Duration;

use super::{FanOut, Lease, Result};
use crate::{
    domain::{Delivery, Queue},
    placement::Lane,
    time::Millis,
};

/// Place of an entry in its lane's stream. Never shown outside: two masters can give out the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EntryId {
    /// The greater part.
    pub major: u64,
    /// The lesser part.
    pub minor: u64,
}

impl EntryId {
    /// Before all entries.
    pub const START: Self = Self { major: 0, minor: 0 };
}

/// An entry of a lane's stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A delivery that was never tried.
    Delivery {
        /// Which.
        delivery: Delivery,
        /// Not to be sent before this time.
        not_before: Option<Millis>,
    },
    /// A hint to look at a queue again.
    Nudge {
        /// Which queue.
        queue: Queue,
        /// What happened to it.
        kind: NudgeKind,
    },
    /// A message whose targets are to be chosen.
    FanOut(FanOut),
    /// Something that a newer version wrote: left where it is, for a dispatcher of that version.
    Unknown,
}

/// What happened to a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NudgeKind {
    /// Its endpoint or application was changed.
    Changed,
    /// Its endpoint or application was deleted: what waits is to be settled as deleted.
    Deleted,
    /// A task of its endpoint began or was cancelled, or waits for the lane's new owner.
    Task,
}

impl NudgeKind {
    /// The name in the stream.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::Task => "task",
        }
    }

    /// Reads [`NudgeKind::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Changed, Self::Deleted, Self::Task].into_iter().find(|kind| kind.name() == name)
    }
}

/// One lane to read, and what was read of it before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneRead {
    /// The lane.
    pub lane: Lane,
    /// Entries up to and with this one were read.
    pub after: EntryId,
}

/// What one read found in a lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneBatch {
    /// The lane.
    pub lane: Lane,
    /// New entries, in order.
    pub entries: Vec<(EntryId, Entry)>,
    /// The lane's lease, read after the entries: a caller that no longer holds it drops them.
    pub lease: Option<Lease>,
}

/// How long a read without news takes at most.
pub const LONGEST_READ: Duration = Duration::from_secs(2);

/// The blocking read over many lanes.
#[async_trait::async_trait]
pub trait Reader: Send {
    /// Waits until at least one of the lanes has entries behind its position, or `wait` passed, which
    /// counts as [`LONGEST_READ`] where it is longer; at most `limit` entries per lane. Lanes without
    /// news are left out.
    ///
    /// Reading takes nothing: the same entries come again from the same position. The future MUST be
    /// safe to drop at any time, so that a newly gained lane can interrupt it.
    async fn read_within(
        &mut self,
        lanes: &[LaneRead],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<LaneBatch>>;

    /// As [`Reader::read_within`], with the longest wait.
    async fn read(&mut self, lanes: &[LaneRead], limit: usize) -> Result<Vec<LaneBatch>> {
        self.read_within(lanes, limit, LONGEST_READ).await
    }
}
