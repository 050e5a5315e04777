//! What the functions of the hot path cost by themselves: those of this crate.
#![expect(clippy::unwrap_used, reason = "the inputs are fixed")]

use std::{hint::black_box, time::Duration};

use serde_json::{Value, json};
use shared::{
    benchmarks::{Benchmark, configured},
    domain::OutcomeRule,
    store::Verdict,
};
use tokio::time::Instant;

use crate::{
    brain::{Brain, Pace, Wants, breaker::Change},
    outcome::Sign,
    retry::{Course, Schedule},
    ruling::Ruling,
};

/// What a window may grow to.
const TOP: usize = 64;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// All of them.
pub fn all() -> Vec<Benchmark> {
    vec![
        Benchmark::new("brain/good", || attempt(&json!({}), Sign::Good)),
        Benchmark::new("brain/good-with-two-limits", || attempt(&limits(), Sign::Good)),
        // With the breaker open, half-open and open again.
        Benchmark::new("brain/down", || attempt(&json!({}), Sign::Down)),
        Benchmark::new("brain/limited", limited),
        Benchmark::new("ruling/retry", rule),
    ]
}

fn limits() -> Value {
    json!({"rate_limit": 200, "settings": {"limits": [{"count": 10_000, "per": "60s"}]}})
}

/// From the question what an endpoint wants to the end of an attempt.
fn attempt(fields: &Value, sign: Sign) -> impl FnMut() -> Option<Change> + use<> {
    let mut now = Instant::now();
    let mut brain = brain(fields, now);
    move || {
        now = match black_box(&mut brain).wants(now) {
            Wants::Until(later) => later,
            Wants::Now(_) | Wants::AfterAttempt | Wants::AfterChange => now + PAUSE,
        };
        assert_eq!(brain.pace(now), Pace::Now);
        brain.prepare();
        brain.start(now).unwrap();
        brain.ended(sign, now, 0.5)
    }
}

/// A limit that is used up says when to ask again.
fn limited() -> impl FnMut() -> Pace {
    let now = Instant::now();
    let mut brain = brain(&limits(), now);
    while brain.start(now).is_ok() {}
    move || black_box(&brain).pace(now)
}

/// What follows from an answer, by a table of three rules.
fn rule() -> impl FnMut() -> Verdict {
    let table: Vec<OutcomeRule> = serde_json::from_value(json!([
        {"status": "409", "then": "success"}, {"status": "404", "then": "give_up"},
        {"status": "500-599", "then": "retry"},
    ]))
    .unwrap();
    let schedule = Schedule::new([5, 60, 300].map(Duration::from_secs).to_vec());
    let course = Course { steps: 1, age: Duration::from_secs(9) };
    move || {
        let ruling = Ruling::of_status(black_box(503), None, black_box(&table));
        ruling.verdict(course, &schedule, 0.5)
    }
}

fn brain(fields: &Value, now: Instant) -> Brain {
    let mut brain = Brain::new(TOP, false, now);
    brain.configure(&configured(1, fields), now);
    brain
}
