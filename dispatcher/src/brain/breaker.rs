//! The circuit breaker: closed, open, half-open.
//!
//! ```text
//!            10 failures in a row, or half
//!            of at least 20 within 60 s
//!   closed ───────────────────────────────▶ open
//!     ▲                                    ▲   │ backoff is over
//!     │ the probe succeeds    probe fails  │   ▼
//!     └──────────────────────────────── half-open
//! ```
//!
//! Only what shows that the receiver is down counts as failure: connect errors, timeouts, 5xx. While
//! it is open nothing is sent and no attempt is used up. Half-open admits exactly one probe.

use std::time::Duration;

use tokio::time::Instant;

const IN_A_ROW: u32 = 10;
const SAMPLE: u32 = 20;
const SAMPLE_AGE: Duration = Duration::from_secs(60);
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
/// More than it takes to reach the longest backoff.
const MOST_OPENINGS: u32 = 16;

/// What a breaker knows of its endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    state: State,
    /// How often it opened since the last success: the exponent of the backoff.
    openings: u32,
}

#[derive(Debug, Clone)]
enum State {
    Closed(Sample),
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// Attempts since `since`; starts anew once it is [`SAMPLE_AGE`] old.
#[derive(Debug, Clone)]
struct Sample {
    since: Instant,
    attempts: u32,
    failures: u32,
    in_a_row: u32,
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admits {
    /// As many as other limits allow.
    All,
    /// One: the probe.
    One,
    /// None before this time.
    Until(Instant),
    /// None before the probe has ended.
    AfterProbe,
}

/// A change of state that somebody should hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Opened,
    Closed,
}

impl Breaker {
    pub(crate) fn new(now: Instant) -> Self {
        Self { state: State::Closed(Sample::new(now)), openings: 0 }
    }

    /// What may start now.
    pub(crate) fn admits(&mut self, now: Instant) -> Admits {
        match self.state {
            State::Closed(_) => Admits::All,
            State::Open { until } if now < until => Admits::Until(until),
            State::Open { .. } => {
                self.state = State::HalfOpen { probing: false };
                Admits::One
            }
            State::HalfOpen { probing: false } => Admits::One,
            State::HalfOpen { probing: true } => Admits::AfterProbe,
        }
    }

    /// An attempt starts.
    pub(crate) fn start(&mut self) {
        if let State::HalfOpen { probing } = &mut self.state {
            *probing = true;
        }
    }

    /// An attempt was given back before it was made, or ended without telling whether the receiver is
    /// up.
    pub(crate) fn unknown(&mut self) {
        if let State::HalfOpen { probing } = &mut self.state {
            *probing = false;
        }
    }

    /// The receiver answered.
    pub(crate) fn success(&mut self, now: Instant) -> Option<Change> {
        match &mut self.state {
            State::Closed(sample) => {
                sample.count(now, false);
                None
            }
            // A late answer to what was sent before it opened is no probe.
            State::Open { .. } => None,
            State::HalfOpen { .. } => {
                *self = Self::new(now);
                Some(Change::Closed)
            }
        }
    }

    /// The receiver is down. `jitter` lies in 0.0..1.0.
    pub(crate) fn failure(&mut self, now: Instant, jitter: f64) -> Option<Change> {
        match &mut self.state {
            State::Closed(sample) => {
                sample.count(now, true);
                if !sample.is_bad() {
                    return None;
                }
                self.open(now, jitter);
                Some(Change::Opened)
            }
            State::Open { .. } => None,
            State::HalfOpen { .. } => {
                self.open(now, jitter);
                None
            }
        }
    }

    /// Whether it lets all through.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// How often it opened since the last success.
    pub(crate) fn openings(&self) -> u32 {
        self.openings
    }

    /// When it lets a probe through; `None` if it is closed.
    pub(crate) fn opens_until(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Closed(_) => None,
            State::Open { until } => Some(until),
            State::HalfOpen { .. } => Some(now),
        }
    }

