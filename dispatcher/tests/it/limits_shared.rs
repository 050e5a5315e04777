//! Limits that endpoints share hold over all of them, in whatever lane, application and dispatcher.

use std::sync::atomic::Ordering;

use rstest::rstest;
use serde_json::{Value, json};
use shared::{
    domain::Queue,
    store::{Document, Expect, Kind},
    time::Millis,
};

use crate::{
    bench::{Bench, Engine, PATIENCE},
    limits::{SECOND, allowed, arrivals, most, report, starts},
};

/// Defines a limit with a name, or changes it.
async fn define(bench: &Bench, name: &str, limit: Value) {
    let now = Millis::now();
    let mut json = limit;
    let rest = json!({"name": name, "version": now, "created_at": now, "updated_at": now});
    json.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let json = serde_json::to_vec(&json).unwrap().into();
    let document = Document { name: name.into(), json };
    bench.store.put_document(Kind::Limit, &document, &Expect::Any).await.unwrap();
}

async fn share(bench: &Bench, queue: Queue, names: &[&str]) {
    let names = names.iter().map(|name| String::from(*name)).collect();
    bench.change(queue, |endpoint| endpoint.settings.shared_limits = names).await;
}

/// The starts of all attempts at these endpoints, in order.
async fn all_starts(bench: &Bench, queues: &[Queue]) -> Vec<u64> {
    let mut all = Vec::new();
    for queue in queues {
        all.extend(starts(bench, *queue).await);
    }
    all.sort();
    all
}

/// Endpoints of the application, two of them in one lane.
async fn endpoints(bench: &Bench) -> [Queue; 4] {
    let first = bench.endpoint("/ok").await;
    [
        first,
        bench.neighbour(first, "/ok").await,
        bench.stranger(first, "/ok").await,
        bench.stranger(first, "/ok").await,
    ]
}

