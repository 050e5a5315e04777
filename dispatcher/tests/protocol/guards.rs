//! The conditions that the protocol rests on, each as a switch of the model.
//!
//! Three are not needed within the bounds here: the agenda's part of the check ([`Guard::CheckAgenda`])
//! is a second net under the re-reading, and the others save an attempt after a failover
//! ([`Guard::RereadDeparted`]), or a second until the check finds the same ([`Guard::OldReadDropped`],
//! which the lane does not have).

/// A condition that can be taken out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Guard {
    /// A write is refused unless the lease names exactly its owner and epoch.
    Fence,
    /// Bodies are given out only with the proof that the lane is held.
    FetchProof,
    /// Attempt n is settled only if n - 1 are known.
    AttemptNumber,
    /// A settlement changes nothing unless its delivery is at its place.
    SettleIfThere,
    /// A park changes nothing unless it removes its entry from the stream.
    ParkIfRemoved,
    /// An entry counts as there only if it carries this very delivery.
    SameDelivery,
    /// The last one to leave a waiting set takes its queue out of the agenda in the same write.
    AgendaLeftInSameWrite,
    /// A takeover takes up all of the agenda, also what opens later.
    WholeAgenda,
    /// What is in hand is not taken from a waiting set once more.
    HeldDropped,
    /// Nor is what was let go since the look began.
    LookDeparted,
    /// What was parked during a look keeps the next look coming.
    ParkedMeanwhile,
    /// A retry that was written down during a look is remembered.
    DueMeanwhile,
    /// What was put back during a look keeps the next look coming.
    PutBackMeanwhile,
    /// "Not there" is taken as "look again": the call may be the second of two.
    NotThereLooksAgain,
    /// What has no answer yet stays in hand.
    HeldUntilAnswered,
    /// The check drops what was let go since it began.
    CheckDeparted,
    /// The check does not go by what departed since a re-reading began, which may never end.
    CheckApart,
    /// The check takes up entries of the stream.
    CheckStream,
    /// The check takes up queues of the agenda.
    CheckAgenda,
    /// A new incarnation of the store makes the owner read from the beginning.
    Reread,
    /// What was in hand at that time is looked for again when it is let go: an answer from before may
    /// have been undone.
    Doubt,
    /// The re-reading drops what was let go since it began.
    RereadDeparted,
    /// A read that was under way when the re-reading began is dropped.
    OldReadDropped,
    /// Of an ordered queue only the first is taken, and nothing else until it is let go.
    HeadOnly,
    /// A retry of an ordered queue keeps its place.
    PlaceKept,
    /// What an ordered queue shows ends before what is not due.
    DueInOrder,
    /// One park after the other.
    ParksInOrder,
    /// After an unclean takeover an ordered queue rests until what the owner before had sent is over.
    Rest,
}

/// Those that are in force.
#[derive(Clone, Copy)]
pub(crate) struct Guards(u32);

impl Guards {
    pub(crate) const ALL: Self = Self(u32::MAX);

    pub(crate) fn without(self, guard: Guard) -> Self {
        Self(self.0 & !(1 << guard as u32))
    }

    pub(crate) fn has(self, guard: Guard) -> bool {
        self.0 & (1 << guard as u32) != 0
    }
}
