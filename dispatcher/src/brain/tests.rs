use std::time::Duration;

use serde_json::json;

use super::*;

const TOP: usize = 64;

fn brain(now: Instant) -> Brain {
    Brain::new(TOP, false, now)
}

/// An attempt is prepared and starts.
fn go(brain: &mut Brain, now: Instant) -> Result<(), Instant> {
    brain.prepare();
    brain.start(now)
}

fn endpoint(fields: serde_json::Value) -> Endpoint {
    let mut record = json!({
        "id": shared::id::EndpointId::new(), "url": "https://example.com/", "version": 1,
        "secrets": [], "created_at": 0, "updated_at": 0,
    });
    record.as_object_mut().unwrap().append(&mut fields.as_object().unwrap().clone());
    serde_json::from_value(record).unwrap()
}

#[test]
fn a_receiver_that_names_a_time_closes_the_endpoint_until_then() {
    let now = Instant::now();
    let mut brain = brain(now);
    go(&mut brain, now).unwrap();
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
        go(&mut brain, now).unwrap();
        brain.ended(Sign::BusyUntil(Duration::from_secs(seconds)), now, 0.5);
    }
    assert_eq!(brain.wants(now), Wants::Until(now + Duration::from_secs(3)));
}

#[test]
fn a_refusal_is_an_answer_the_receiver_is_up() {
    let now = Instant::now();
    let mut brain = brain(now);
    for _ in 0..100 {
        go(&mut brain, now).unwrap();
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
        go(&mut brain, now).unwrap();
        brain.ended(Sign::Down, now, 0.5);
    }
    let Wants::Until(until) = brain.wants(now) else { panic!("the breaker is closed") };
    assert_eq!(brain.wants(until), Wants::Now(1));
    go(&mut brain, until).unwrap();
    assert_eq!(brain.wants(until), Wants::AfterAttempt);
    assert_eq!(brain.ended(Sign::Good, until, 0.5), Some(Change::Closed));
    assert_eq!(brain.wants(until), Wants::Now(1));
}

#[test]
fn after_a_recovery_the_rate_grows_from_one_and_keeps_the_limit() {
    let (now, round) = (Instant::now(), Duration::from_millis(100));
    let mut brain = brain(now);
    for _ in 0..10 {
        go(&mut brain, now).unwrap();
        brain.ended(Sign::Down, now, 0.5);
    }
    let Wants::Until(recovery) = brain.wants(now) else { panic!("the breaker is closed") };
    brain.configure(&endpoint(json!({"rate_limit": 100})), now);
    // Answers take a round.
    let (mut starts, mut ended) = (Vec::new(), 0);
    for ms in 0..3000 {
        let now = recovery + Duration::from_millis(ms);
        while starts.get(ended).is_some_and(|start| *start + round <= now) {
            ended += 1;
            brain.ended(Sign::Good, now, 0.5);
        }
        while matches!(brain.wants(now), Wants::Now(_)) {
            if go(&mut brain, now).is_err() {
                brain.give_back();
                break;
            }
            starts.push(now);
        }
    }
    let within = |from: Instant, time: Duration| {
        starts.iter().filter(|start| (from..from + time).contains(start)).count()
    };
    let rounds: Vec<_> = (0..30).map(|nth| within(recovery + nth * round, round)).collect();
    assert_eq!(rounds[..2], [1, 1], "the probe, and one more");
    assert!(rounds.windows(2).all(|pair| pair[1] <= 2 * pair[0] + 1), "{rounds:?}");
    assert!(rounds[20..].iter().all(|count| (9..=11).contains(count)), "{rounds:?}");
    assert!(starts.iter().all(|start| within(*start, Duration::from_secs(1)) <= 101));
}

#[test]
fn a_full_window_waits_for_an_attempt_to_end() {
    let now = Instant::now();
    let mut brain = Brain::new(TOP, true, now);
    go(&mut brain, now).unwrap();
    assert_eq!(brain.wants(now), Wants::AfterAttempt);
    brain.give_back();
    assert_eq!(brain.wants(now), Wants::Now(1));
}

