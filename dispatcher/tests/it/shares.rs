//! Who shares what a dispatcher can hold: nobody takes so much that others wait for long.

use rstest::rstest;

use crate::bench::{Bench, Engine, PATIENCE};

/// How many requests came before the last one to this path.
fn before_the_last(bench: &Bench, path: &str) -> usize {
    bench.sink.ask(|journal| {
        let last = journal.arrivals().iter().rposition(|arrival| *arrival.path == *path);
        last.unwrap()
    })
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn an_application_with_many_endpoints_leaves_room_for_another(#[case] engine: Engine) {
    let mut bench = Bench::new(engine).await;
    for nth in 0..12 {
        let busy = bench.endpoint(&format!("/slow/20?{nth}")).await;
        bench.publish(busy, 25).await;
    }
    let running = bench.dispatch_with(&[], |config| config.max_in_flight = 8).await;
    bench.sink.wait_for(40, PATIENCE).await.unwrap();
    bench.next_application().await;
    let small = bench.endpoint("/slow/20?small").await;
    bench.publish(small, 15).await;
    bench.sink.wait_for(12 * 25 + 15, PATIENCE).await.unwrap();
    running.stop().await;
    // One of thirteen endpoints, but a quarter of the credits and more: otherwise it would be among
    // the last.
    let before = before_the_last(&bench, "/slow/20?small");
    assert!(before <= 200, "{before} of 315");
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_great_body_has_its_turn_among_small_ones(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let small = bench.endpoint("/slow/10?small").await;
    let great = bench.endpoint("/ok?great").await;
    let payload = |kib: usize| format!("\"{}\"", "x".repeat(kib << 10));
    for _ in 0..3 {
        bench.publish_body(small, 100, &payload(9)).await;
    }
    let running = bench.dispatch_with(&[], |config| config.max_body_bytes = 64 << 10).await;
    bench.sink.wait_for(50, PATIENCE).await.unwrap();
    bench.publish_body(great, 1, &payload(60)).await;
    bench.sink.wait_for(301, PATIENCE).await.unwrap();
    running.stop().await;
    let before = before_the_last(&bench, "/ok?great");
    assert!(before <= 180, "{before} of 300");
}
