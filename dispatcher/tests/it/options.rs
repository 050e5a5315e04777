//! What a message asks for: when it is delivered, until when, and what is left of it.

use std::time::Duration;

use rstest::rstest;
use shared::{
    domain::{Attempt, DeadReason, Message, MessageOptions},
    store::{Order, PageRequest},
    time::Millis,
};

use crate::bench::{Bench, Engine, PATIENCE};

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_delayed_message_is_not_sent_before_its_time_also_by_the_next_owner(
    #[case] engine: Engine,
) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let first = bench.dispatch(&[]).await;
    let due = Millis::now().after(Duration::from_millis(1500));
    let options = MessageOptions { deliver_at: Some(due), ..Default::default() };
    bench.publish_with(endpoint, options, Some(due)).await;
    let parked = async || bench.store.waiting(endpoint).await.unwrap() == 1;
    bench.until("was parked", parked).await;
    first.stop().await;
    let second = bench.dispatch(&[]).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    let tried = async || {
        let page = PageRequest { limit: 1, order: Order::OldestFirst, after: None };
        let page = bench.store.endpoint_attempts(endpoint, &page).await.unwrap();
        page.entries.first().map(|(_, attempt)| attempt.at)
    };
    bench.until("was written down", async || tried().await.is_some()).await;
    assert!(tried().await >= Some(due));
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 1);
    second.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_message_whose_time_is_over_is_not_sent_any_more(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/fail/9").await;
    // Its first retry comes too late.
    let end = Millis::now().after(Duration::from_millis(800));
    let options = MessageOptions { expires_at: Some(end), ..Default::default() };
    let running = bench.dispatch(&[Duration::from_secs(1); 9]).await;
    let message = bench.publish_with(endpoint, options, None).await;
    let over = MessageOptions { expires_at: Some(Millis::now()), ..Default::default() };
    let late = bench.publish_with(endpoint, over, None).await;
    let died = async || bench.dead_letters(endpoint).await.len() == 2;
    bench.until("died", died).await;
    let letters = bench.dead_letters(endpoint).await;
    assert!(letters.iter().all(|letter| letter.reason == DeadReason::Expired), "{letters:?}");
    let page = PageRequest { limit: 10, ..Default::default() };
    let attempts = bench.store.endpoint_attempts(endpoint, &page).await.unwrap().entries;
    let in_time = |(_, attempt): &(_, Attempt)| attempt.message == message && attempt.at < end;
    assert!(attempts.iter().all(in_time) && attempts.len() < 2, "{attempts:?}");
    assert_ne!(late, message);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn what_was_expunged_ends_as_a_dead_letter(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let message = bench.publish(endpoint, 1).await[0];
    let record = bench.store.message(bench.app, message).await.unwrap().unwrap();
    let bare = Message::decode(&record).unwrap().expunged().encode().unwrap();
    assert!(bench.store.expunge(bench.app, message, bare).await.unwrap());
    let running = bench.dispatch(&[]).await;
    let died = async || !bench.dead_letters(endpoint).await.is_empty();
    bench.until("died", died).await;
    assert_eq!(bench.dead_letters(endpoint).await[0].reason, DeadReason::Expunged);
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 0);
    running.stop().await;
}
