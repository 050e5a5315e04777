//! A seat: what a lane knows of one endpoint that has work, or had some a moment ago. What its queues
//! hold, it knows of each [`Backlog`] apart; what may be sent now, its brain knows for all of them.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
    time::Duration,
};

use shared::{
    domain::{ServingState, Strand},
    store::Version,
    time::Millis,
};
use tokio::time::Instant;

use super::{
    backlog::{Backlog, Ready},
    pacing::Primed,
    turns::Share,
};
use crate::{
    brain::{Brain, Moment, Wants},
    destinations::{Class, Rates},
    routes::Route,
};

/// A seat without work is kept this long, so that its window need not grow anew.
const KEPT: Duration = Duration::from_secs(10);
/// What could be held but was not started for so long is parked: it must not pin the stream.
const LONGEST_READY: Duration = Duration::from_secs(1);
/// Of so many attempts, at least one is a replay if there is something to replay.
const REPLAY_SHARE: u32 = 16;

/// One endpoint.
pub(super) struct Seat {
    pub(super) brain: Brain,
    pub(super) configuration: Configuration,
    /// Kept only where it names limits: they change without it.
    pub(super) route: Option<Arc<Route>>,
    /// The limits that it shares with others, if there are any.
    pub(super) share: Option<Share>,
    /// Which one it is, once one is known.
    version: Option<Version>,
    /// When the endpoint was enabled last, as far as is known.
    enabled_at: Option<Millis>,
    /// It is being disabled.
    pub(super) disabling: bool,
    live: Backlog,
    /// Its other strands, as far as they have work.
    others: BTreeMap<Strand, Backlog>,
    /// Which strand was served last, replays aside.
    served: Strand,
    /// How many deliveries of other strands were taken since the last replay.
    since_replay: u32,
    /// Prepared: they start when the limits allow it, in this order.
    pub(super) primed: VecDeque<Primed>,
    /// When lines about its breaker, and about an attempt that failed, were last logged.
    pub(super) logged: Option<Instant>,
    pub(super) failure_logged: Option<Instant>,
    /// When what its brain knows was last written down.
    pub(super) remembered: Option<Instant>,
    pub(super) timer: Option<Instant>,
    /// It stands in the queue for credits.
    pub(super) hungry: bool,
    /// When something was last started, or came to be ready while nothing was.
    pub(super) touched: Instant,
    /// Attempts that ended since the last report, by class…
    pub(super) ended: [u32; Class::ALL.len()],
    /// …and how many a second there were lately.
    pub(super) rates: Rates,
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
            route: None,
            share: None,
            version: None,
            enabled_at: None,
            disabling: false,
            live: Backlog::default(),
            others: BTreeMap::new(),
            served: Strand::Live,
            since_replay: 0,
            primed: VecDeque::new(),
            logged: None,
            failure_logged: None,
            remembered: None,
            timer: None,
            hungry: false,
            touched: now,
            ended: Default::default(),
            rates: Rates::default(),
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

    /// What is known of one of its queues; made at need.
    pub(super) fn backlog(&mut self, strand: Strand) -> &mut Backlog {
        match strand {
            Strand::Live => &mut self.live,
            Strand::Replay | Strand::Ordered(_) => {
                self.others.entry(strand).or_insert_with(|| Backlog::new(strand))
            }
        }
    }

    /// The same, if something is known of it.
    pub(super) fn known_backlog(&mut self, strand: Strand) -> Option<&mut Backlog> {
        match strand {
            Strand::Live => Some(&mut self.live),
            Strand::Replay | Strand::Ordered(_) => self.others.get_mut(&strand),
        }
    }

    /// All its queues of which something is known.
    pub(super) fn backlogs(&self) -> impl Iterator<Item = (Strand, &Backlog)> {
        let others = self.others.iter().map(|(strand, backlog)| (*strand, backlog));
        std::iter::once((Strand::Live, &self.live)).chain(others)
    }

