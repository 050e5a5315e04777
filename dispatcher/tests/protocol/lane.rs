//! The lane's owner: what it has in hand, and what it knows of its queues.
//!
//! Follows `dispatcher/src/lane/`: `arrived`, `take_up`, `put_back`, `parked`, `settled`, `looked`,
//! `checked` and `reread` are the functions of these names there.

use crate::{
    guards::{Guard, Guards},
    seat::{Look, Seat, Set, earlier},
    store::{Answer, Call, DELIVERIES, Fence, Place, QUEUES, Store, Verdict, Wait, When, Write},
};

/// What is fixed for a whole exploration.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) guards: Guards,
    pub(crate) queues: usize,
    pub(crate) ordered: bool,
}

/// A call that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Progress {
    Sent,
    /// Answered, but the answer has not arrived; when a retry that it wrote down is due.
    Answered(Answer, When),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Ready,
    /// The request is at the receiver.
    Sending,
    /// The park or settlement is under way.
    Writing(Write, Progress),
}

/// A delivery in hand.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Hand {
    pub(crate) place: Place,
    pub(crate) attempts: u8,
    pub(crate) stage: Stage,
    /// In hand since before the store changed.
    doubtful: bool,
}

/// A read of stream, agenda or both that began, and what it found.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Read<T> {
    Idle,
    Begun,
    Seen(T),
}

type Entries = Vec<(u8, usize)>;
type Agenda = [Option<When>; QUEUES];

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    pub(crate) fence: Fence,
    pub(crate) draining: bool,
    position: u8,
    /// A page of the stream, and whether the lane was held when it was read.
    pub(crate) read: Option<(Entries, bool)>,
    pub(crate) agenda: Read<Agenda>,
    pub(crate) check: Read<(Entries, Agenda)>,
    check_departed: Set,
    /// Up to where the stream is read once more, and what departed since that began.
    rereading: Option<(u8, Set)>,
    /// How many failovers it knows of.
    pub(crate) failovers: u8,
    pub(crate) hands: [Option<Hand>; DELIVERIES],
    pub(crate) seats: [Seat; QUEUES],
}

/// The store or the reader says that the lane is another owner's.
pub(crate) struct Fenced;

impl Lane {
    pub(crate) fn new(fence: Fence, failovers: u8) -> Self {
        Self {
            fence,
            draining: false,
            position: 0,
            read: None,
            agenda: Read::Begun,
            check: Read::Idle,
            check_departed: 0,
            rereading: None,
            failovers,
            hands: [None; DELIVERIES],
            seats: [Seat::NEW; QUEUES],
        }
    }

    /// New entries; what a blocked read waits for.
    pub(crate) fn news(&self, store: &Store) -> Entries {
        store.stream.iter().filter(|(id, _)| *id > self.position).copied().collect()
    }

    pub(crate) fn arrived(&mut self, rules: Rules) -> Result<(), Fenced> {
        let Some((entries, held)) = self.read.take() else { return Ok(()) };
        if !held && rules.guards.has(Guard::Fence) {
            return Err(Fenced);
        }
        if self.draining {
            return Ok(());
        }
        for (id, delivery) in entries {
            if id <= self.position {
                continue;
            }
            self.position = id;
            if !self.is_stale(id, delivery, rules) && self.hands[delivery].is_none() {
                self.take_up(id, delivery, rules);
            }
        }
        Ok(())
    }

    fn is_stale(&mut self, id: u8, delivery: usize, rules: Rules) -> bool {
        match self.rereading {
            Some((until, _)) if id > until => {
                self.rereading = None;
                false
            }
            Some((_, departed)) => {
                departed & (1 << delivery) != 0 && rules.guards.has(Guard::RereadDeparted)
            }
            None => false,
        }
    }

    /// Holds an entry, or parks it behind what is parked.
    fn take_up(&mut self, id: u8, delivery: usize, rules: Rules) {
        let queue = delivery % rules.queues;
        let place = Place::Stream(id);
        let behind = rules.ordered || self.seats[queue].parked || self.is_parking(queue, rules);
        self.hands[delivery] =
            Some(Hand { place, attempts: 0, stage: Stage::Ready, doubtful: false });
        if behind {
            self.put_back(delivery, rules);
        }
    }

    fn is_parking(&self, queue: usize, rules: Rules) -> bool {
        let is_park = |hand: &Hand| matches!(hand.stage, Stage::Writing(Write::Park { .. }, _));
        self.in_hand(queue, rules).any(is_park)
    }

    fn in_hand(&self, queue: usize, rules: Rules) -> impl Iterator<Item = &Hand> {
        self.hands[queue..].iter().step_by(rules.queues).flatten()
    }