#[rstest]
#[case::ten_embedded(Engine::Embedded, 10, 10)]
#[case::ten_redis(Engine::Redis, 10, 10)]
#[case::hundred_embedded(Engine::Embedded, 100, 80)]
#[case::hundred_redis(Engine::Redis, 100, 80)]
#[case::thousand_redis(Engine::Redis, 1000, 600)]
#[actix_rt::test]
async fn an_applications_limit_holds_over_lanes_and_dispatchers(
    #[case] engine: Engine,
    #[case] rate: usize,
    #[case] each: usize,
) {
    let bench = Bench::new(engine).await;
    let queues = endpoints(&bench).await;
    bench.change_application(|application| application.rate_limit = Some(rate as u32)).await;
    for queue in queues {
        for part in 0..each.div_ceil(200) {
            bench.publish(queue, (each - 200 * part).min(200)).await;
        }
    }
    let running = [bench.dispatch(&[]).await, bench.dispatch(&[]).await];
    bench.sink.wait_for(4 * each, PATIENCE).await.unwrap();
    let unused: f64 = running.iter().map(|one| one.metric("cells_unused_total")).sum();
    for one in running {
        one.stop().await;
    }
    let all = all_starts(&bench, &queues).await;
    report(&format!("{rate}/s on {engine:?}, {unused} cells unused"), &all, rate);
    assert_eq!(all.len(), 4 * each);
    assert!(most(&all, SECOND) <= allowed(rate), "{}", most(&all, SECOND));
    // All have turns: when half is done, nobody has less than a quarter of its part.
    for queue in queues {
        let early = starts(&bench, queue).await;
        let early = early.iter().filter(|start| **start <= all[2 * each]).count();
        assert!(4 * early >= each / 2, "{early} of {each}");
    }
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_named_limit_is_shared_by_two_applications(#[case] engine: Engine) {
    let mut bench = Bench::new(engine).await;
    define(&bench, "key", json!({"count": 50, "per": "1s"})).await;
    let mut queues = Vec::new();
    for _ in 0..2 {
        for queue in [bench.endpoint("/ok").await, bench.endpoint("/ok").await] {
            share(&bench, queue, &["key", "unknown"]).await;
            queues.push(queue);
        }
        bench.next_application().await;
    }
    let free = bench.endpoint("/ok").await;
    for queue in queues.iter().chain([&free]) {
        bench.publish(*queue, 30).await;
    }
    let running = [bench.dispatch(&[]).await, bench.dispatch(&[]).await];
    bench.sink.wait_for(150, PATIENCE).await.unwrap();
    for one in running {
        one.stop().await;
    }
    let all = all_starts(&bench, &queues).await;
    report(&format!("50/s of two applications on {engine:?}"), &all, 50);
    assert_eq!(all.len(), 120);
    assert!(most(&all, SECOND) <= allowed(50), "{}", most(&all, SECOND));
    let free = starts(&bench, free).await;
    assert!(free[29] < all[119], "nobody else waits");
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn own_limits_the_applications_and_named_ones_hold_together(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    define(&bench, "key", json!({"count": 40, "per": "1s"})).await;
    let queues = endpoints(&bench).await;
    bench.change(queues[0], |endpoint| endpoint.rate_limit = Some(10)).await;
    share(&bench, queues[1], &["key"]).await;
    share(&bench, queues[2], &["key"]).await;
    let limits = json!([{"count": 60, "per": "1s"}, {"count": 110, "per": "2s"}]);
    bench
        .change_application(|application| {
            application.settings.limits = serde_json::from_value(limits).unwrap();
        })
        .await;
    for (queue, count) in queues.into_iter().zip([20, 50, 50, 50]) {
        bench.publish(queue, count).await;
    }
    let running = bench.dispatch(&[]).await;
    bench.sink.wait_for(170, PATIENCE).await.unwrap();
    running.stop().await;
    let all = all_starts(&bench, &queues).await;
    report(&format!("55/s on {engine:?}"), &all, 55);
    assert!(most(&all, SECOND) <= allowed(60));
    assert!(most(&all, 2 * SECOND) <= allowed(110));
    assert!(most(&all_starts(&bench, &queues[1..3]).await, SECOND) <= allowed(40));
    assert!(most(&starts(&bench, queues[0]).await, SECOND) <= allowed(10));
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_changed_limit_takes_effect_on_those_who_wait_for_hours(#[case] engine: Engine) {
    let mut bench = Bench::new(engine).await;
    define(&bench, "key", json!({"count": 1, "per": "1h"})).await;
    let named = [bench.endpoint("/ok").await, bench.endpoint("/ok").await];
    for queue in named {
        share(&bench, queue, &["key"]).await;
    }
    bench.next_application().await;
    let hourly = json!([{"count": 1, "per": "1h"}]);
    bench
        .change_application(|application| {
            application.settings.limits = serde_json::from_value(hourly).unwrap();
        })
        .await;
    let limited = [bench.endpoint("/ok").await, bench.endpoint("/ok").await];
    for queue in named.into_iter().chain(limited) {
        bench.publish(queue, 20).await;
    }
    let running = bench.dispatch(&[]).await;
    bench.sink.wait_for(2, PATIENCE).await.unwrap();
    define(&bench, "key", json!({"count": 40, "per": "1s"})).await;
    bench
        .change_application(|application| {
            application.settings.limits.clear();
            application.rate_limit = Some(40);
        })
        .await;
    bench.sink.wait_for(80, PATIENCE).await.unwrap();
    running.stop().await;
    assert!(most(&all_starts(&bench, &named).await, SECOND) <= allowed(40));
    assert!(most(&all_starts(&bench, &limited).await, SECOND) <= allowed(40));
}

#[rstest]
#[case::embedded(Engine::Embedded, true)]
#[case::redis(Engine::Redis, true)]
#[case::embedded_killed(Engine::Embedded, false)]
#[case::redis_killed(Engine::Redis, false)]
#[actix_rt::test]
async fn a_shared_limit_holds_over_a_takeover(#[case] engine: Engine, #[case] clean: bool) {
    let bench = Bench::new(engine).await;
    let queues = endpoints(&bench).await;
    let limits = json!([{"count": 20, "per": "2s", "burst": 20}]);
    bench
        .change_application(|application| {
            application.settings.limits = serde_json::from_value(limits).unwrap();
        })
        .await;
    for queue in queues {
        bench.publish(queue, 12).await;
    }
    let first = bench.dispatch(&[]).await;
    bench.sink.wait_for(20, PATIENCE).await.unwrap();
    if clean {
        first.stop().await
    } else {
        first.abandon().await
    }
    let second = bench.dispatch(&[]).await;
    bench.sink.wait_for(48, PATIENCE).await.unwrap();
    second.stop().await;
    // One bucket of 20, filled with 10 a second, whoever takes from it. What was sent twice counts.
    let all = arrivals(&bench);
    for (index, first) in all.iter().enumerate() {
        for (count, later) in all[index..].iter().enumerate() {
            let granted = 21 + (later - first) / 100;
            assert!(count as u64 <= granted, "{count} within {} ms", later - first);
        }
    }
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn who_waits_for_a_shared_limit_does_not_ask_again(#[case] engine: Engine) {
    let (bench, store) = Bench::scripted(engine).await;
    let queues = endpoints(&bench).await;
    bench.change_application(|application| application.rate_limit = Some(10)).await;
    for queue in queues {
        bench.publish(queue, 6).await;
    }
    let running = bench.dispatch(&[]).await;
    bench.sink.wait_for(24, PATIENCE).await.unwrap();
    let unused = running.metric("cells_unused_total") as usize;
    running.stop().await;
    // One question for each cell, that is.
    let takes = store.takes.load(Ordering::SeqCst);
    assert!(takes <= 24 + unused + queues.len(), "{takes} takes, {unused} cells unused");
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_limit_that_was_made_a_moment_ago_holds_from_the_first_attempt(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    define(&bench, "old", json!({"count": 100, "per": "1s"})).await;
    let before = bench.endpoint("/ok").await;
    share(&bench, before, &["old"]).await;
    let running = bench.dispatch(&[]).await;
    bench.publish(before, 1).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    // Limits are known now, but not this one.
    define(&bench, "new", json!({"count": 10, "per": "1s"})).await;
    let queue = bench.endpoint("/ok?new").await;
    share(&bench, queue, &["new"]).await;
    bench.publish(queue, 15).await;
    bench.sink.wait_for(16, PATIENCE).await.unwrap();
    running.stop().await;
    let starts = starts(&bench, queue).await;
    assert!(most(&starts, SECOND) <= allowed(10), "{starts:?}");
}
