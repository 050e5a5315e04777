//! Low-water marks: where the live part of a stream or of a waiting set begins.
//!
//! What was removed stays in the files as tombstones until compaction, and a scan has to step over
//! them. A mark says that nothing lives below it. Marks only rise, and no reader can raise one past an
//! entry that it does not see: whatever is added later is numbered above all that is visible now, or
//! is due no earlier than the last visible write. They are kept in memory and found again by one scan.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

use super::clock::Stamp;
use crate::{
    domain::Queue,
    placement::{LANES, Lane},
};

/// Beginning and end of each lane's stream, as stamps.
pub(super) struct LaneMarks(Vec<(AtomicU64, AtomicU64)>);

impl LaneMarks {
    /// `opened` lies above all entries that there are. No stamp is 0, so that the least one is the one
    /// behind [`crate::store::EntryId::START`].
    pub(super) fn new(opened: Stamp) -> Self {
        Self((0..LANES).map(|_| (AtomicU64::new(1), AtomicU64::new(opened.0))).collect())
    }

    fn of(&self, lane: Lane) -> &(AtomicU64, AtomicU64) {
        &self.0[usize::from(lane.index())]
    }

    /// No entry of the lane has a lower stamp.
    pub(super) fn first(&self, lane: Lane) -> u64 {
        self.of(lane).0.load(Ordering::Acquire)
    }

    pub(super) fn raise_first(&self, lane: Lane, first: u64) {
        self.of(lane).0.fetch_max(first, Ordering::AcqRel);
    }

    /// No visible entry of the lane has a greater stamp.
    pub(super) fn newest(&self, lane: Lane) -> u64 {
        self.of(lane).1.load(Ordering::Acquire)
    }

    pub(super) fn raise_newest(&self, lane: Lane, newest: u64) {
        self.of(lane).1.fetch_max(newest, Ordering::AcqRel);
    }
}

/// Where a queue's parked and its timed members begin.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// A stamp.
    pub(super) parked: u64,
    /// Milliseconds.
    pub(super) timed: u64,
}

/// Marks of the queues that are being looked at.
#[derive(Default)]
pub(super) struct QueueMarks(Mutex<HashMap<Queue, Marks>>);

/// More queues than this are not remembered: forgetting one costs a scan, not an error.
const MOST: usize = 65_536;

impl QueueMarks {
    pub(super) fn get(&self, queue: Queue) -> Marks {
        self.0.lock().get(&queue).copied().unwrap_or_default()
    }

    pub(super) fn raise(&self, queue: Queue, to: Marks) {
        let mut marks = self.0.lock();
        if marks.len() >= MOST && !marks.contains_key(&queue) {
            marks.clear();
        }
        let marks = marks.entry(queue).or_default();
        marks.parked = marks.parked.max(to.parked);
        marks.timed = marks.timed.max(to.timed);
    }
}