#[test]
fn a_changed_limit_holds_at_once_and_an_unchanged_one_keeps_its_state() {
    let now = Instant::now();
    let mut brain = brain(now);
    let mut endpoint = endpoint(json!({"rate_limit": 1}));
    brain.configure(&endpoint, now);
    go(&mut brain, now).unwrap();
    brain.configure(&endpoint, now);
    assert!(go(&mut brain, now).is_err());
    brain.give_back();
    endpoint.rate_limit = None;
    brain.configure(&endpoint, now);
    assert!(go(&mut brain, now).is_ok());
    brain.set_open(false);
    assert_eq!(brain.wants(now), Wants::AfterChange);
}

#[test]
fn an_attempt_that_was_prepared_counts_in_the_window_and_waits_for_the_limit() {
    let now = Instant::now();
    let mut brain = brain(now);
    brain.configure(&endpoint(json!({"rate_limit": 10})), now);
    assert_eq!(brain.pace(now), Pace::Now);
    brain.prepare();
    assert_eq!(brain.pace(now), Pace::AfterStart);
    assert_eq!(brain.wants(now), Wants::Now(3));
    brain.start(now).unwrap();
    let Pace::Until(time) = brain.pace(now) else { panic!("too early") };
    assert_eq!(brain.pace(time), Pace::Now);
    brain.prepare();
    assert!(brain.start(time).is_err());
    assert!(brain.start(time + limits::LEAD).is_ok());
}

#[test]
fn concurrency_caps_the_window_and_gives_it_back() {
    let now = Instant::now();
    let mut brain = brain(now);
    brain.configure(&endpoint(json!({"settings": {"concurrency": 2}})), now);
    assert_eq!(brain.wants(now), Wants::Now(2));
    for _ in 0..20 {
        while brain.wants(now) != Wants::AfterAttempt {
            go(&mut brain, now).unwrap();
        }
        brain.ended(Sign::Good, now, 0.5);
        assert_eq!(brain.wants(now), Wants::Now(1));
    }
    brain.configure(&endpoint(json!({})), now);
    for _ in 0..20 {
        while brain.wants(now) != Wants::AfterAttempt {
            go(&mut brain, now).unwrap();
        }
        brain.ended(Sign::Good, now, 0.5);
    }
    assert!(brain.window.size() > 4);
}

/// What the next owner makes of what this one remembers.
fn taken_over(brain: &mut Brain, endpoint: &Endpoint, unclean: bool, moment: Moment) -> Brain {
    let mut next = Brain::new(TOP, unclean, moment.now);
    next.configure(endpoint, moment.now);
    let state = serde_json::to_vec(&brain.remember(moment)).unwrap();
    next.restore(&serde_json::from_slice(&state).unwrap(), unclean, moment);
    next
}

fn moment(now: Instant) -> Moment {
    Moment { now, wall: shared::time::Millis(1_795_432_000_000) }
}

#[test]
fn gate_and_breaker_outlive_their_owner() {
    let now = Instant::now();
    let endpoint = endpoint(json!({}));
    let mut brain = brain(now);
    go(&mut brain, now).unwrap();
    brain.ended(Sign::BusyUntil(Duration::from_secs(30)), now, 0.5);
    assert_eq!(brain.news(), News::Changed);
    let mut next = taken_over(&mut brain, &endpoint, false, moment(now));
    assert_eq!(brain.news(), News::None);
    assert!(matches!(next.wants(now + Duration::from_secs(29)), Wants::Until(_)));
    assert!(matches!(next.wants(now + Duration::from_secs(31)), Wants::Now(_)));

    for _ in 0..10 {
        go(&mut brain, now).unwrap();
        brain.ended(Sign::Down, now, 0.5);
    }
    let later = now + Duration::from_secs(31);
    let after = Moment { now: later, wall: moment(now).wall.after(Duration::from_secs(31)) };
    let mut next = taken_over(&mut brain, &endpoint, true, after);
    assert_eq!(next.wants(later), Wants::Now(1));
    go(&mut next, later).unwrap();
    assert_eq!(next.wants(later), Wants::AfterAttempt);
    next.ended(Sign::Down, later, 0.5);
    // The second opening: its backoff is the double of the first.
    assert_eq!(next.wants(later), Wants::Until(later + Duration::from_secs(10)));
    assert_eq!(next.remember(after).failing_since, Some(moment(now).wall));
}

