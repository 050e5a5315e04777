//! Limits hold at the times at which attempts start, whoever owns the lane.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use shared::{
    domain::{Attempt, Queue, ServingState},
    store::PageRequest,
};

use crate::bench::{Bench, Engine, PATIENCE};

pub(crate) const SECOND: u64 = 1000;

/// The records of all attempts at an endpoint, in the order of their starts.
async fn attempts(bench: &Bench, queue: Queue) -> Vec<Attempt> {
    let (mut page, mut all) = (PageRequest { limit: 500, ..PageRequest::default() }, Vec::new());
    loop {
        let part = bench.store.endpoint_attempts(queue, &page).await.unwrap();
        page.after = part.entries.last().map(|(cursor, _)| cursor.clone());
        all.extend(part.entries.into_iter().map(|(_, attempt)| attempt));
        if part.done {
            break;
        }
    }
    all.sort_by_key(|attempt| attempt.at);
    all
}

pub(crate) async fn starts(bench: &Bench, queue: Queue) -> Vec<u64> {
    attempts(bench, queue).await.iter().map(|attempt| attempt.at.0).collect()
}

/// When requests reached the receiver, in milliseconds after the first.
pub(crate) fn arrivals(bench: &Bench) -> Vec<u64> {
    bench.sink.ask(|journal| {
        let all = journal.arrivals();
        all.iter().map(|one| (one.received - all[0].received).as_millis() as u64).collect()
    })
}

/// The most of them in any interval of so many milliseconds.
pub(crate) fn most(starts: &[u64], within: u64) -> usize {
    let from = |(index, first): (usize, &u64)| {
        starts[index..].iter().take_while(|start| **start - first < within).count()
    };
    starts.iter().enumerate().map(from).max().unwrap_or(0)
}

/// What a second may hold: one more than the limit, and 5 % for a machine that is busy with other
/// things between the decision to start and the note of the time.
pub(crate) fn allowed(rate: usize) -> usize {
    rate + 1 + rate / 20
}

pub(crate) fn report(name: &str, starts: &[u64], rate: usize) {
    let gaps: Vec<_> = starts.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    let ideal = SECOND as f64 / rate as f64;
    let even = gaps.iter().filter(|gap| (**gap - ideal).abs() <= ideal / 4.0 + 1.0).count();
    let seconds = (starts[starts.len() - 1] - starts[0]) as f64 / SECOND as f64;
    println!(
        "{name}: {:.3} of the rate, at most {} in a second, {:.1} % of the gaps within a quarter",
        gaps.len() as f64 / seconds / rate as f64,
        most(starts, SECOND),
        100.0 * even as f64 / gaps.len() as f64,
    );
}

