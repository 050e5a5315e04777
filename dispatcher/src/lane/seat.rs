//! A seat: what a lane knows of one endpoint that has work, or had some a moment ago.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use shared::{
    domain::{Delivery, ServingState},
    store::{Place, Version},
    time::Millis,
};
use tokio::time::Instant;

use super::pacing::Primed;
use crate::{
    brain::{Brain, Moment, Wants},
    routes::Route,
};

/// A seat without work is kept this long, so that its window need not grow anew.
const KEPT: Duration = Duration::from_secs(10);

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

/// One endpoint.
pub(super) struct Seat {
    pub(super) brain: Brain,
    pub(super) configuration: Configuration,
    /// Which one it is, once one is known.
    version: Option<Version>,
    /// When the endpoint was enabled last, as far as is known.
    enabled_at: Option<Millis>,
    /// It is being disabled.
    pub(super) disabling: bool,
    /// To be prepared next, in this order.
    pub(super) ready: VecDeque<Ready>,
    /// Prepared: they start when the limits allow it, in this order.
    pub(super) primed: VecDeque<Primed>,
    /// When what its brain knows was last written down.
    pub(super) remembered: Option<Instant>,
    /// The waiting set may hold parked work that is not in hand: what arrives must queue behind it.
    pub(super) parked: bool,
    /// Parks that are not answered yet.
    pub(super) parking: usize,
    /// When the earliest retry that is not in hand is due.
    pub(super) next_due: Option<Instant>,
    /// A look into the waiting set is wanted or under way.
    pub(super) looking: bool,
    /// Let go since that look began: its page may still show them.
    pub(super) departed: HashSet<Delivery>,
    /// Parked, or put back, since that look began: its page may not show them, or not let them be taken.
    parked_meanwhile: bool,
    /// The earliest retry that was written down since that look began: likewise.
    due_meanwhile: Option<Instant>,
    /// How many are in hand…
    pub(super) held: usize,
    /// …and how many of these have their place in the waiting set.
    pub(super) held_waiting: usize,
    pub(super) timer: Option<Instant>,
    /// It stands in the queue for credits.
    pub(super) hungry: bool,
    /// When something was last started, or came to be ready while nothing was.
    pub(super) touched: Instant,
}

/// What is known of the endpoint's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Configuration {
    Unknown,
    Asked,
    Known,
    /// The endpoint was deleted.
    Deleted,
}

impl Seat {
    pub(super) fn new(top: usize, careful: bool, now: Instant) -> Self {
        Self {
            brain: Brain::new(top, careful, now),
            configuration: Configuration::Unknown,
            version: None,
            enabled_at: None,
            disabling: false,
            ready: VecDeque::new(),
            primed: VecDeque::new(),
            remembered: None,
            parked: false,
            parking: 0,
            next_due: None,
            looking: false,
            departed: HashSet::new(),
            parked_meanwhile: false,
            due_meanwhile: None,
            held: 0,
            held_waiting: 0,
            timer: None,
            hungry: false,
            touched: now,
        }
    }

    /// Takes over the endpoint's configuration; `None`: it was deleted.
    pub(super) fn configure(&mut self, route: Option<&Route>, now: Instant) {
        match route {
            Some(route) => {
                self.brain.configure(&route.endpoint, now);
                self.brain.set_open(route.open);
                let enabled_at = route.endpoint.enabled_at();
                if self.version.is_some() && enabled_at.is_some() && enabled_at != self.enabled_at {
                    self.brain.forgive(now);
                }
                self.enabled_at = enabled_at;
                self.configuration = Configuration::Known;
                self.version = Some(route.version);
            }
            None => self.configuration = Configuration::Deleted,
        }
    }

    /// Goes on from what an owner before has remembered.
    pub(super) fn restore(&mut self, state: &ServingState, careful: bool, moment: Moment) {
        let is_forgiven = self.enabled_at.is_some_and(|enabled_at| state.at < enabled_at);
        self.brain.restore(state, careful, moment);
        if is_forgiven {
            self.brain.forgive(moment.now);
        }
    }

    /// Takes over that the endpoint is closed, as it was found on the way; unless more is known.
    pub(super) fn close(&mut self, route: &Route, now: Instant) {
        let is_news = self.version.is_none_or(|version| version < route.version);
        if is_news && self.configuration == Configuration::Known {
            self.configure(Some(route), now);
        }
    }

    /// Whether it must be asked for again when the store is another one: what closed it may be undone,
    /// and nobody says so.
    pub(super) fn doubt_closed(&mut self) {
        if self.configuration == Configuration::Known && !self.brain.is_open() {
            self.configuration = Configuration::Unknown;
        }
    }

    /// Whether its configuration was loaded, and with it what was remembered of it.
    pub(super) fn is_configured(&self) -> bool {
        match self.configuration {
            Configuration::Known | Configuration::Deleted => true,
            Configuration::Unknown | Configuration::Asked => false,
        }
    }

    /// Whether what arrives from the stream is worth holding: it will be sent soon, and nothing waits
    /// before it. Otherwise it is parked.
    pub(super) fn takes_arrivals(&mut self, now: Instant) -> bool {
        !self.parked
            && self.parking == 0
            && self.ready.len() < self.brain.appetite()
            && matches!(self.brain.wants(now), Wants::Now(_) | Wants::AfterAttempt)
    }

