//! What operators see of endpoints.

use std::time::{Duration, Instant};

use rstest::rstest;
use shared::{
    domain::{Message, Queue, Strand},
    id::EndpointId,
    store::{Change, Publication, Published, Target},
    time::Millis,
};

use crate::bench::{Bench, Engine, Running};

const HOUR: Duration = Duration::from_secs(3600);
const BACKLOG: &str = "sluicegate_endpoint_backlog_deliveries";
const IN_FLIGHT: &str = "sluicegate_endpoint_attempts_in_flight";
const AGE: &str = "sluicegate_endpoint_oldest_due_age_seconds";
const REST: &str = "other";
/// So many that each of two dispatchers gets some.
const MANY: usize = 24;

fn shown(running: &Running, name: &str, queue: Queue) -> Option<f64> {
    running.of_endpoint(name, &queue.endpoint.to_string())
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_backlog_is_told_exactly_also_by_the_next_process(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let hanging = bench.endpoint("/hang").await;
    let first = bench.dispatch(&[]).await;
    bench.publish(hanging, 60).await;
    let all = |running: &Running| {
        let [waiting, in_flight] = [BACKLOG, IN_FLIGHT].map(|name| shown(running, name, hanging));
        let age = shown(running, AGE, hanging).unwrap_or_default();
        (age, waiting.zip(in_flight).is_some_and(|(a, b)| a + b == 60.0 && b > 0.0 && a > 0.0))
    };
    let told = async |running: &Running| {
        bench.until("told all that waits", async || all(running).1 && all(running).0 > 0.5).await;
    };
    told(&first).await;
    let age = all(&first).0;
    first.abandon().await;
    let second = bench.dispatch(&[]).await;
    told(&second).await;
    assert!(all(&second).0 > age, "it was due before this process began");
    assert!(second.metric("takeover_deliveries_total") >= 1.0);
    assert_eq!(
        second.metric("dispatcher_backlog_deliveries"),
        shown(&second, BACKLOG, hanging).unwrap()
    );
    second.abandon().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn an_endpoint_is_told_of_by_the_owner_of_its_lane_alone(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let start = || bench.dispatch_with(&[HOUR], |config| config.worst_endpoints = MANY);
    let first = start().await;
    let mut queues = Vec::new();
    for _ in 0..MANY {
        let queue = bench.endpoint("/fail/9").await;
        bench.publish(queue, 3).await;
        queues.push(queue);
    }
    let told = |running: &Running| {
        queues.iter().filter(|queue| shown(running, BACKLOG, **queue) == Some(3.0)).count()
    };
    bench.until("told by the only owner", async || told(&first) == MANY).await;
    assert!(queues.iter().all(|queue| shown(&first, AGE, *queue) == Some(0.0)), "none is due");
    let second = start().await;
    let once = |queue: &Queue| {
        let both = [&first, &second].map(|running| shown(running, BACKLOG, *queue));
        matches!(both, [Some(3.0), None] | [None, Some(3.0)])
    };
    bench.until("told by the second", async || told(&second) > 0).await;
    bench.until("told once each", async || queues.iter().all(once)).await;
    assert!(first.metric("lanes_handed_over_total") > 0.0);
    second.stop().await;
    bench.until("told by the first again", async || told(&first) == MANY).await;
    first.stop().await;
}

#[actix_rt::test]
async fn the_worst_are_shown_and_the_rest_as_one() {
    many_endpoints(Bench::new(Engine::Embedded).await, 2_000).await;
}

/// Tells how large the scrape was and how long it took; no time is asserted, because it is the machine's.
#[actix_rt::test]
#[ignore = "takes minutes; for the figures in docs/metrics.md"]
async fn a_hundred_thousand_endpoints() {
    many_endpoints(Bench::new(Engine::Embedded).await, 100_000).await;
}

/// Each of so many endpoints has one delivery that is not due; ten others have a backlog.
async fn many_endpoints(mut bench: Bench, count: usize) {
    const EACH: usize = 500;
    let mut bad = Vec::new();
    for _ in 0..10 {
        bad.push(bench.endpoint("/hang").await);
    }
    let running = bench.dispatch(&[HOUR]).await;
    for queue in &bad {
        bench.publish(*queue, 40).await;
    }
    for _ in 0..count / EACH {
        bench.next_application().await;
        later(&bench, EACH).await;
    }
    let wanted = count as f64;
    let patient = Instant::now();
    while running.of_endpoint(BACKLOG, REST) != Some(wanted)
        || bad.iter().any(|queue| shown(&running, BACKLOG, *queue).is_none_or(|it| it < 20.0))
    {
        assert!(patient.elapsed() < Duration::from_secs(400), "never told");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut times: Vec<_> = (0..20)
        .map(|_| {
            let started = Instant::now();
            let page = running.scrape();
            (started.elapsed(), page.len())
        })
        .collect();
    times.sort();
    let [(median, bytes), (slowest, _)] = [times[10], times[19]];
    println!(
        "{count} endpoints: a scrape of {bytes} bytes, median {median:?}, slowest {slowest:?}"
    );
    assert!(bytes < 2_000_000, "{bytes}");
    running.abandon().await;
}

/// So many endpoints with one delivery each that is not due yet.
async fn later(bench: &Bench, count: usize) {
    let endpoints = (0..count).map(|_| bench.document(EndpointId::new(), "/ok"));
    let puts: Vec<_> = endpoints.map(Change::PutEndpoint).collect();
    let before = bench.store.configuration(bench.app).await.unwrap().unwrap().version;
    let version = bench.store.commit(bench.app, Some(before), &puts).await.unwrap();
    let not_before = Some(Millis::now().after(HOUR));
    let target = |change: &Change| match change {
        Change::PutEndpoint(it) => Target { endpoint: it.id, strand: Strand::Live, not_before },
        _ => unreachable!(),
    };
    let header = bench.header();
    let message = Message { header: header.clone(), payload: "1".into() };
    let publication = Publication {
        record: message.encode().unwrap(),
        header,
        version,
        targets: puts.iter().map(target).collect(),
        fan_out: None,
        terms: Default::default(),
        dedup: vec![],
    };
    assert_eq!(bench.store.publish(vec![publication]).await.unwrap(), [Published::Accepted]);
}
