//! Paused and disabled endpoints: nothing is sent, nothing is lost, and nobody asks all the time.

use std::{sync::atomic::Ordering, time::Duration};

use rstest::rstest;
use shared::{
    domain::{Endpoint, Queue},
    store::PageRequest,
};

use crate::bench::{Bench, Engine, PATIENCE};

/// Waits until all that was published to an endpoint waits there.
async fn wait(bench: &Bench, queue: Queue, count: u64) {
    let waits = async || bench.store.waiting(queue).await.unwrap() == count;
    bench.until("waited", waits).await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_paused_endpoint_gets_nothing_until_it_is_resumed(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let (paused, other) = (bench.endpoint("/ok?paused").await, bench.endpoint("/ok").await);
    let running = bench.dispatch(&[]).await;
    // It is being served when it is paused.
    bench.publish(paused, 1).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    bench.change(paused, |endpoint| endpoint.settings.paused = true).await;
    let messages = bench.publish(paused, 20).await;
    bench.publish(other, 20).await;
    bench.sink.wait_for(21, PATIENCE).await.unwrap();
    wait(&bench, paused, 20).await;
    let page = PageRequest { limit: 10, ..PageRequest::default() };
    let attempts = bench.store.message_attempts(bench.app, messages[0], &page).await.unwrap();
    assert!(attempts.entries.is_empty(), "an attempt was used up");

    bench.change(paused, |endpoint| endpoint.settings.paused = false).await;
    bench.sink.wait_for(41, PATIENCE).await.unwrap();
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    assert!(bench.sink.ask(|journal| journal.arrivals().iter().all(|one| one.attempt == 1)));
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_paused_application_is_resumed_in_all_its_lanes(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let mut queues = vec![bench.endpoint("/ok?0").await];
    for number in 1..4 {
        queues.push(bench.stranger(queues[0], &format!("/ok?{number}")).await);
    }
    bench.change_application(|application| application.settings.paused = true).await;
    let running = bench.dispatch(&[]).await;
    for queue in &queues {
        bench.publish(*queue, 5).await;
        wait(&bench, *queue, 5).await;
    }
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 0);
    bench.change_application(|application| application.settings.paused = false).await;
    bench.sink.wait_for(20, PATIENCE).await.unwrap();
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    running.stop().await;
}

/// Before the nudge has come, the lane learns from the store that an endpoint is closed.
#[rstest]
#[case::disabled(|endpoint: &mut Endpoint| endpoint.disabled = true)]
#[case::paused(|endpoint: &mut Endpoint| endpoint.settings.paused = true)]
#[actix_rt::test]
async fn a_closed_endpoint_is_not_asked_for_again(#[case] close: fn(&mut Endpoint)) {
    let (bench, store) = Bench::scripted(Engine::Embedded).await;
    let endpoint = bench.endpoint("/ok").await;
    let running = bench.dispatch(&[]).await;
    bench.publish(endpoint, 1).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    store.hides_nudges.store(true, Ordering::SeqCst);
    let open = bench.store.configuration(bench.app).await.unwrap().unwrap();
    bench.publish(endpoint, 5).await;
    bench.sink.wait_for(6, PATIENCE).await.unwrap();
    bench.change(endpoint, close).await;
    bench.publish(endpoint, 5).await;
    wait(&bench, endpoint, 5).await;
    let before = store.fetches.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = store.fetches.load(Ordering::SeqCst) - before;
    assert!(asked <= 1, "its bodies were asked for {asked} times");
    assert_eq!(bench.sink.ask(|journal| journal.delivered()), 6);

    let before = open.endpoints[&endpoint.endpoint].as_ref().clone();
    bench.change(endpoint, |now| *now = before).await;
    // The self-check finds the nudges.
    store.hides_nudges.store(false, Ordering::SeqCst);
    bench.sink.wait_for(11, PATIENCE).await.unwrap();
    running.stop().await;
}

/// What a process knew of an application when it served it before may be old.
#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn that_an_endpoint_is_closed_is_believed_of_the_store_only(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    bench.change(endpoint, |endpoint| endpoint.settings.paused = true).await;
    let first = bench.dispatch(&[]).await;
    bench.publish(endpoint, 1).await;
    wait(&bench, endpoint, 1).await;
    let owner = async || {
        let lease = bench.store.leases(&[endpoint.lane()]).await.unwrap().remove(0);
        lease.and_then(|lease| lease.owner)
    };
    let before = owner().await;
    // Another node takes the lane, hears of the change, and leaves. Which lanes it takes is chance.
    let second = loop {
        let node = bench.dispatch(&[]).await;
        let shared = async || {
            let (kept, taken) = (first.metric("lanes_owned"), node.metric("lanes_owned"));
            taken > 0.0 && kept + taken == 64.0
        };
        bench.until("shared the lanes", shared).await;
        if owner().await != before {
            break node;
        }
        node.stop().await;
    };
    bench.change(endpoint, |endpoint| endpoint.settings.paused = false).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    second.stop().await;
    bench.publish(endpoint, 1).await;
    bench.sink.wait_for(2, PATIENCE).await.unwrap();
    first.stop().await;
}