    /// Gives up a delivery that was not started.
    pub(crate) fn put_back(&mut self, delivery: usize, rules: Rules) {
        let Some(hand) = &mut self.hands[delivery] else { return };
        let seat = &mut self.seats[delivery % rules.queues];
        match hand.place {
            Place::Stream(entry) => {
                seat.parked = true;
                hand.stage = Stage::Writing(Write::Park { entry, delivery }, Progress::Sent);
            }
            Place::Waiting => {
                seat.look_again(rules.guards.has(Guard::PutBackMeanwhile), rules.ordered);
                self.let_go(delivery, rules);
            }
        }
    }

    /// No answer came: the same call again, or, without the guard, the delivery is let go.
    pub(crate) fn unanswered(&mut self, delivery: usize, rules: Rules) {
        if !rules.guards.has(Guard::HeldUntilAnswered) {
            self.let_go(delivery, rules);
            self.seats[delivery % rules.queues].look_again(true, rules.ordered);
        } else if let Some(Hand { stage: Stage::Writing(_, progress), .. }) =
            &mut self.hands[delivery]
        {
            *progress = Progress::Sent;
        }
    }

    /// An attempt ended.
    pub(crate) fn attempted(&mut self, delivery: usize, verdict: Verdict) {
        if let Some(hand) = &mut self.hands[delivery] {
            let attempt = hand.attempts + 1;
            let write = Write::Settle { delivery, place: hand.place, attempt, verdict };
            hand.stage = Stage::Writing(write, Progress::Sent);
        }
    }

    fn let_go(&mut self, delivery: usize, rules: Rules) {
        let doubtful = self.hands[delivery].take().is_some_and(|hand| hand.doubtful);
        let bit = 1 << delivery;
        if self.check != Read::Idle {
            self.check_departed |= bit;
        }
        if let Some((_, departed)) = &mut self.rereading {
            *departed |= bit;
        }
        let seat = &mut self.seats[delivery % rules.queues];
        if seat.look != Look::Idle {
            seat.departed |= bit;
        }
        if doubtful && rules.guards.has(Guard::Doubt) {
            seat.look_again(true, rules.ordered);
        }
    }