#[test]
fn a_limit_goes_on_where_it_was_and_is_used_up_where_nobody_knows() {
    let now = Instant::now();
    let endpoint =
        endpoint(json!({"settings": {"limits": [{"count": 10, "per": "10s", "burst": 5}]}}));
    let mut brain = brain(now);
    brain.configure(&endpoint, now);
    for _ in 0..3 {
        go(&mut brain, now).unwrap();
    }
    assert_eq!(brain.news(), News::Used);
    let mut next = taken_over(&mut brain, &endpoint, false, moment(now));
    let left = (0..9).take_while(|_| go(&mut next, now).is_ok()).count();
    assert_eq!(left, 2);
    let mut next = taken_over(&mut brain, &endpoint, true, moment(now));
    assert!(go(&mut next, now).is_err());
}

#[test]
fn a_long_failure_needs_some_attempts_and_ends_with_a_success() {
    let (now, day) = (Instant::now(), Duration::from_secs(86_400));
    let mut brain = brain(now);
    for _ in 1..LEAST_FAILURES {
        brain.ended(Sign::Refusal, now, 0.5);
    }
    assert!(!brain.has_failed_for(day, now + day));
    brain.ended(Sign::Unknown, now, 0.5);
    assert!(!brain.has_failed_for(day, now + day));
    brain.ended(Sign::Down, now + day, 0.5);
    assert!(brain.has_failed_for(day, now + day) && !brain.has_failed_for(2 * day, now + day));
    let state = brain.remember(moment(now + day));
    let mut next = super::Brain::new(8, false, now + day);
    next.restore(&state, false, moment(now + day));
    assert!(next.has_failed_for(day, now + day));
    brain.ended(Sign::Good, now + day, 0.5);
    assert!(!brain.has_failed_for(Duration::ZERO, now + day));
}

#[test]
fn after_a_clean_hand_over_the_window_and_the_trust_go_on() {
    let now = Instant::now();
    let endpoint = endpoint(json!({}));
    let mut brain = brain(now);
    for _ in 0..40 {
        while brain.wants(now) != Wants::AfterAttempt {
            go(&mut brain, now).unwrap();
        }
        brain.ended(Sign::Good, now, 0.5);
    }
    let size = brain.window.size();
    assert!(size > 20 && brain.is_known_well() && brain.is_proven());
    let mut next = taken_over(&mut brain, &endpoint, false, moment(now));
    assert_eq!(next.wants(now), Wants::Now(size));
    assert!(next.is_proven());
    let mut next = taken_over(&mut brain, &endpoint, true, moment(now));
    assert_eq!(next.wants(now), Wants::Now(1), "nobody knows what was under way");
    assert!(!next.is_proven());
    let mut capped = endpoint.clone();
    capped.settings = serde_json::from_value(json!({"concurrency": 3})).unwrap();
    let mut next = taken_over(&mut brain, &capped, false, moment(now));
    assert_eq!(next.wants(now), Wants::Now(3));

    let state = brain.remember(moment(now));
    let later = now + 2 * FRESH;
    let mut next = Brain::new(TOP, false, later);
    next.restore(&state, false, Moment { now: later, wall: state.at.after(2 * FRESH) });
    assert_eq!(next.wants(later), Wants::Now(4), "what was true then need not be true now");

    brain.ended(Sign::Down, now, 0.5);
    let next = taken_over(&mut brain, &endpoint, false, moment(now));
    assert!(!next.is_proven());
}
