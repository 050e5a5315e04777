//! The brain of one endpoint: decides what may be sent to it now. Pure: time and chance are handed in.
//!
//! Four judges, in this order: is it *open* at all (disabled, deleted), the *gate* that the receiver
//! closed itself by Retry-After, the *breaker*, the *window*. The *limiter* comes last, because what
//! it grants is used up.

pub(crate) mod breaker;
mod limiter;
mod window;

use std::num::NonZeroU32;

use breaker::{Admits, Breaker, Change};
use limiter::Limiter;
use shared::domain::Endpoint;
use tokio::time::Instant;
use window::Window;

use crate::outcome::Sign;

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

/// Window, gate, breaker and limiter of one endpoint.
#[derive(Debug)]
pub(crate) struct Brain {
    window: Window,
    breaker: Breaker,
    gate: Option<Instant>,
    limiter: Option<Limiter>,
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
            window,
            breaker: Breaker::new(now),
            gate: None,
            limiter: None,
            open: true,
            proven: false,
        }
    }

    /// Takes over what the endpoint's configuration says.
    pub(crate) fn configure(&mut self, endpoint: &Endpoint, now: Instant) {
        self.open = !endpoint.disabled;
        let limit = endpoint.rate_limit.and_then(NonZeroU32::new);
        if self.limiter.as_ref().map(Limiter::per_second) != limit {
            self.limiter = limit.map(|per_second| Limiter::new(per_second, now));
        }
    }

    /// What it wants now. The limiter is not asked: see [`Brain::start`].
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

    /// Starts an attempt that [`Brain::wants`] allowed, or says when the limiter will.
    pub(crate) fn start(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(limiter) = &self.limiter {
            limiter.take(now)?;
        }
        self.window.start();
        self.breaker.start();
        Ok(())
    }

    /// An attempt that was started will not be made.
    pub(crate) fn give_back(&mut self) {
        self.window.give_back();
        self.breaker.unknown();
    }

    /// An attempt ended. `jitter` lies in 0.0..1.0.
    pub(crate) fn ended(&mut self, sign: Sign, now: Instant, jitter: f64) -> Option<Change> {
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

    /// How many deliveries are worth holding: what the window can take soon. More than that is
    /// better off waiting in the store.
    pub(crate) fn appetite(&self) -> usize {
        2 * self.window.size() + 8
    }

    /// Whether forgetting it loses nothing that matters seconds later: a limiter has none of that.
    pub(crate) fn is_idle(&self) -> bool {
        self.window.in_flight() == 0 && self.breaker.is_closed() && self.gate.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TOP: usize = 64;

    fn brain(now: Instant) -> Brain {
        Brain::new(TOP, false, now)
    }

    #[test]
    fn a_receiver_that_names_a_time_closes_the_endpoint_until_then() {
        let now = Instant::now();
        let mut brain = brain(now);
        brain.start(now).unwrap();
        brain.ended(Sign::BusyUntil(Duration::from_secs(3)), now, 0.5);
        let until = now + Duration::from_secs(3);
        assert_eq!(brain.wants(now), Wants::Until(until));
        assert!(matches!(brain.wants(until), Wants::Now(_)));
    }

    #[test]
    fn a_shorter_time_does_not_open_the_gate_earlier() {
        let now = Instant::now();
        let mut brain = brain(now);
        for seconds in [3, 1] {
            brain.start(now).unwrap();
            brain.ended(Sign::BusyUntil(Duration::from_secs(seconds)), now, 0.5);
        }
        assert_eq!(brain.wants(now), Wants::Until(now + Duration::from_secs(3)));
    }

    #[test]
    fn a_refusal_is_an_answer_the_receiver_is_up() {
        let now = Instant::now();
        let mut brain = brain(now);
        for _ in 0..100 {
            brain.start(now).unwrap();
            brain.ended(Sign::Refusal, now, 0.5);
        }
        assert!(matches!(brain.wants(now), Wants::Now(_)));
        assert!(!brain.is_proven());
    }

    #[test]
    fn a_dead_receiver_opens_the_breaker_and_recovers_one_by_one() {
        let now = Instant::now();
        let mut brain = brain(now);
        for _ in 0..10 {
            brain.start(now).unwrap();
            brain.ended(Sign::Down, now, 0.5);
        }
        let Wants::Until(until) = brain.wants(now) else { panic!("the breaker is closed") };
        assert_eq!(brain.wants(until), Wants::Now(1));
        brain.start(until).unwrap();
        assert_eq!(brain.wants(until), Wants::AfterAttempt);
        assert_eq!(brain.ended(Sign::Good, until, 0.5), Some(Change::Closed));
        assert_eq!(brain.wants(until), Wants::Now(1));
    }

    #[test]
    fn a_full_window_waits_for_an_attempt_to_end() {
        let now = Instant::now();
        let mut brain = Brain::new(TOP, true, now);
        brain.start(now).unwrap();
        assert_eq!(brain.wants(now), Wants::AfterAttempt);
        brain.give_back();
        assert_eq!(brain.wants(now), Wants::Now(1));
    }

    #[test]
    fn a_changed_limit_holds_at_once_and_an_unchanged_one_keeps_its_state() {
        let now = Instant::now();
        let mut brain = brain(now);
        let mut endpoint: Endpoint = serde_json::from_value(serde_json::json!({
            "id": shared::id::EndpointId::new(), "url": "https://example.com/", "version": 1,
            "secrets": [], "created_at": 0, "updated_at": 0, "rate_limit": 1,
        }))
        .unwrap();
        brain.configure(&endpoint, now);
        brain.start(now).unwrap();
        brain.configure(&endpoint, now);
        assert!(brain.start(now).is_err());
        endpoint.rate_limit = None;
        brain.configure(&endpoint, now);
        assert!(brain.start(now).is_ok());
        endpoint.disabled = true;
        brain.configure(&endpoint, now);
        assert_eq!(brain.wants(now), Wants::AfterChange);
    }
}
