//! Which kill explains which duplicate.
//!
//! An attempt is *unsettled at a kill* if the sink had received it from the process that was
//! killed and its outcome was not yet stored. The sink sees the first half of that only: how many
//! requests it had received and not answered at the kill is reported as in flight. It cannot see
//! the second half, so an answered attempt counts as possibly unsettled for [`SETTLES_WITHIN`].
//! The hard bound is how many attempts the dispatcher may have in flight, because an attempt keeps
//! its place until the store agreed.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::journal::Arrival;

/// An outcome that was not settled for so long would be a fault of its own. Settling takes
/// milliseconds; a Redis that starts again delays it.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// One SIGKILL.
#[derive(Debug, Clone)]
pub struct Kill {
    /// What was killed.
    pub victim: String,
    /// Whether attempts may be left unsettled by it: a gateway makes none.
    pub explains: bool,
    /// When.
    pub at: Instant,
    /// When it was started again: what came earlier was sent before the kill.
    pub restarted: Instant,
    /// Requests that the sink had received and not answered.
    pub in_flight: usize,
    /// From the kill to the first arrival after the restart.
    pub resumed_after: Duration,
}

impl Kill {
    /// Whether this kill can have made `second` repeat `first`.
    fn explains(&self, first: Instant, second: Instant) -> bool {
        self.explains
            && first < self.restarted
            && first + SETTLES_WITHIN >= self.at
            && second >= self.at
    }
}

/// What one kill caused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repeated {
    /// Deliveries that were accepted again after it.
    pub count: usize,
    /// How long before the kill the earliest of them had been accepted.
    pub oldest: Duration,
}

/// All duplicates by what explains them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attribution {
    /// For each kill, in order.
    pub by_kill: Vec<Repeated>,
    /// Webhook-id and path of duplicates that no kill explains.
    pub unexplained: Vec<(String, String)>,
}

/// Finds the kill between each acceptance of a delivery and the next.
pub fn attribute(arrivals: &[Arrival], kills: &[Kill]) -> Attribution {
    let mut attribution =
        Attribution { by_kill: vec![Repeated::default(); kills.len()], unexplained: Vec::new() };
    let mut last = HashMap::<(&str, &str), Instant>::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.accepted()) {
        let second = arrival.received;
        let Some(first) = last.insert((&arrival.webhook_id, &arrival.path), second) else {
            continue;
        };
        match kills.iter().position(|kill| kill.explains(first, second)) {
            Some(index) => {
                let repeated = &mut attribution.by_kill[index];
                repeated.count += 1;
                let age = kills[index].at.saturating_duration_since(first);
                repeated.oldest = repeated.oldest.max(age);
            }
            None => attribution
                .unexplained
                .push((arrival.webhook_id.to_string(), arrival.path.to_string())),
        }
    }
    attribution
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::BodyHash;

    fn arrivals(start: Instant, millis: &[u64]) -> Vec<Arrival> {
        let accepted = |millis: &u64| Arrival {
            webhook_id: "msg_1".into(),
            path: "/ok".into(),
            sha256: BodyHash::of(b""),
            attempt: 1,
            status: 200,
            received: start + Duration::from_millis(*millis),
        };
        millis.iter().map(accepted).collect()
    }

    fn kill(start: Instant, millis: u64) -> Kill {
        let at = start + Duration::from_millis(millis);
        Kill {
            victim: "dispatcher".into(),
            explains: true,
            at,
            restarted: at + Duration::from_millis(100),
            in_flight: 0,
            resumed_after: Duration::ZERO,
        }
    }

    #[test]
    fn a_repetition_belongs_to_the_kill_between() {
        let start = Instant::now();
        let kills = [kill(start, 10_000), kill(start, 20_000)];
        let attribution = attribute(&arrivals(start, &[9_990, 12_000, 20_050, 23_000]), &kills);
        // 9,990 → 12,000 over the first kill; 12,000 → 20,050 is too old for the second;
        // 20,050 → 23,000 was received from a process that was already dead.
        let once = |millis| Repeated { count: 1, oldest: Duration::from_millis(millis) };
        assert_eq!(attribution.by_kill, [once(10), once(0)]);
        assert_eq!(attribution.unexplained, [("msg_1".into(), "/ok".into())]);
    }

    #[test]
    fn nothing_explains_a_repetition_without_a_kill_between() {
        let start = Instant::now();
        let attribution = attribute(&arrivals(start, &[9_000, 9_500]), &[kill(start, 10_000)]);
        assert_eq!(attribution.unexplained.len(), 1);
    }

    #[test]
    fn a_gateway_leaves_no_attempt_unsettled() {
        let start = Instant::now();
        let gateway = Kill { explains: false, ..kill(start, 10_000) };
        let attribution = attribute(&arrivals(start, &[9_990, 12_000]), &[gateway]);
        assert_eq!(attribution.unexplained.len(), 1);
    }
}
