use proptest::prelude::*;
use serde_json::json;
use shared::{id::EndpointId, time::Millis};

use super::*;

fn endpoint(limits: serde_json::Value) -> Endpoint {
    serde_json::from_value(json!({
        "id": EndpointId::new(), "url": "https://example.com/", "version": 1,
        "secrets": [], "created_at": 0, "updated_at": 0, "settings": {"limits": limits},
    }))
    .unwrap()
}

fn limits(limits: serde_json::Value, now: Instant) -> Limits {
    let mut all = Limits::default();
    all.configure(&endpoint(limits), now);
    all
}

/// Start times of attempts that are always wanted, until `end`; each wake-up is late by the next of
/// `late`, as timers are.
fn starts(
    limits: &mut Limits,
    from: Instant,
    end: Duration,
    late: impl IntoIterator<Item = Duration>,
) -> Vec<Duration> {
    let mut late = late.into_iter();
    let (mut now, mut starts) = (from, Vec::new());
    while now < from + end {
        match limits.take(now) {
            Ok(()) => starts.push(now - from),
            Err(later) => {
                assert!(later > now, "asked to ask again at once");
                now = later + late.next().unwrap_or_default();
            }
        }
    }
    starts
}

/// The most starts within any such interval.
fn most(starts: &[Duration], within: Duration) -> usize {
    let (mut oldest, mut most) = (0, 0);
    for (index, start) in starts.iter().enumerate() {
        while *start - starts[oldest] >= within {
            oldest += 1;
        }
        most = most.max(index - oldest + 1);
    }
    most
}

const SECOND: Duration = Duration::from_secs(1);

fn timers() -> impl Strategy<Value = Vec<Duration>> {
    prop::collection::vec((0u64..1500).prop_map(Duration::from_micros), 4000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_second_holds_more_than_the_limit_and_one(count in 1u32..2000, late in timers()) {
        let now = Instant::now();
        let mut limits = limits(json!([{"count": count, "per": "1s"}]), now);
        let starts = starts(&mut limits, now, 3 * SECOND, late);
        prop_assert!(most(&starts, SECOND) <= count as usize + 1);
    }

    #[test]
    fn all_of_several_limits_hold(
        fast in 5u32..200, slow in 5u32..200, per in 2u32..10, late in timers()
    ) {
        let now = Instant::now();
        let nested = json!([{"count": fast, "per": "1s"}, {"count": slow, "per": format!("{per}s")}]);
        let starts = starts(&mut limits(nested, now), now, 30 * SECOND, late);
        prop_assert!(most(&starts, SECOND) <= fast as usize + 1);
        prop_assert!(most(&starts, per * SECOND) <= slow as usize + 1);
        // None of them wastes what another granted: the slower one alone decides the mean.
        let rate = f64::from(fast).min(f64::from(slow) / f64::from(per));
        prop_assert!(starts.len() as f64 >= 0.97 * rate * 30.0, "{} at {rate}/s", starts.len());
    }

    #[test]
    fn a_takeover_that_uses_up_the_limits_breaks_none(
        count in 1u32..500, at in 0u64..1000, late in timers()
    ) {
        let now = Instant::now();
        let limit = json!([{"count": count, "per": "1s"}]);
        let before = Duration::from_secs(1) + Duration::from_millis(at);
        let mut all = starts(&mut limits(limit.clone(), now), now, before, late.clone());
        let takeover = now + before;
        let mut next = limits(limit, takeover);
        next.use_up(takeover);
        all.extend(starts(&mut next, takeover, 2 * SECOND, late).iter().map(|start| before + *start));
        prop_assert!(most(&all, SECOND) <= count as usize + 1);
    }

    #[test]
    fn a_restored_limit_goes_on_where_it_was(count in 1u32..500, at in 0u64..1000, late in timers()) {
        let now = Instant::now();
        let limit = json!([{"count": count, "per": "1s"}]);
        let before = Duration::from_secs(1) + Duration::from_millis(at);
        let mut first = limits(limit.clone(), now);
        let mut all = starts(&mut first, now, before, late.clone());
        let moment = Moment { now: now + before, wall: Millis(1_795_432_000_000) };
        let mut second = limits(limit, moment.now);
        second.restore(&first.state(moment), moment);
        all.extend(starts(&mut second, moment.now, 2 * SECOND, late).iter().map(|start| before + *start));
        prop_assert!(most(&all, SECOND) <= count as usize + 1);
    }
}

#[test]
fn the_mean_is_close_to_the_limit_even_with_timers_of_a_millisecond() {
    for count in [1, 10, 100, 150, 1000] {
        let now = Instant::now();
        let mut limits = limits(json!([{"count": count, "per": "1s"}]), now);
        let late = std::iter::repeat([200, 1200, 700].map(Duration::from_micros)).flatten();
        let starts = starts(&mut limits, now, 20 * SECOND, late).len() as f64;
        assert!(starts >= 19.6 * f64::from(count), "{count}/s gave {starts} in 20 s");
    }
}

#[test]
fn attempts_are_evenly_spaced() {
    let now = Instant::now();
    let mut limits = limits(json!([{"count": 60, "per": "6s"}]), now);
    let late = std::iter::repeat(Duration::from_millis(1));
    let starts = starts(&mut limits, now, 20 * SECOND, late);
    for pair in starts.windows(2) {
        let gap = (pair[1] - pair[0]).as_secs_f64();
        assert!((0.075..=0.125).contains(&gap), "{gap}");
    }
}

#[test]
fn a_burst_is_as_great_as_configured() {
    let now = Instant::now();
    let mut limits = limits(json!([{"count": 10, "per": "10s", "burst": 5}]), now);
    let starts = starts(&mut limits, now, Duration::from_millis(500), []);
    assert_eq!(starts, [Duration::ZERO; 5]);
}

#[test]
fn a_changed_limit_is_no_free_burst_and_no_long_wait() {
    let now = Instant::now();
    let mut limits = limits(json!([{"count": 1, "per": "1h"}]), now);
    limits.take(now).unwrap();
    limits.configure(&endpoint(json!([{"count": 10, "per": "1s", "burst": 5}])), now);
    let next = limits.ask(now).unwrap_err();
    assert!(next > now && next <= now + Duration::from_millis(102));
}

#[test]
fn an_unchanged_limit_keeps_its_state_beside_a_new_one() {
    let now = Instant::now();
    let one = json!({"count": 1, "per": "10s"});
    let mut limits = limits(json!([one]), now);
    limits.take(now).unwrap();
    let before = limits.ask(now);
    limits.configure(&endpoint(json!([{"count": 100, "per": "1s"}, one])), now);
    assert_eq!(limits.ask(now), before);
    limits.configure(&endpoint(json!([])), now);
    assert!(limits.are_none() && limits.take(now).is_ok());
}

#[test]
fn so_many_are_prepared_as_start_within_the_lead_and_one() {
    let now = Instant::now();
    let ahead = |count| limits(json!([{"count": count, "per": "1s"}]), now).ahead();
    assert_eq!((ahead(1), ahead(10), ahead(100), ahead(1000)), (1, 1, 2, 20));
}
