//! Retry policies of endpoints and applications, and endpoints' outcome tables.

use std::time::Duration;

use loadtests::journal::Journal;
use rstest::rstest;
use serde_json::{Value, json};
use shared::domain::{DeadReason, Queue};

use crate::bench::{Bench, Engine};

const NEVER: &str = "/status/500";
const FAR: Duration = Duration::from_secs(3600);

/// Sets an endpoint's policy.
async fn set(bench: &Bench, queue: Queue, policy: Value) {
    let policy = serde_json::from_value(policy).unwrap();
    bench.change(queue, |endpoint| endpoint.settings.retry = Some(policy)).await;
}

/// Waits for a dead letter of each endpoint: its reason, and how many attempts were made.
async fn ends(bench: &Bench, queues: &[Queue]) -> Vec<(DeadReason, u32)> {
    let mut ends = Vec::new();
    for queue in queues {
        let dead = async || !bench.dead_letters(*queue).await.is_empty();
        bench.until("died", dead).await;
        let letter = bench.dead_letters(*queue).await.remove(0);
        ends.push((letter.reason, letter.attempts));
    }
    ends
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn an_endpoints_schedule_goes_before_its_applications(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let (own, inherits) = (bench.endpoint(NEVER).await, bench.endpoint(NEVER).await);
    set(&bench, own, json!({"schedule": ["10ms", "10ms", "10ms"]})).await;
    let policy = serde_json::from_value(json!({"schedule": ["10ms"]})).unwrap();
    bench.change_application(|application| application.settings.retry = Some(policy)).await;
    for queue in [own, inherits] {
        bench.publish(queue, 1).await;
    }
    // By this schedule, nothing would end.
    let running = bench.dispatch(&[FAR; 9]).await;
    let exhausted = DeadReason::Exhausted;
    assert_eq!(ends(&bench, &[own, inherits]).await, [(exhausted, 4), (exhausted, 2)]);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn nothing_starts_beyond_the_horizon(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let (tried, waited) = (bench.endpoint(NEVER).await, bench.endpoint("/ok").await);
    // The next attempt would start beyond it.
    set(&bench, tried, json!({"schedule": ["1h"], "horizon": "30m"})).await;
    // Already over when it is its turn.
    set(&bench, waited, json!({"horizon": "10ms"})).await;
    for queue in [tried, waited] {
        bench.publish(queue, 1).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let running = bench.dispatch(&[FAR]).await;
    let exhausted = DeadReason::Exhausted;
    assert_eq!(ends(&bench, &[tried, waited]).await, [(exhausted, 1), (exhausted, 0)]);
    assert_eq!(bench.sink.ask(|journal| journal.delivered()), 0);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn an_outcome_table_says_what_follows_from_a_status(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let table = json!([
        {"status": "400-499", "then": "give_up"}, {"status": "409", "then": "success"},
        {"status": "200", "then": "retry"},
    ]);
    let mut queues = Vec::new();
    for path in ["/status/404", "/status/409", "/ok"] {
        let queue = bench.endpoint(path).await;
        let outcomes = serde_json::from_value(table.clone()).unwrap();
        bench.change(queue, |endpoint| endpoint.settings.outcomes = outcomes).await;
        bench.publish(queue, 1).await;
        queues.push(queue);
    }
    let running = bench.dispatch(&[Duration::from_millis(10)]).await;
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    let expected = [(DeadReason::Rejected, 1), (DeadReason::Exhausted, 2)];
    assert_eq!(ends(&bench, &[queues[0], queues[2]]).await, expected);
    assert!(bench.dead_letters(queues[1]).await.is_empty());
    let conflicts = |journal: &Journal| {
        journal.arrivals().iter().filter(|arrival| arrival.status == 409).count()
    };
    assert_eq!(bench.sink.ask(conflicts), 1);
    running.stop().await;
}
