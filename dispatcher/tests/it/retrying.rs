//! What becomes of a delivery that did not arrive at once.

use std::time::Duration;

use rstest::rstest;
use shared::domain::{AttemptStatus, DeadReason};
use shared::store::{Order, PageRequest};

use crate::bench::{Bench, Engine};

const SOON: Duration = Duration::from_millis(20);

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn the_schedule_leads_to_delivery_or_to_a_dead_letter(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let (late, never) = (bench.endpoint("/fail/2").await, bench.endpoint("/status/500").await);
    let delivered = bench.publish(late, 1).await[0];
    let given_up = bench.publish(never, 1).await[0];
    let running = bench.dispatch(&[SOON, SOON]).await;
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;

    let page = PageRequest { after: None, order: Order::OldestFirst, limit: 10 };
    let attempts = bench.store.message_attempts(bench.app, delivered, &page).await.unwrap();
    let attempts: Vec<_> = attempts.entries.into_iter().map(|(_, attempt)| attempt).collect();
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(attempts[2].status, AttemptStatus::Success);
    assert!(attempts[0].next.is_some() && attempts[2].next.is_none());
    assert!(bench.dead_letters(late).await.is_empty());

    let letters = bench.dead_letters(never).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].message, given_up);
    assert_eq!((letters[0].reason, letters[0].attempts), (DeadReason::Exhausted, 3));
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn gone_is_final(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/gone").await;
    bench.publish(endpoint, 1).await;
    let running = bench.dispatch(&[SOON]).await;
    let dead = async || !bench.dead_letters(endpoint).await.is_empty();
    bench.until("died", dead).await;
    assert_eq!(bench.dead_letters(endpoint).await[0].reason, DeadReason::Gone);
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 1);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_receiver_that_names_a_time_is_not_asked_before(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/retry-after/2").await;
    bench.publish(endpoint, 1).await;
    // No step of a schedule is left: a failure would be final.
    let running = bench.dispatch(&[]).await;
    let twice = async || bench.sink.ask(|journal| journal.arrivals().len()) >= 2;
    bench.until("tried again", twice).await;
    let gap =
        bench.sink.ask(|journal| journal.arrivals()[1].received - journal.arrivals()[0].received);
    assert!(gap >= Duration::from_secs(2), "tried again after {gap:?}");
    assert!(bench.dead_letters(endpoint).await.is_empty());
    running.abandon().await;
}