#[rstest]
#[case::ten_embedded(Engine::Embedded, 10, 40)]
#[case::ten_redis(Engine::Redis, 10, 40)]
#[case::hundred_embedded(Engine::Embedded, 100, 400)]
#[case::hundred_redis(Engine::Redis, 100, 400)]
#[case::thousand_embedded(Engine::Embedded, 1000, 3000)]
#[case::thousand_redis(Engine::Redis, 1000, 3000)]
#[actix_rt::test]
async fn no_second_holds_more_starts_than_the_limit(
    #[case] engine: Engine,
    #[case] rate: usize,
    #[case] count: usize,
) {
    let bench = Bench::new(engine).await;
    let limited = bench.endpoint("/ok").await;
    bench.change(limited, |endpoint| endpoint.rate_limit = Some(rate as u32)).await;
    for _ in 0..count / 20 {
        bench.publish(limited, 20).await;
    }
    let running = bench.dispatch(&[]).await;
    bench.sink.wait_for(count, PATIENCE).await.unwrap();
    running.stop().await;
    let starts = starts(&bench, limited).await;
    report(&format!("{rate}/s on {engine:?}"), &starts, rate);
    assert_eq!(starts.len(), count);
    assert!(most(&starts, SECOND) <= allowed(rate), "{}", most(&starts, SECOND));
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn all_of_several_limits_hold(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let limited = bench.endpoint("/ok").await;
    let limits = json!([{"count": 50, "per": "1s"}, {"count": 40, "per": "2s", "burst": 20}]);
    bench
        .change(limited, |endpoint| {
            endpoint.settings.limits = serde_json::from_value(limits).unwrap();
        })
        .await;
    bench.publish(limited, 60).await;
    let running = bench.dispatch(&[]).await;
    bench.sink.wait_for(60, PATIENCE).await.unwrap();
    running.stop().await;
    let starts = starts(&bench, limited).await;
    assert!(most(&starts, SECOND) <= allowed(50));
    assert!(most(&starts, 2 * SECOND) <= allowed(40 + 20));
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_changed_limit_takes_effect_on_what_waits(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let limited = bench.endpoint("/ok").await;
    let hourly = json!([{"count": 1, "per": "1h"}]);
    bench
        .change(limited, |endpoint| {
            endpoint.settings.limits = serde_json::from_value(hourly).unwrap();
        })
        .await;
    bench.publish(limited, 60).await;
    let running = bench.dispatch(&[]).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    let faster = json!([{"count": 20, "per": "1s", "burst": 20}]);
    bench
        .change(limited, |endpoint| {
            endpoint.settings.limits = serde_json::from_value(faster).unwrap();
        })
        .await;
    bench.sink.wait_for(60, PATIENCE).await.unwrap();
    running.stop().await;
    // The burst was not given for nothing: one that was used up stays used up.
    assert!(most(&starts(&bench, limited).await, SECOND) <= allowed(20));
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn concurrency_caps_what_is_in_flight(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let capped = bench.endpoint("/slow/30").await;
    bench.change(capped, |endpoint| endpoint.settings.concurrency = 2.try_into().ok()).await;
    bench.publish(capped, 40).await;
    let running = bench.dispatch(&[]).await;
    bench.sink.wait_for(40, PATIENCE).await.unwrap();
    running.stop().await;
    let all = attempts(&bench, capped).await;
    let at_once = |one: &Attempt| {
        let open = |other: &&Attempt| {
            other.at <= one.at && one.at < other.at.after(Duration::from_millis(other.duration_ms))
        };
        all.iter().filter(open).count()
    };
    assert_eq!(all.iter().map(at_once).max(), Some(2));
}

#[rstest]
#[case::embedded(Engine::Embedded, true)]
#[case::redis(Engine::Redis, true)]
#[case::embedded_killed(Engine::Embedded, false)]
#[case::redis_killed(Engine::Redis, false)]
#[actix_rt::test]
async fn a_limit_holds_over_a_takeover(#[case] engine: Engine, #[case] clean: bool) {
    let bench = Bench::new(engine).await;
    let limited = bench.endpoint("/ok").await;
    let limits = json!([{"count": 20, "per": "2s", "burst": 20}]);
    bench
        .change(limited, |endpoint| {
            endpoint.settings.limits = serde_json::from_value(limits).unwrap();
        })
        .await;
    bench.publish(limited, 50).await;
    let first = bench.dispatch(&[]).await;
    bench.sink.wait_for(20, PATIENCE).await.unwrap();
    if clean {
        first.stop().await
    } else {
        first.abandon().await
    }
    let before = arrivals(&bench).len();
    let second = bench.dispatch(&[]).await;
    bench.sink.wait_for(50, PATIENCE).await.unwrap();
    second.stop().await;
    // One bucket of 20, filled with 10 a second, whoever takes from it. What was sent twice counts.
    let all = arrivals(&bench);
    for (index, first) in all.iter().enumerate() {
        for (count, later) in all[index..].iter().enumerate() {
            let granted = 21 + (later - first) / 100;
            assert!(count as u64 <= granted, "{count} within {} ms", later - first);
        }
    }
    // Nobody knows what a killed owner took: the bucket, which has filled up meanwhile, counts as empty
    // when the next owner meets the endpoint. Otherwise it would start 20 at once.
    if !clean {
        let after = most(&all[before..], SECOND);
        assert!(after <= 15, "{after}");
    }
}

async fn remembered(bench: &Bench, queue: Queue) -> Option<ServingState> {
    let states = bench.store.states(queue.app, &[queue.endpoint]).await.unwrap();
    states[0].as_ref().map(|state| serde_json::from_slice(state).unwrap())
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_gate_stays_closed_over_a_takeover(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let closed = bench.endpoint("/retry-after/4").await;
    let first = bench.dispatch(&[]).await;
    bench.publish(closed, 1).await;
    let gated = async || remembered(&bench, closed).await.is_some_and(|state| state.gate.is_some());
    bench.until("wrote down the gate", gated).await;
    first.stop().await;
    bench.publish(closed, 1).await;
    let second = bench.dispatch(&[]).await;
    bench.sink.wait_until(PATIENCE, |journal| journal.arrivals().len() >= 3).await.unwrap();
    second.stop().await;
    assert!(arrivals(&bench)[1] >= 3900, "{:?}", arrivals(&bench));
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_breaker_stays_open_over_a_takeover(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let down = bench.endpoint("/ok").await;
    bench.sink.set_outage(Some(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR));
    let schedule = [Duration::from_millis(100); 9];
    let first = bench.dispatch(&schedule).await;
    bench.publish(down, 20).await;
    let opened =
        async || remembered(&bench, down).await.is_some_and(|state| state.breaker.is_some());
    bench.until("wrote down that it opened", opened).await;
    first.stop().await;
    bench.sink.set_outage(None);
    let before = arrivals(&bench);
    let until = remembered(&bench, down).await.unwrap().breaker.unwrap().until;
    let second = bench.dispatch(&schedule).await;
    bench.sink.wait_for(20, PATIENCE).await.unwrap();
    second.stop().await;
    let starts = starts(&bench, down).await;
    assert!(starts[before.len()] >= until.0, "{starts:?}");
    let closed = remembered(&bench, down).await.unwrap();
    assert_eq!((closed.breaker, closed.failing_since), (None, None));
}
