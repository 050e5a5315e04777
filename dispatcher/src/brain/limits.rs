//! The limits of one endpoint: an attempt starts once all of them grant it.

use std::{num::NonZeroU32, time::Duration};

use shared::domain::{Endpoint, Limit, LimitState};
use tokio::time::Instant;

use super::{limiter::Limiter, moment::Moment};

/// A body is read, and a credit taken, this long before the attempt may start: reading it takes a
/// round trip to the store, which must not show in the times at which attempts start.
pub(crate) const LEAD: Duration = Duration::from_millis(20);

/// The limiters, each with its state. Empty for an endpoint without limits.
#[derive(Debug, Default)]
pub(super) struct Limits(Vec<Limiter>);

/// All limits that an endpoint's configuration names.
fn configured(endpoint: &Endpoint) -> impl Iterator<Item = Limit> {
    let rate = endpoint.rate_limit.and_then(NonZeroU32::new).map(Limit::per_second);
    rate.into_iter().chain(endpoint.settings.limits.iter().copied())
}

impl Limits {
    /// Takes over what the configuration says. What was granted before still counts.
    pub(super) fn configure(&mut self, endpoint: &Endpoint, now: Instant) {
        if configured(endpoint).eq(self.0.iter().map(Limiter::limit)) {
            return;
        }
        let new = configured(endpoint).map(|limit| Limiter::new(limit, now)).collect();
        let old = std::mem::replace(&mut self.0, new);
        let arrivals: Vec<_> = old.iter().map(|old| (old.limit(), old.arrival())).collect();
        self.go_on(&arrivals, now);
    }

    /// Goes on from what an owner before has granted.
    pub(super) fn restore(&mut self, before: &[LimitState], moment: Moment) {
        let arrivals: Vec<_> =
            before.iter().map(|before| (before.limit, moment.instant(before.arrival))).collect();
        self.go_on(&arrivals, moment.now);
    }

    /// As if they had been used up to now.
    pub(super) fn use_up(&mut self, now: Instant) {
        for limiter in &self.0 {
            limiter.go_on(limiter.used_up(now), now);
        }
    }

    /// A limit goes on from its own arrival time; one that is new, or was changed, from the latest of
    /// all, so that a change is no free burst.
    fn go_on(&self, before: &[(Limit, Instant)], now: Instant) {
        let latest = before.iter().map(|(_, arrival)| *arrival).max();
        for limiter in &self.0 {
            let own = before.iter().find(|(limit, _)| *limit == limiter.limit());
            if let Some(arrival) = own.map(|(_, arrival)| *arrival).or(latest) {
                limiter.go_on(arrival, now);
            }
        }
    }

    /// Takes an attempt from each, or says when all of them will have one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.ask(now)?;
        self.0.iter().for_each(Limiter::take);
        Ok(())
    }

    /// Whether all of them would grant an attempt now, and if not, when.
    pub(super) fn ask(&self, now: Instant) -> Result<(), Instant> {
        self.0.iter().filter_map(|limiter| limiter.ask(now).err()).max().map_or(Ok(()), Err)
    }

    /// How many attempts may be prepared: as many as start within [`LEAD`], and the next.
    pub(super) fn ahead(&self) -> usize {
        let pause = self.0.iter().map(Limiter::pause).max().unwrap_or_default();
        (LEAD.as_nanos() / pause.as_nanos().max(1)) as usize + 1
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing is used up, so that forgetting them loses nothing.
    pub(super) fn are_full(&self, now: Instant) -> bool {
        self.0.iter().all(|limiter| limiter.arrival() <= now)
    }

    /// What to remember.
    pub(super) fn state(&self, moment: Moment) -> Vec<LimitState> {
        let state = |limiter: &Limiter| LimitState {
            limit: limiter.limit(),
            arrival: moment.millis(limiter.arrival()),
            next: moment.millis(limiter.ask(moment.now).err().unwrap_or(moment.now)),
        };
        self.0.iter().map(state).collect()
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
