//! A backlog: what a lane knows of one queue's waiting set, and what of it is in hand.

use std::{
    collections::{HashSet, VecDeque},
    mem,
};

use foldhash::fast::RandomState;
use shared::{
    domain::{Delivery, Strand},
    store::Place,
};
use tokio::time::Instant;

use super::reporting::Gauge;

/// A delivery in hand that was not started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) delivery: Delivery,
    pub(super) place: Place,
    /// Attempts made so far.
    pub(super) attempts: u32,
    /// Steps of the schedule used so far.
    pub(super) steps: u32,
}

/// One queue. Of an ordered one only the first delivery is ever in hand, apart from those that are being
/// parked: nothing else is looked for until it ended, or is due again.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    ordered: bool,
    /// To be prepared next, in this order.
    pub(super) ready: VecDeque<Ready>,
    /// The waiting set may hold parked work that is not in hand: what arrives must queue behind it.
    pub(super) parked: bool,
    /// Parks that are not answered yet.
    pub(super) parking: usize,
    /// When the earliest retry that is not in hand is due; of an ordered queue, the first delivery.
    pub(super) next_due: Option<Instant>,
    /// A look into the waiting set is wanted or under way.
    pub(super) looking: bool,
    /// Let go since that look began: its page may still show them.
    pub(super) departed: HashSet<Delivery, RandomState>,
    /// Parked, or put back, since that look began: its page may not show them, or not let them be taken.
    parked_meanwhile: bool,
    /// The earliest retry that was written down since that look began: likewise.
    due_meanwhile: Option<Instant>,
    /// How many are in hand…
    pub(super) held: usize,
    /// …and how many of these have their place in the waiting set.
    pub(super) held_waiting: usize,
    /// How much waits in all.
    pub(super) depth: Gauge,
}

impl Backlog {
    pub(super) fn new(strand: Strand) -> Self {
        Self { ordered: strand.is_ordered(), ..Self::default() }
    }

    pub(super) fn push(&mut self, ready: Ready) {
        self.held += 1;
        self.held_waiting += usize::from(ready.place == Place::Waiting);
        self.ready.push_back(ready);
    }

    /// Takes the next that is ready.
    pub(super) fn take(&mut self) -> Option<Ready> {
        take_first(&mut self.ready)
    }

    /// One that waits is in hand, though not to be sent.
    pub(super) fn hold_waiting(&mut self) {
        self.held += 1;
        self.held_waiting += 1;
    }

    pub(super) fn let_go(&mut self, delivery: Delivery, place: Place) {
        self.held = self.held.saturating_sub(1);
        if place == Place::Waiting {
            self.held_waiting = self.held_waiting.saturating_sub(1);
        }
        if self.looking {
            self.departed.insert(delivery);
        }
    }

    /// Something in the waiting set is due at this time.
    pub(super) fn will_be_due(&mut self, at: Instant) {
        self.next_due = Some(self.next_due.map_or(at, |before| before.min(at)));
        if self.looking {
            self.due_meanwhile = Some(self.due_meanwhile.map_or(at, |before| before.min(at)));
        }
    }

    /// A delivery was parked: a look under way may not show it. In an ordered queue it stands behind
    /// the first one, of which it says nothing.
    pub(super) fn was_parked(&mut self) {
        self.parked = true;
        self.parked_meanwhile = true;
    }

    /// The waiting set may hold work that is not in hand, and that a look under way may not show.
    pub(super) fn look_again(&mut self) {
        self.was_parked();
        if self.ordered {
            self.next_due = None;
        }
    }

    /// A look into the waiting set begins.
    pub(super) fn begin_look(&mut self) {
        self.looking = true;
        mem::take(&mut self.departed);
        self.parked_meanwhile = false;
        self.due_meanwhile = None;
    }

    /// A look ended: `next` is when the earliest retry is due that it did not show.
    pub(super) fn end_look(&mut self, all_parked_seen: bool, next: Option<Instant>) {
        self.looking = false;
        mem::take(&mut self.departed);
        // If it saw all, what is parked is in hand now. Parks that are under way say so when they are
        // answered: to look for them before would only be to look again and again.
        self.parked = !all_parked_seen || self.parked_meanwhile;
        self.next_due = [next, self.due_meanwhile].into_iter().flatten().min();
    }

    /// Whether there may be work in the waiting set that can be served now.
    pub(super) fn has_waiting_work(&self, now: Instant) -> bool {
        match self.next_due {
            Some(due) if due <= now => true,
            Some(_) => self.parked && !self.ordered,
            None => self.parked,
        }
    }