    /// The answer to a park or settlement arrived.
    pub(crate) fn answered(
        &mut self,
        write: Write,
        answer: Answer,
        due: When,
        rules: Rules,
    ) -> Result<(), Fenced> {
        let (Write::Park { delivery, .. } | Write::Settle { delivery, .. }) = write;
        if answer == Answer::Fenced {
            return Err(Fenced);
        }
        self.let_go(delivery, rules);
        let seat = &mut self.seats[delivery % rules.queues];
        if let Write::Settle { verdict: Verdict::Retry, .. } = write {
            seat.will_be_due(due);
        }
        let meanwhile = rules.guards.has(Guard::ParkedMeanwhile);
        match (answer, write) {
            (Answer::Done, Write::Park { .. }) => seat.was_parked(meanwhile),
            (Answer::Done, Write::Settle { .. }) => {}
            _ if rules.guards.has(Guard::NotThereLooksAgain) => {
                seat.look_again(meanwhile, rules.ordered);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the first of an ordered queue is in hand: nothing else is looked for.
    pub(crate) fn is_taken(&self, queue: usize, rules: Rules) -> bool {
        let waits = |hand: &Hand| hand.place == Place::Waiting;
        rules.ordered && rules.guards.has(Guard::HeadOnly) && self.in_hand(queue, rules).any(waits)
    }

    /// Whether a write waits for its turn: a park, for those of earlier entries to be answered.
    pub(crate) fn is_unsent(&self, write: Write, rules: Rules) -> bool {
        let Write::Park { entry, .. } = write else { return false };
        let before = |hand: &Hand| matches!(hand.stage, Stage::Writing(Write::Park { entry: other, .. }, _) if other < entry);
        rules.ordered
            && rules.guards.has(Guard::ParksInOrder)
            && self.hands.iter().flatten().any(before)
    }

    /// How many a look asks for: those in hand, and one more.
    pub(crate) fn look_limit(&self, queue: usize, rules: Rules) -> usize {
        1 + self.in_hand(queue, rules).filter(|hand| hand.place == Place::Waiting).count()
    }

    pub(crate) fn begin_look(&mut self, queue: usize) {
        let seat = &mut self.seats[queue];
        seat.look = Look::Begun;
        seat.departed = 0;
        seat.parked_meanwhile = false;
        seat.due_meanwhile = None;
    }

    pub(crate) fn looked(&mut self, queue: usize, rules: Rules) {
        let look = std::mem::replace(&mut self.seats[queue].look, Look::Idle);
        let Look::Seen(page) = look else { return };
        let departed = self.seats[queue].departed;
        for (delivery, attempts) in page.found {
            let gone = departed & (1 << delivery) != 0 && rules.guards.has(Guard::LookDeparted);
            let held = self.hands[delivery].is_some() && rules.guards.has(Guard::HeldDropped);
            if !gone && !held && !self.draining {
                self.hands[delivery] = Some(Hand {
                    place: Place::Waiting,
                    attempts,
                    stage: Stage::Ready,
                    doubtful: false,
                });
            }
        }
        let next = if page.all_retries { page.next } else { Some(When::Now) };
        let parking = self.is_parking(queue, rules);
        let seat = &mut self.seats[queue];
        seat.parked = !page.all_parked || seat.parked && (seat.parked_meanwhile || parking);
        let meanwhile = seat.due_meanwhile.filter(|_| rules.guards.has(Guard::DueMeanwhile));
        seat.next_due = earlier(next, meanwhile);
        (seat.departed, seat.parked_meanwhile, seat.due_meanwhile) = (0, false, None);
    }

    pub(crate) fn agenda_read(&mut self, rules: Rules) {
        let read = std::mem::replace(&mut self.agenda, Read::Idle);
        let Read::Seen(agenda) = read else { return };
        for (seat, opens) in self.seats.iter_mut().zip(agenda) {
            if let Some(opens) = opens
                && (opens == When::Now || rules.guards.has(Guard::WholeAgenda))
            {
                seat.will_be_due(opens);
            }
        }
    }

    /// The check of oneself; answers whether it found an entry that nobody held.
    pub(crate) fn checked(&mut self, rules: Rules) -> bool {
        let read = std::mem::replace(&mut self.check, Read::Idle);
        let Read::Seen((entries, agenda)) = read else { return false };
        let mut departed = std::mem::take(&mut self.check_departed);
        if !rules.guards.has(Guard::CheckDeparted) {
            departed = 0;
        }
        if let Some((_, since)) = self.rereading
            && !rules.guards.has(Guard::CheckApart)
        {
            departed |= since;
        }
        if self.draining {
            return false;
        }
        let mut found = false;
        if rules.guards.has(Guard::CheckStream) {
            for (id, delivery) in entries {
                let gone = departed & (1 << delivery) != 0;
                if id <= self.position && !gone && self.hands[delivery].is_none() {
                    self.take_up(id, delivery, rules);
                    found = true;
                }
            }
        }
        if rules.guards.has(Guard::CheckAgenda) {
            for (queue, opens) in agenda.into_iter().enumerate() {
                let Some(opens) = opens else { continue };
                let idle = self.in_hand(queue, rules).next().is_none();
                let seat = &mut self.seats[queue];
                if idle && !seat.parked && seat.next_due.is_none() && seat.look == Look::Idle {
                    seat.will_be_due(opens);
                }
            }
        }
        found
    }

    /// The store may have forgotten what it acknowledged.
    pub(crate) fn reread(&mut self, failovers: u8, rules: Rules) {
        self.failovers = failovers;
        if !rules.guards.has(Guard::Reread) {
            return;
        }
        self.hands.iter_mut().flatten().for_each(|hand| hand.doubtful = true);
        self.rereading = Some((self.position, 0));
        self.position = 0;
        if rules.guards.has(Guard::OldReadDropped) {
            self.read = None;
        }
        self.agenda = Read::Begun;
    }

    /// Takes nothing new; what was not started stays where it is.
    pub(crate) fn drain(&mut self, rules: Rules) {
        self.draining = true;
        for delivery in 0..DELIVERIES {
            if self.hands[delivery].is_some_and(|hand| hand.stage == Stage::Ready) {
                self.let_go(delivery, rules);
            }
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.draining && self.hands.iter().all(Option::is_none)
    }

    /// Writes that were sent and not executed.
    pub(crate) fn unexecuted(&self, rules: Rules) -> impl Iterator<Item = Call> {
        self.hands.iter().flatten().filter_map(move |hand| match hand.stage {
            Stage::Writing(write, Progress::Sent) if !self.is_unsent(write, rules) => {
                Some(Call { fence: self.fence, write })
            }
            _ => None,
        })
    }
}

/// When what a write wrote down is due.
pub(crate) fn due_after(write: Write, store: &Store) -> When {
    let (Write::Park { delivery, .. } | Write::Settle { delivery, .. }) = write;
    match store.waiting[delivery] {
        Some(Wait::Retry(when)) => when,
        _ => When::Later,
    }
}
