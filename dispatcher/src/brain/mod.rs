//! The brain of one endpoint: decides what may be sent to it now. Pure: time and chance are handed in.
//!
//! Four judges, in this order: is it *open* at all (not disabled, not paused), the *gate* that the receiver
//! closed itself by Retry-After, the *breaker*, the *window*. The *limits* come last, because what
//! they grant is used up: when the attempt starts, and not when it is prepared.

pub(crate) mod breaker;
mod limiter;
mod limits;
mod moment;
mod window;

use std::time::Duration;

use breaker::{Admits, Breaker, Change};
pub(crate) use limits::LEAD;
use limits::Limits;
pub(crate) use moment::Moment;
use shared::{
    domain::{Endpoint, OpenBreaker, ServingState},
    time::Millis,
};
use tokio::time::Instant;
use window::Window;

use crate::outcome::Sign;

/// Fewer failures than this prove nothing, however long the first one is ago.
const LEAST_FAILURES: u32 = 5;
/// How much the receiver could take tells something about now for so long.
const FRESH: Duration = Duration::from_secs(60);

/// What an endpoint wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// So many attempts, at least one.
    Now(usize),
    /// None before one of those in flight has ended.
    AfterAttempt,
    /// None before this time.
    Until(Instant),
    /// None before its configuration changes.
    AfterChange,
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// Somebody wants it so.
    Closed,
    /// The receiver asked for nothing before this time.
    Gate(Instant),
    /// The breaker is open until then, or half-open if that is over.
    Breaker(Instant),
}

/// Whether the limits allow to prepare one more attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Yes.
    Now,
    /// Not before this time: what is prepared holds a credit.
    Until(Instant),
    /// Not before one that is prepared has started.
    AfterStart,
}

/// What has changed that the lane's next owner should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum News {
    /// Nothing.
    None,
    /// Limits were used.
    Used,
    /// Gate or breaker.
    Changed,
}

/// Window, gate, breaker and limits of one endpoint.
#[derive(Debug)]
pub(crate) struct Brain {
    /// What the window may grow to where the endpoint does not say less.
    top: usize,
    window: Window,
    breaker: Breaker,
    gate: Option<Instant>,
    limits: Limits,
    /// Attempts that are prepared and have not started.
    prepared: usize,
    /// The first failure after the last success.
    failing_since: Option<Instant>,
    /// How many failed since then, at most [`LEAST_FAILURES`].
    failures: u32,
    news: News,
    open: bool,
    /// Whether its last attempt succeeded. One that never succeeded shares half of the credits with
    /// all others like it.
    proven: bool,
}

impl Brain {
    /// A brain that knows nothing yet. A careful one starts with one attempt at a time.
    pub(crate) fn new(top: usize, careful: bool, now: Instant) -> Self {
        let window = if careful { Window::careful(top) } else { Window::new(top) };
        Self {
            top,
            window,
            breaker: Breaker::new(now),
            gate: None,
            limits: Limits::default(),
            prepared: 0,
            failing_since: None,
            failures: 0,
            news: News::None,
            open: true,
            proven: false,
        }
    }

    /// Takes over what the endpoint's configuration says.
    pub(crate) fn configure(&mut self, endpoint: &Endpoint, now: Instant) {
        let cap = endpoint.settings.concurrency.map_or(self.top, |cap| cap.get() as usize);
        self.window.set_top(cap.min(self.top));
        self.limits.configure(endpoint, now);
    }

    /// Nothing is sent while it is closed.
    pub(crate) fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    /// Whether something may be sent at all.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Goes on from what an owner before has remembered. After an unclean takeover nobody knows what
    /// was started since: the limits count as used up to now, and the window starts anew. After a clean
    /// one of a moment ago the endpoint is served on as if nothing had happened.
    pub(crate) fn restore(&mut self, state: &ServingState, unclean: bool, moment: Moment) {
        self.gate = state.gate.map(|gate| moment.instant(gate));
        self.failing_since = state.failing_since.map(|since| moment.instant(since));
        self.failures = state.failures.min(LEAST_FAILURES);
        if let Some(OpenBreaker { until, openings }) = state.breaker {
            self.breaker = Breaker::restored(moment.instant(until), openings);
        }
        self.limits.restore(&state.limits, moment);
        if unclean {
            self.limits.use_up(moment.now);
        } else if state.window > 0 && moment.wall.since(state.at) < FRESH {
            self.window.resume(state.window);
            self.proven = self.failing_since.is_none() && self.window.has_grown();
        }
    }

