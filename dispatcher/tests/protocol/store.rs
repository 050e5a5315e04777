//! The store: one lane's stream, waiting sets, agenda and lease, and the writes of its owners.

use crate::{
    guards::{Guard, Guards},
    lane::Rules,
};

/// Deliveries, numbered.
pub(crate) const DELIVERIES: usize = 3;
/// Queues, numbered. Delivery d is one of queue d % queues.
pub(crate) const QUEUES: usize = 2;

/// A process: a node, and how often it has crashed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Owner {
    pub(crate) node: usize,
    pub(crate) life: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Fence {
    pub(crate) owner: Owner,
    pub(crate) epoch: u8,
}

/// All time there is: what is due later is due now once it has elapsed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum When {
    Now,
    Later,
}

/// How a delivery waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Wait {
    Parked,
    Retry(When),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Place {
    Stream(u8),
    Waiting,
}

/// Dead letters and deletions end a delivery as success does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Verdict {
    Delivered,
    Retry,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Write {
    Park { entry: u8, delivery: usize },
    Settle { delivery: usize, place: Place, attempt: u8, verdict: Verdict },
}

/// A write on its way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Call {
    pub(crate) fence: Fence,
    pub(crate) write: Write,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Answer {
    Done,
    NotThere,
    Fenced,
}