    /// A breaker that was open in another process.
    pub(crate) fn restored(until: Instant, openings: u32) -> Self {
        Self { state: State::Open { until }, openings: openings.min(MOST_OPENINGS) }
    }

    fn open(&mut self, now: Instant, jitter: f64) {
        let backoff = FIRST_BACKOFF
            .saturating_mul(1u32.checked_shl(self.openings).unwrap_or(u32::MAX))
            .min(LONGEST_BACKOFF);
        self.openings = (self.openings + 1).min(MOST_OPENINGS);
        self.state = State::Open { until: now + backoff.mul_f64(0.8 + 0.4 * jitter) };
    }
}

impl Sample {
    fn new(now: Instant) -> Self {
        Self { since: now, attempts: 0, failures: 0, in_a_row: 0 }
    }

    fn count(&mut self, now: Instant, failed: bool) {
        if now.duration_since(self.since) > SAMPLE_AGE {
            *self = Self { in_a_row: self.in_a_row, ..Self::new(now) };
        }
        self.attempts += 1;
        self.failures += u32::from(failed);
        self.in_a_row = if failed { self.in_a_row + 1 } else { 0 };
    }

    fn is_bad(&self) -> bool {
        self.in_a_row >= IN_A_ROW || (self.attempts >= SAMPLE && self.failures * 2 >= self.attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(now);
        for n in 1..IN_A_ROW {
            assert_eq!(breaker.failure(now, 0.5), None, "failure {n}");
        }
        assert_eq!(breaker.failure(now, 0.5), Some(Change::Opened));
        breaker
    }

    #[test]
    fn opens_after_ten_failures_in_a_row() {
        let now = Instant::now();
        assert_eq!(opened(now).admits(now), Admits::Until(now + FIRST_BACKOFF));
    }

    #[test]
    fn a_success_starts_the_row_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        for _ in 0..9 {
            breaker.failure(now, 0.5);
        }
        breaker.success(now);
        assert_eq!(breaker.failure(now, 0.5), None);
        assert_eq!(breaker.admits(now), Admits::All);
    }

    #[test]
    fn opens_when_half_of_twenty_fail_within_the_sample() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        let mut changes = Vec::new();
        for _ in 0..10 {
            breaker.success(now);
            changes.extend(breaker.failure(now, 0.5));
        }
        assert_eq!(changes, [Change::Opened]);
    }

    #[test]
    fn what_is_older_than_the_sample_is_forgotten() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        for _ in 0..9 {
            breaker.success(now);
            breaker.failure(now, 0.5);
        }
        let later = now + SAMPLE_AGE + Duration::from_secs(1);
        breaker.success(later);
        assert_eq!(breaker.failure(later, 0.5), None);
    }

    #[test]
    fn half_open_admits_exactly_one_probe() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + FIRST_BACKOFF;
        assert_eq!(breaker.admits(later), Admits::One);
        breaker.start();
        assert_eq!(breaker.admits(later), Admits::AfterProbe);
        assert_eq!(breaker.success(later), Some(Change::Closed));
        assert_eq!(breaker.admits(later), Admits::All);
    }

    #[test]
    fn a_probe_that_was_given_back_can_be_made_again() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + FIRST_BACKOFF;
        breaker.admits(later);
        breaker.start();
        breaker.unknown();
        assert_eq!(breaker.admits(later), Admits::One);
    }

    #[test]
    fn the_backoff_doubles_up_to_five_minutes() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            let until = now + Duration::from_secs(seconds);
            assert_eq!(breaker.admits(now), Admits::Until(until));
            now = until;
            breaker.admits(now);
            breaker.start();
            assert_eq!(breaker.failure(now, 0.5), None);
        }
    }

    #[test]
    fn late_answers_change_nothing_while_it_is_open() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.success(now), None);
        assert_eq!(breaker.failure(now, 0.5), None);
        assert_eq!(breaker.admits(now), Admits::Until(now + FIRST_BACKOFF));
    }
}