    /// Forgets what failed and what was asked for: the endpoint was enabled again.
    pub(crate) fn forgive(&mut self, now: Instant) {
        self.breaker = Breaker::new(now);
        (self.gate, self.failing_since, self.failures) = (None, None, 0);
        self.news = News::Changed;
    }

    /// The first failure after the last success.
    pub(crate) fn failing_since(&self, moment: Moment) -> Option<Millis> {
        self.failing_since.map(|since| moment.millis(since))
    }

    /// Whether nothing but failures was seen for so long.
    pub(crate) fn has_failed_for(&self, time: Duration, now: Instant) -> bool {
        self.failures >= LEAST_FAILURES
            && self.failing_since.is_some_and(|since| now.duration_since(since) >= time)
    }

    /// What there is to remember.
    pub(crate) fn news(&self) -> News {
        self.news
    }

    /// Whether the next owner should know of it although there is no news: it need not find out anew
    /// how much the receiver can take.
    pub(crate) fn is_known_well(&self) -> bool {
        self.window.has_grown()
    }

    /// What the next owner needs to go on; there is no news then.
    pub(crate) fn remember(&mut self, moment: Moment) -> ServingState {
        self.news = News::None;
        let openings = self.breaker.openings();
        let until = self.breaker.opens_until(moment.now);
        ServingState {
            at: moment.wall,
            gate: self.gate.map(|gate| moment.millis(gate)),
            breaker: until.map(|until| OpenBreaker { until: moment.millis(until), openings }),
            failing_since: self.failing_since.map(|since| moment.millis(since)),
            failures: self.failures,
            window: self.window.size(),
            limits: self.limits.state(moment),
        }
    }

    /// What it wants now. The limits are not asked: see [`Brain::pace`] and [`Brain::start`].
    pub(crate) fn wants(&mut self, now: Instant) -> Wants {
        if !self.open {
            return Wants::AfterChange;
        }
        if let Some(until) = self.gate {
            if now < until {
                return Wants::Until(until);
            }
            self.gate = None;
        }
        let free = self.window.free();
        match self.breaker.admits(now) {
            Admits::Until(until) => Wants::Until(until),
            Admits::AfterProbe => Wants::AfterAttempt,
            _ if free == 0 => Wants::AfterAttempt,
            Admits::One => Wants::Now(1),
            Admits::All => Wants::Now(free),
        }
    }

    /// What keeps it from being served, limits and window aside.
    pub(crate) fn hindrance(&self, now: Instant) -> Option<Hindrance> {
        match (self.gate, self.breaker.opens_until(now)) {
            _ if !self.open => Some(Hindrance::Closed),
            (Some(until), _) if now < until => Some(Hindrance::Gate(until)),
            (_, Some(until)) => Some(Hindrance::Breaker(until)),
            (_, None) => None,
        }
    }

    /// When its own limits allow the next attempt; `None`: now.
    pub(crate) fn limited_until(&self, now: Instant) -> Option<Instant> {
        self.limits.ask(now).err()
    }

    /// Whether one more attempt may be prepared: just before the limits allow it to start.
    pub(crate) fn pace(&self, now: Instant) -> Pace {
        if self.limits.are_none() {
            return Pace::Now;
        }
        if self.prepared >= self.limits.ahead() {
            return Pace::AfterStart;
        }
        match self.limits.ask(now) {
            Err(time) if time > now + LEAD => Pace::Until(time - LEAD),
            Ok(()) | Err(_) => Pace::Now,
        }
    }