    /// The same, to be changed.
    pub(super) fn backlogs_mut(&mut self) -> impl Iterator<Item = &mut Backlog> {
        std::iter::once(&mut self.live).chain(self.others.values_mut())
    }

    /// Whether what arrives from the stream is worth holding: it will be sent soon, and nothing waits
    /// before it. Otherwise it is parked, as all is that is not to be sent as it comes.
    pub(super) fn takes_arrivals(&mut self, strand: Strand, now: Instant) -> bool {
        strand == Strand::Live
            && !self.live.is_before_arrivals()
            && self.live.ready.len() < self.brain.appetite()
            && matches!(self.brain.wants(now), Wants::Now(_) | Wants::AfterAttempt)
    }

    pub(super) fn push(&mut self, ready: Ready, now: Instant) {
        if self.backlogs().all(|(_, backlog)| backlog.ready.is_empty()) {
            self.touched = now;
        }
        self.backlog(ready.delivery.strand).push(ready);
    }

    /// The strand that is to be served next, of those that have something ready: live work by turns,
    /// replays from what it leaves over, or when it is their turn at last.
    pub(super) fn choose(&self, now: Instant) -> Option<Strand> {
        let is_ready = |(strand, backlog): (&Strand, &Backlog)| {
            (*strand != Strand::Replay && !backlog.ready.is_empty()).then_some(*strand)
        };
        let replay = self.others.get(&Strand::Replay).is_some_and(|it| !it.ready.is_empty());
        if replay && (self.since_replay + 1 >= REPLAY_SHARE || !self.has_live_work(now)) {
            return Some(Strand::Replay);
        }
        let later = || self.others.range((Excluded(self.served), Unbounded)).find_map(is_ready);
        let live = || is_ready((&Strand::Live, &self.live));
        later().or_else(live).or_else(|| self.others.iter().find_map(is_ready))
    }

    /// Takes what is ready of this strand.
    pub(super) fn take(&mut self, strand: Strand) -> Option<Ready> {
        if strand == Strand::Replay {
            self.since_replay = 0;
        } else {
            self.since_replay = self.since_replay.saturating_add(1);
            self.served = strand;
        }
        self.backlog(strand).take()
    }

    /// Takes all that is ready.
    pub(super) fn take_all(&mut self) -> Vec<Ready> {
        self.backlogs_mut().flat_map(|backlog| mem::take(&mut backlog.ready)).collect()
    }

    /// Whether there may be work now that comes before replays. What a look under way has not shown
    /// yet counts: a replay is not to slip in between two pages of a great backlog.
    fn has_live_work(&self, now: Instant) -> bool {
        let mut live = self.backlogs().filter(|(strand, _)| *strand != Strand::Replay);
        live.any(|(_, backlog)| backlog.has_work(now))
    }

    /// Forgets queues of which nothing is known any more.
    pub(super) fn forget_idle_queues(&mut self) {
        self.others.retain(|_, backlog| !backlog.is_idle());
    }

    /// Whether something that could be started has been in the stream for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        now.duration_since(self.touched) > LONGEST_READY
            && self.backlogs().any(|(_, backlog)| backlog.pins_the_stream())
    }

    /// Whether it has something to serve, and nothing will remind of it.
    pub(super) fn is_quiet(&self) -> bool {
        !self.is_empty()
            && self.timer.is_none()
            && !self.hungry
            && !self.backlogs().any(|(_, backlog)| backlog.looking)
    }

    /// Whether nothing is to be served, now or later.
    pub(super) fn is_empty(&self) -> bool {
        self.primed.is_empty() && self.backlogs().all(|(_, backlog)| backlog.is_idle())
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.is_empty()
            && !self.hungry
            && !self.disabling
            && (self.brain.is_idle(now) || self.configuration == Configuration::Deleted)
            && now.duration_since(self.touched) > KEPT
    }
}

#[cfg(test)]
#[path = "seat_tests.rs"]
pub(super) mod tests;