    pub(super) fn push(&mut self, ready: Ready, now: Instant) {
        if self.ready.is_empty() {
            self.touched = now;
        }
        self.held += 1;
        self.held_waiting += usize::from(ready.place == Place::Waiting);
        self.ready.push_back(ready);
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

    /// The waiting set may hold work that is not in hand, and that a look under way may not show.
    pub(super) fn look_again(&mut self) {
        self.parked = true;
        self.parked_meanwhile = true;
    }

    /// A look into the waiting set begins.
    pub(super) fn begin_look(&mut self) {
        self.looking = true;
        self.departed.clear();
        self.parked_meanwhile = false;
        self.due_meanwhile = None;
    }

    /// A look ended: `next` is when the earliest retry is due that it did not show.
    pub(super) fn end_look(&mut self, all_parked_seen: bool, next: Option<Instant>) {
        self.looking = false;
        self.departed.clear();
        // All that is parked is in hand now. Parks that are under way say so when they are answered: to
        // look for them before would only be to look again and again.
        if all_parked_seen && !self.parked_meanwhile {
            self.parked = false;
        }
        self.next_due = [next, self.due_meanwhile].into_iter().flatten().min();
    }

    /// Whether there may be work in the waiting set that can be served now.
    pub(super) fn has_waiting_work(&self, now: Instant) -> bool {
        self.parked || self.next_due.is_some_and(|due| due <= now)
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.held == 0
            && !self.parked
            && self.parking == 0
            && self.next_due.is_none()
            && !self.looking
            && !self.hungry
            && !self.disabling
            && (self.brain.is_idle(now) || self.configuration == Configuration::Deleted)
            && now.duration_since(self.touched) > KEPT
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        domain::Generation,
        id::{AppId, EndpointId, MessageId},
    };

    use super::*;

    fn ready() -> Ready {
        let delivery = Delivery {
            app: AppId::new(),
            endpoint: EndpointId::new(),
            message: MessageId::new(),
            generation: Generation(0),
        };
        Ready { delivery, place: Place::Waiting, attempts: 0, steps: 0 }
    }

    #[test]
    fn a_seat_without_work_is_forgotten_also_where_it_is_limited_or_deleted() {
        let now = Instant::now();
        let later = now + 2 * KEPT;
        let limited: shared::domain::Endpoint = serde_json::from_value(serde_json::json!({
            "id": EndpointId::new(), "url": "https://example.com/", "version": 1,
            "secrets": [], "created_at": 0, "updated_at": 0, "rate_limit": 1,
        }))
        .unwrap();
        let mut seat = Seat::new(64, false, now);
        seat.brain.configure(&limited, now);
        assert!(!seat.is_idle(now) && seat.is_idle(later));
        for _ in 0..10 {
            seat.brain.ended(crate::outcome::Sign::Down, later, 0.5);
        }
        assert!(!seat.is_idle(later + 2 * KEPT), "its breaker is open");
        seat.configure(None, later);
        assert!(seat.is_idle(later + 2 * KEPT));
    }

    #[test]
    fn what_failed_before_an_endpoint_was_enabled_is_forgiven() {
        let moment = Moment::now();
        let state = ServingState {
            at: Millis(moment.wall.0 - 1000),
            failing_since: Some(Millis(moment.wall.0 - 2000)),
            failures: 5,
            ..ServingState::default()
        };
        for (enabled_at, is_failing) in
            [(None, true), (Some(moment.wall), false), (Some(Millis(state.at.0 - 1)), true)]
        {
            let mut seat = Seat::new(64, false, moment.now);
            seat.enabled_at = enabled_at;
            seat.restore(&state, false, moment);
            let failing = seat.brain.has_failed_for(Duration::from_secs(1), moment.now);
            assert_eq!(failing, is_failing, "{enabled_at:?}");
        }
    }

    #[test]
    fn what_is_put_back_during_a_look_is_looked_for_again() {
        let now = Instant::now();
        let mut seat = Seat::new(64, false, now);
        let ready = ready();
        seat.push(ready, now);
        seat.look_again();
        seat.begin_look();
        seat.let_go(ready.delivery, ready.place);
        seat.look_again();
        // The page may show it, but it departed: it cannot be told from what was settled.
        assert!(seat.departed.contains(&ready.delivery));
        seat.end_look(true, None);
        assert!(seat.has_waiting_work(now));
        assert!(!seat.is_idle(now + 2 * KEPT));
    }

    #[test]
    fn a_park_under_way_is_no_reason_to_look_again() {
        let now = Instant::now();
        let mut seat = Seat::new(64, false, now);
        seat.look_again();
        seat.parking = 1;
        seat.begin_look();
        seat.end_look(true, None);
        assert!(!seat.has_waiting_work(now));
        assert!(!seat.takes_arrivals(now), "it would overtake what is being parked");
    }

    #[test]
    fn all_that_was_parked_is_in_hand_after_a_look_that_saw_all() {
        let now = Instant::now();
        let mut seat = Seat::new(64, false, now);
        seat.look_again();
        seat.begin_look();
        seat.end_look(false, None);
        assert!(seat.has_waiting_work(now));
        seat.begin_look();
        seat.end_look(true, None);
        assert!(!seat.has_waiting_work(now) && seat.takes_arrivals(now));
    }

    #[test]
    fn a_retry_written_down_during_a_look_counts() {
        let now = Instant::now();
        let mut seat = Seat::new(64, false, now);
        seat.begin_look();
        seat.will_be_due(now + KEPT);
        seat.end_look(true, None);
        assert_eq!(seat.next_due, Some(now + KEPT));
    }
}