/// What a look finds, in the order of the deliveries' numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Page {
    /// Deliveries, with the attempts made so far.
    pub(crate) found: Vec<(usize, u8)>,
    pub(crate) all_parked: bool,
    pub(crate) all_retries: bool,
    /// Something is due later.
    pub(crate) next: Option<When>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    /// Entries: id and delivery.
    pub(crate) stream: Vec<(u8, usize)>,
    last_id: u8,
    pub(crate) waiting: [Option<Wait>; DELIVERIES],
    /// What waits in ordered queues, in its order.
    line: Vec<usize>,
    attempts: [u8; DELIVERIES],
    pub(crate) agenda: [Option<When>; QUEUES],
    /// Who holds the lane, and the last epoch.
    pub(crate) owner: Option<Owner>,
    pub(crate) epoch: u8,
    pub(crate) published: [bool; DELIVERIES],
    pub(crate) ended: [bool; DELIVERIES],
    /// Bit n: attempt n was settled. The protocol does not know of it.
    settled: [u8; DELIVERIES],
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            stream: Vec::new(),
            last_id: 0,
            waiting: [None; DELIVERIES],
            line: Vec::new(),
            attempts: [0; DELIVERIES],
            agenda: [None; QUEUES],
            owner: None,
            epoch: 0,
            published: [false; DELIVERIES],
            ended: [false; DELIVERIES],
            settled: [0; DELIVERIES],
        }
    }

    pub(crate) fn publish(&mut self, delivery: usize) {
        self.last_id += 1;
        self.stream.push((self.last_id, delivery));
        self.published[delivery] = true;
    }

    /// Gives the lane to this owner. A repeated call of the winner answers the epoch that it won. An
    /// epoch is never below the time, so that none is given out again after a failover.
    pub(crate) fn acquire(&mut self, owner: Owner, time: u8) -> Fence {
        if self.owner != Some(owner) {
            self.owner = Some(owner);
            self.epoch = time.max(self.epoch + 1);
        }
        Fence { owner, epoch: self.epoch }
    }

    pub(crate) fn is_held(&self, fence: Fence) -> bool {
        self.owner == Some(fence.owner) && self.epoch == fence.epoch
    }

    /// Executes a write; an error names the property that it breaks.
    pub(crate) fn execute(
        &mut self,
        Call { fence, write }: Call,
        rules: Rules,
    ) -> Result<Answer, &'static str> {
        let Rules { guards, queues, ordered } = rules;
        if guards.has(Guard::Fence) && !self.is_held(fence) {
            return Ok(Answer::Fenced);
        }
        let done = match write {
            Write::Park { entry, delivery } => {
                let removed = self.remove(entry, delivery, guards);
                if removed || !guards.has(Guard::ParkIfRemoved) {
                    self.waiting[delivery].get_or_insert(Wait::Parked);
                    let agenda = &mut self.agenda[delivery % queues];
                    if ordered {
                        agenda.get_or_insert(When::Now);
                        self.line.push(delivery);
                    } else {
                        *agenda = Some(When::Now);
                    }
                }
                removed
            }
            Write::Settle { delivery, place, attempt, verdict } => {
                let numbered = self.attempts(place, delivery) + 1 == attempt
                    || !guards.has(Guard::AttemptNumber);
                let lost = ordered && place != Place::Waiting && verdict == Verdict::Retry;
                let there = numbered && !lost && self.take(place, delivery, verdict, guards);
                let acts = there || !guards.has(Guard::SettleIfThere);
                if acts {
                    self.settle(delivery, attempt, verdict, rules)?;
                }
                acts
            }
        };
        Ok(if done { Answer::Done } else { Answer::NotThere })
    }

    /// What flows was never tried.
    fn attempts(&self, place: Place, delivery: usize) -> u8 {
        match place {
            Place::Stream(_) => 0,
            Place::Waiting => self.attempts[delivery],
        }
    }

    fn remove(&mut self, entry: u8, delivery: usize, guards: Guards) -> bool {
        let any = !guards.has(Guard::SameDelivery);
        let is_it = |&(id, carried): &(u8, usize)| id == entry && (any || carried == delivery);
        let index = self.stream.iter().position(is_it);
        index.map(|index| self.stream.remove(index)).is_some()
    }

    /// Takes a delivery from its place, if it is there; a retry leaves it in the waiting set.
    fn take(&mut self, place: Place, delivery: usize, verdict: Verdict, guards: Guards) -> bool {
        match (place, verdict) {
            (Place::Stream(entry), _) => self.remove(entry, delivery, guards),
            (Place::Waiting, Verdict::Delivered) => self.waiting[delivery].take().is_some(),
            (Place::Waiting, Verdict::Retry) => self.waiting[delivery].is_some(),
        }
    }

    fn settle(
        &mut self,
        delivery: usize,
        attempt: u8,
        verdict: Verdict,
        Rules { guards, queues, ordered }: Rules,
    ) -> Result<(), &'static str> {
        if self.settled[delivery] & (1 << attempt) != 0 {
            return Err("two settlements of one attempt took effect");
        }
        self.settled[delivery] |= 1 << attempt;
        let queue = delivery % queues;
        match verdict {
            Verdict::Retry => {
                self.waiting[delivery] = Some(Wait::Retry(When::Later));
                self.attempts[delivery] = attempt;
                self.agenda[queue].get_or_insert(When::Later);
                if ordered {
                    self.agenda[queue] = Some(When::Later);
                    if !guards.has(Guard::PlaceKept) {
                        self.line.retain(|other| *other != delivery);
                        self.line.push(delivery);
                    }
                }
            }
            Verdict::Delivered => {
                self.line.retain(|other| *other != delivery);
                self.ended[delivery] = true;
                self.attempts[delivery] = 0;
                if guards.has(Guard::AgendaLeftInSameWrite) && !self.waits(queue, queues) {
                    self.agenda[queue] = None;
                } else if ordered {
                    self.agenda[queue] = Some(When::Now);
                }
            }
        }
        Ok(())
    }

    fn waits(&self, queue: usize, queues: usize) -> bool {
        (queue..DELIVERIES).step_by(queues).any(|delivery| self.waiting[delivery].is_some())
    }

    /// The first of an ordered queue, none behind one that is not due.
    fn look_in_order(&self, queue: usize, rules: Rules, limit: usize) -> Page {
        let line = self.line.iter().copied();
        let mut line = line.filter(|delivery| delivery % rules.queues == queue).peekable();
        let mut page = Page { found: Vec::new(), all_parked: true, all_retries: true, next: None };
        while let Some(delivery) = line.next_if(|_| page.found.len() < limit) {
            if self.waiting[delivery] != Some(Wait::Retry(When::Later)) {
                page.found.push((delivery, self.attempts[delivery]));
            } else {
                page.next = Some(When::Later);
                if rules.guards.has(Guard::DueInOrder) {
                    break;
                }
            }
        }
        let waiting = self.line.iter().filter(|delivery| *delivery % rules.queues == queue);
        page.all_parked = waiting.count() <= page.found.len();
        page
    }

    /// The first so many parked deliveries of a queue, and as many due retries.
    pub(crate) fn look(&self, queue: usize, rules: Rules, limit: usize) -> Page {
        if rules.ordered {
            return self.look_in_order(queue, rules, limit);
        }
        let queues = rules.queues;
        let of_queue = || (queue..DELIVERIES).step_by(queues);
        let waiting = |wait| {
            let all = of_queue().filter(move |&delivery| self.waiting[delivery] == Some(wait));
            all.map(|delivery| (delivery, self.attempts[delivery])).take(limit)
        };
        let parked: Vec<_> = waiting(Wait::Parked).collect();
        let retries: Vec<_> = waiting(Wait::Retry(When::Now)).collect();
        Page {
            all_parked: parked.len() < limit,
            all_retries: retries.len() < limit,
            next: waiting(Wait::Retry(When::Later)).next().map(|_| When::Later),
            found: retries.into_iter().chain(parked).collect(),
        }
    }

    pub(crate) fn elapse(&mut self) {
        for wait in self.waiting.iter_mut().flatten() {
            if let Wait::Retry(when) = wait {
                *when = When::Now;
            }
        }
        self.agenda.iter_mut().flatten().for_each(|when| *when = When::Now);
    }

    /// Whether something could be sent now.
    pub(crate) fn has_due(&self) -> bool {
        let due = |wait: &Wait| !matches!(wait, Wait::Retry(When::Later));
        match self.line.first() {
            _ if !self.stream.is_empty() => true,
            Some(first) => self.waiting[*first].as_ref().is_some_and(due),
            None => self.waiting.iter().flatten().any(due),
        }
    }

    /// Whether everything ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.stream.is_empty() && self.waiting.iter().all(Option::is_none)
    }

    /// What must hold of the store at all times, also after a failover.
    pub(crate) fn broken(&self, queues: usize) -> Option<&'static str> {
        for delivery in 0..DELIVERIES {
            let flows = self.stream.iter().filter(|(_, carried)| *carried == delivery).count();
            let places = flows + usize::from(self.waiting[delivery].is_some());
            match (self.published[delivery], self.ended[delivery], places) {
                (_, true, 1..) => return Some("a settled delivery came back"),
                (true, false, 0) => return Some("an acknowledged delivery is lost"),
                (_, _, 2..) => return Some("a delivery has two places"),
                _ => {}
            }
        }
        let exact = |queue: usize| self.agenda[queue].is_some() == self.waits(queue, queues);
        (!(0..queues).all(exact))
            .then_some("a queue is in the agenda and has nothing, or is not and has")
    }
}