    /// Whether the first delivery of an ordered queue is in hand.
    fn is_taken(&self) -> bool {
        self.ordered && self.held_waiting > 0
    }

    /// Whether nothing is ready, and more may be found, now or when it is due.
    pub(super) fn is_worth_a_look(&self) -> bool {
        self.ready.is_empty()
            && !self.looking
            && !self.is_taken()
            && (self.parked || self.next_due.is_some())
    }

    /// Whether there may be work that can be served now.
    pub(super) fn has_work(&self, now: Instant) -> bool {
        !self.ready.is_empty() || (self.has_waiting_work(now) && !self.is_taken())
    }

    /// Whether what arrives from the stream would overtake what is parked, or is being parked.
    pub(super) fn is_before_arrivals(&self) -> bool {
        self.parked || self.parking > 0
    }

    /// Whether something that could be started is still in the stream.
    pub(super) fn pins_the_stream(&self) -> bool {
        self.ready.iter().any(|ready| matches!(ready.place, Place::Stream(_)))
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0
            && !self.parked
            && self.parking == 0
            && self.next_due.is_none()
            && !self.looking
    }
}

/// Takes the first of a line. Endpoints stay known for a while after their work is done, and there may be
/// very many: an empty line keeps no memory.
pub(super) fn take_first<T>(line: &mut VecDeque<T>) -> Option<T> {
    let first = line.pop_front();
    if line.is_empty() {
        mem::take(line);
    }
    first
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lane::seat::tests::ready;

    const ORDERED: Strand = Strand::Ordered(0);

    #[test]
    fn nothing_is_looked_for_behind_the_first_of_an_ordered_queue() {
        let mut backlog = Backlog::new(ORDERED);
        backlog.look_again();
        assert!(backlog.is_worth_a_look());
        let first = ready(ORDERED);
        backlog.push(first);
        assert!(backlog.take().is_some());
        assert!(!backlog.is_worth_a_look() && !backlog.has_work(Instant::now()));
        backlog.let_go(first.delivery, first.place);
        assert!(backlog.is_worth_a_look());
    }

    #[test]
    fn an_ordered_queue_rests_until_its_first_is_due_whatever_is_parked_behind_it() {
        let now = Instant::now();
        let later = now + Duration::from_secs(10);
        let mut backlog = Backlog::new(ORDERED);
        backlog.look_again();
        backlog.will_be_due(later);
        backlog.was_parked();
        assert!(!backlog.has_waiting_work(now) && backlog.has_waiting_work(later));
        backlog.look_again();
        assert!(backlog.has_waiting_work(now), "the first may be another one now");
    }

    #[test]
    fn what_is_put_back_during_a_look_is_looked_for_again() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        let ready = ready(Strand::Live);
        backlog.push(ready);
        backlog.look_again();
        backlog.begin_look();
        backlog.let_go(ready.delivery, ready.place);
        backlog.look_again();
        // The page may show it, but it departed: it cannot be told from what was settled.
        assert!(backlog.departed.contains(&ready.delivery));
        backlog.end_look(true, None);
        assert!(backlog.has_waiting_work(now));
        assert!(!backlog.is_idle());
    }

    #[test]
    fn a_park_under_way_is_no_reason_to_look_again() {
        let mut backlog = Backlog::default();
        backlog.look_again();
        backlog.parking = 1;
        backlog.begin_look();
        backlog.end_look(true, None);
        assert!(!backlog.has_waiting_work(Instant::now()));
        assert!(backlog.is_before_arrivals(), "they would overtake what is being parked");
    }

    #[test]
    fn all_that_was_parked_is_in_hand_after_a_look_that_saw_all() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        backlog.look_again();
        backlog.begin_look();
        backlog.end_look(false, None);
        assert!(backlog.has_waiting_work(now));
        backlog.begin_look();
        backlog.end_look(true, None);
        assert!(!backlog.has_waiting_work(now) && !backlog.is_before_arrivals());
    }

    #[test]
    fn a_new_owner_who_has_seen_a_part_looks_for_the_rest() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        // All that the agenda tells.
        backlog.will_be_due(now);
        backlog.begin_look();
        backlog.end_look(false, None);
        assert!(backlog.has_waiting_work(now));
    }

    #[test]
    fn a_retry_written_down_during_a_look_counts() {
        let later = Instant::now() + Duration::from_secs(10);
        let mut backlog = Backlog::default();
        backlog.begin_look();
        backlog.will_be_due(later);
        backlog.end_look(true, None);
        assert_eq!(backlog.next_due, Some(later));
    }
}