    /// An attempt that [`Brain::wants`] and [`Brain::pace`] allowed is being prepared. It counts as in
    /// flight from now on.
    pub(crate) fn prepare(&mut self) {
        self.prepared += 1;
        self.window.start();
        self.breaker.start();
    }

    /// How many more attempts its own limits allow to prepare.
    pub(crate) fn may_prepare(&self, now: Instant) -> usize {
        match self.pace(now) {
            Pace::Now if self.limits.are_none() => usize::MAX,
            Pace::Now => self.limits.ahead().saturating_sub(self.prepared),
            Pace::Until(_) | Pace::AfterStart => 0,
        }
    }

    /// Attempts that are prepared and have not started.
    pub(crate) fn prepared(&self) -> usize {
        self.prepared
    }

    /// Starts an attempt that was prepared, or says when its own limits will allow it.
    pub(crate) fn start(&mut self, now: Instant) -> Result<(), Instant> {
        if !self.limits.are_none() {
            self.limits.take(now)?;
            self.news = self.news.max(News::Used);
        }
        self.prepared = self.prepared.saturating_sub(1);
        Ok(())
    }

    /// An attempt that was prepared will not be made.
    pub(crate) fn give_back(&mut self) {
        self.prepared = self.prepared.saturating_sub(1);
        self.window.give_back();
        self.breaker.unknown();
    }

    /// An attempt ended. `jitter` lies in 0.0..1.0.
    pub(crate) fn ended(&mut self, sign: Sign, now: Instant, jitter: f64) -> Option<Change> {
        let before = self.lasting();
        let change = self.judge(sign, now, jitter);
        match sign {
            Sign::Good => (self.failing_since, self.failures) = (None, 0),
            Sign::Unknown => {}
            Sign::Refusal | Sign::Busy | Sign::BusyUntil(_) | Sign::Down => {
                self.failing_since = Some(self.failing_since.unwrap_or(now));
                self.failures = (self.failures + 1).min(LEAST_FAILURES);
            }
        }
        if self.lasting() != before {
            self.news = News::Changed;
        }
        change
    }

    /// What must be remembered at once when it changes.
    fn lasting(&self) -> impl PartialEq + use<> {
        let breaker = (self.breaker.is_closed(), self.breaker.openings());
        (self.gate, breaker, self.failing_since, self.failures)
    }

    fn judge(&mut self, sign: Sign, now: Instant, jitter: f64) -> Option<Change> {
        self.proven = sign == Sign::Good;
        match sign {
            Sign::Good => {
                self.window.good();
                let change = self.breaker.success(now);
                if change.is_some() {
                    self.window.reset();
                }
                change
            }
            Sign::Refusal => {
                self.window.neutral();
                self.breaker.success(now)
            }
            Sign::Busy => {
                self.window.overload();
                self.breaker.success(now)
            }
            Sign::BusyUntil(wait) => {
                self.window.overload();
                let until = now + wait;
                self.gate = Some(self.gate.map_or(until, |gate| gate.max(until)));
                self.breaker.success(now)
            }
            Sign::Down => {
                self.window.overload();
                self.breaker.failure(now, jitter)
            }
            Sign::Unknown => {
                self.window.neutral();
                self.breaker.unknown();
                None
            }
        }
    }

    /// Whether the last attempt succeeded.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Attempts that were prepared or started, and have not ended.
    pub(crate) fn in_flight(&self) -> usize {
        self.window.in_flight()
    }

    /// Whether it has limits.
    pub(crate) fn is_limited(&self) -> bool {
        !self.limits.are_none()
    }

    /// How many deliveries are worth holding: what the window can take soon. To hold one costs a few
    /// hundred bytes here, to park one and look for it again about as much as its delivery. More than
    /// that is better off waiting in the store.
    pub(crate) fn appetite(&self) -> usize {
        8 * self.window.size() + 8
    }

    /// Whether forgetting it loses nothing.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.window.in_flight() == 0
            && self.breaker.is_closed()
            && self.gate.is_none_or(|gate| gate <= now)
            && self.limits.are_full(now)
            && self.news == News::None
    }
}

#[cfg(test)]
mod tests;
