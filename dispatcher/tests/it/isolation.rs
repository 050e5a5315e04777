//! One endpoint's trouble is its own.

use std::time::Duration;

use rstest::rstest;

use crate::bench::{Bench, Engine, PATIENCE};

fn arrived(bench: &Bench, path: &str) -> usize {
    bench.sink.ask(|journal| journal.arrivals().iter().filter(|one| &*one.path == path).count())
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_hanging_endpoint_does_not_hold_up_its_neighbour_in_the_lane(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let hanging = bench.endpoint("/hang").await;
    let healthy = bench.neighbour(hanging, "/ok").await;
    bench.publish(hanging, 300).await;
    bench.publish(healthy, 50).await;
    let running = bench.dispatch(&[]).await;
    bench.sink.wait_for(50, PATIENCE).await.unwrap();
    // Nothing was answered at the other, so its window never grew.
    assert!(arrived(&bench, "/hang") <= 4);
    bench.publish(healthy, 50).await;
    bench.sink.wait_for(100, PATIENCE).await.unwrap();
    assert!(running.is_alive());
    running.abandon().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn endpoints_that_never_answered_leave_half_of_the_credits(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let healthy = bench.endpoint("/ok").await;
    bench.publish(healthy, 1).await;
    let running = bench.dispatch(&[]).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    // 40 windows of 4 would take 160 credits, of 256 in all.
    for _ in 0..40 {
        let hanging = bench.endpoint("/hang").await;
        bench.publish(hanging, 5).await;
    }
    let full = async || arrived(&bench, "/hang") == 128;
    bench.until("took their half", full).await;
    bench.publish(healthy, 20).await;
    bench.sink.wait_for(21, PATIENCE).await.unwrap();
    assert_eq!(arrived(&bench, "/hang"), 128);
    running.abandon().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_dead_endpoint_opens_its_breaker_and_drains_when_it_is_back(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    bench.sink.set_outage(Some(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR));
    let running = bench.dispatch(&[Duration::from_millis(500); 4]).await;
    bench.publish(endpoint, 200).await;
    let opened = async || running.metric("breakers_opened_total") == 1.0;
    bench.until("opened", opened).await;
    bench.sink.set_outage(None);
    bench.sink.wait_for(200, PATIENCE).await.unwrap();
    let failed =
        bench.sink.ask(|journal| journal.arrivals().iter().filter(|one| !one.accepted()).count());
    assert!(failed < 20, "{failed} attempts at a dead endpoint");
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    assert!(running.metric("deliveries_parked_total") > 100.0);
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    assert_eq!(running.metric("selfcheck_found_total"), 0.0);
    running.stop().await;
}

#[actix_rt::test]
async fn a_proven_endpoint_does_not_stand_in_line_behind_one_that_hangs() {
    let bench = Bench::new(Engine::Embedded).await;
    let hanging = bench.endpoint("/hang").await;
    let healthy = bench.neighbour(hanging, "/ok").await;
    let busy = bench.stranger(hanging, "/ok?busy").await;
    let running = bench.dispatch_with(&[], |config| config.max_in_flight = 4).await;
    for queue in [healthy, busy] {
        let before = bench.sink.ask(|journal| journal.delivered());
        bench.publish(queue, 1).await;
        bench.sink.wait_for(before + 1, PATIENCE).await.unwrap();
    }
    bench.change(healthy, |endpoint| endpoint.disabled = true).await;
    bench.publish(healthy, 1).await;
    let waits = async || bench.store.waiting(healthy).await.unwrap() == 1;
    bench.until("waited", waits).await;
    // One hangs with the half that it may have, and is hungry; the other takes the rest for a while.
    let slow = bench.sink.url("/slow/1000");
    bench.change(busy, |endpoint| endpoint.url = slow).await;
    bench.publish(hanging, 4).await;
    let hangs = async || bench.sink.in_flight() == 2;
    bench.until("hangs", hangs).await;
    bench.publish(busy, 2).await;
    let full = async || bench.sink.in_flight() == 4;
    bench.until("took all credits", full).await;
    bench.change(healthy, |endpoint| endpoint.disabled = false).await;
    bench.sink.wait_for(5, PATIENCE).await.unwrap();
    running.abandon().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn one_429_holds_its_whole_endpoint_for_the_time_it_names_and_nothing_else(
    #[case] engine: Engine,
) {
    let bench = Bench::new(engine).await;
    let limited = bench.endpoint("/retry-after/3").await;
    let neighbour = bench.neighbour(limited, "/ok?neighbour").await;
    let stranger = bench.stranger(limited, "/ok?stranger").await;
    let running = bench.dispatch(&[]).await;
    bench.publish(limited, 1).await;
    let refused = async || running.metric("attempts_total") == 1.0;
    bench.until("was refused", refused).await;
    for queue in [limited, neighbour, stranger] {
        bench.publish(queue, 5).await;
    }
    let again = async || arrived(&bench, "/retry-after/3") >= 2;
    bench.until("was tried again", again).await;
    let (before, held) = bench.sink.ask(|journal| {
        let at = |arrival: &loadtests::journal::Arrival| arrival.received;
        let limited: Vec<_> =
            journal.arrivals().iter().filter(|one| one.path.starts_with("/retry")).collect();
        let others = journal.arrivals().iter().filter(|one| one.path.starts_with("/ok"));
        let before = others.filter(|one| one.received < at(limited[1])).count();
        (before, at(limited[1]) - at(limited[0]))
    });
    assert!(held >= Duration::from_secs(3), "held for {held:?}");
    assert_eq!(before, 10);
    // None of its messages used up its only step.
    assert!(bench.dead_letters(limited).await.is_empty());
    running.abandon().await;
}
