//! The world: store, nodes, calls on their way, and what can still go wrong how often.

use crate::{
    guards::{Guard, Guards},
    lane::{Lane, Rules, Stage},
    store::{Call, DELIVERIES, Store, Verdict},
};

pub(crate) const NODES: usize = 2;

/// How much there is, and how often each kind of fault may come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Bounds {
    pub(crate) nodes: usize,
    pub(crate) deliveries: usize,
    pub(crate) queues: usize,
    /// Whether what they hold must arrive in order.
    pub(crate) ordered: bool,
    /// Attempts that fail, over all deliveries.
    pub(crate) failures: u8,
    /// Deliveries put back into the waiting set before they were sent.
    pub(crate) put_backs: u8,
    /// Checks of oneself that begin while something else is under way.
    pub(crate) checks: u8,
    /// Lanes given up in good order.
    pub(crate) handovers: u8,
    /// Processes that die and come back.
    pub(crate) crashes: u8,
    /// Leases taken from a process that is only slow.
    pub(crate) expiries: u8,
    /// Calls whose request or answer is lost, or that are executed after the caller repeated them.
    pub(crate) losses: u8,
    /// Failovers of the store, …
    pub(crate) failovers: u8,
    /// … each of which loses up to so many writes.
    pub(crate) lag: u8,
}

/// One process and, while it holds the lane or believes so, the lane's actor.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) life: u8,
    pub(crate) lane: Option<Lane>,
}

/// All there is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) store: Store,
    /// What a failover would bring back, and how many writes it lacks.
    pub(crate) replica: Option<(Store, u8)>,
    pub(crate) nodes: [Node; NODES],
    /// Calls that nobody waits for any more, and that may still be executed, or never.
    pub(crate) late: Vec<Call>,
    /// What may still happen.
    pub(crate) left: Bounds,
    pub(crate) failovers: u8,
    /// Grows with each acquisition: all that leases see of time.
    pub(crate) time: u8,
    /// Attempts sent less those settled, per delivery.
    pub(crate) unsettled: [i8; DELIVERIES],
    /// Unclean takeovers and failovers: each may cost each delivery one attempt more.
    pub(crate) excuses: i8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Publish {
        delivery: usize,
    },
    /// A node takes the lane, because it is free or because its lease expired.
    Acquire {
        node: usize,
    },
    /// A node learns from its renewal that the lane is not its own.
    Lose {
        node: usize,
    },
    Drain {
        node: usize,
    },
    Release {
        node: usize,
    },
    Crash {
        node: usize,
    },
    /// The replica falls behind from here on.
    Lag,
    Failover,
    /// A node sees the store's new incarnation.
    Notice {
        node: usize,
    },
    /// Time goes by: what is due later is due.
    Elapse,
    ReadStream {
        node: usize,
    },
    Arrived {
        node: usize,
    },
    ReadAgenda {
        node: usize,
    },
    AgendaRead {
        node: usize,
    },
    BeginLook {
        node: usize,
        queue: usize,
    },
    ReadWaiting {
        node: usize,
        queue: usize,
    },
    Looked {
        node: usize,
        queue: usize,
    },
    BeginCheck {
        node: usize,
    },
    ReadPages {
        node: usize,
    },
    Checked {
        node: usize,
    },
    /// The body is fetched, with the proof that the lane is held, and the request sent.
    Send {
        node: usize,
        delivery: usize,
    },
    PutBack {
        node: usize,
        delivery: usize,
    },
    Attempted {
        node: usize,
        delivery: usize,
        verdict: Verdict,
    },
    /// The store executes the park or settlement.
    Execute {
        node: usize,
        delivery: usize,
    },
    Answered {
        node: usize,
        delivery: usize,
    },
    /// No answer came in time: the caller repeats the call.
    GiveUp {
        node: usize,
        delivery: usize,
    },
    ExecuteLate {
        call: usize,
    },
}

impl World {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            store: Store::new(),
            replica: None,
            nodes: std::array::from_fn(|_| Node { life: 0, lane: None }),
            late: Vec::new(),
            left: bounds,
            failovers: 0,
            time: 0,
            unsettled: [0; DELIVERIES],
            excuses: 0,
        }
    }

    pub(crate) fn lane(&mut self, node: usize) -> Option<&mut Lane> {
        self.nodes[node].lane.as_mut()
    }

    /// The actor ends. What it had sent may still be executed.
    pub(crate) fn end(&mut self, node: usize, rules: Rules) {
        let Some(lane) = self.nodes[node].lane.take() else { return };
        self.late.extend(lane.unexecuted(rules));
        self.late.sort_unstable();
    }

    /// Whether sending a delivery of an ordered queue would break the order: something that stands
    /// before it did not end, or another attempt of the queue is under way.
    pub(crate) fn overtakes(&self, delivery: usize, queues: usize) -> bool {
        let before = (delivery % queues..delivery).step_by(queues);
        before.into_iter().any(|other| !self.store.ended[other])
            || self.is_sending(delivery % queues, queues)
    }

    /// Whether an attempt of a queue is under way, by whomever.
    pub(crate) fn is_sending(&self, queue: usize, queues: usize) -> bool {
        let lanes = self.nodes.iter().filter_map(|node| node.lane.as_ref());
        let mut hands = lanes.flat_map(|lane| lane.hands[queue..].iter().step_by(queues).flatten());
        hands.any(|hand| hand.stage == Stage::Sending)
    }

    /// The store was written to: the replica lacks one write more.
    pub(crate) fn changed(&mut self, before: &Store) {
        let Some((replica, lag)) = &mut self.replica else { return };
        if self.store != *before {
            *lag += 1;
        }
        if *lag > self.left.lag || *replica == self.store {
            // It followed after all.
            self.replica = None;
            self.left.failovers += 1;
        }
    }

    /// Forgets calls that cannot change anything any more.
    pub(crate) fn prune(&mut self, guards: Guards) {
        let rolls_back = self.replica.is_some() || self.left.failovers > 0;
        if guards.has(Guard::Fence) && !rolls_back {
            self.late.retain(|call| call.fence.epoch >= self.store.epoch);
        }
    }
}
