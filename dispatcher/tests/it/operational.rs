//! What the operator is told, and that he is told nothing of being told.

use std::{collections::BTreeMap, time::Duration};

use rstest::rstest;
use serde_json::Value;
use shared::{
    domain::{Message, MessageHeader},
    operational::APPLICATION,
    store::PageRequest,
};

use crate::bench::{Bench, Engine};

const SOON: Duration = Duration::from_millis(10);

/// What was published to the operator so far.
async fn told(bench: &Bench) -> Vec<MessageHeader> {
    let page = PageRequest { limit: 1000, ..PageRequest::default() };
    let page = bench.store.messages(APPLICATION, &page).await.unwrap();
    page.entries.into_iter().map(|(_, header)| header).collect()
}

async fn types(bench: &Bench) -> BTreeMap<String, usize> {
    let mut types = BTreeMap::new();
    for header in told(bench).await {
        *types.entry(header.event_type).or_default() += 1;
    }
    types
}

async fn payload(bench: &Bench, event_type: &str) -> Value {
    let headers = told(bench).await;
    let header = headers.iter().find(|header| header.event_type == event_type).unwrap();
    let record = bench.store.message(APPLICATION, header.id).await.unwrap().unwrap();
    serde_json::from_slice(&Message::decode(&record).unwrap().payload).unwrap()
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn the_operator_is_told_once_of_each_occurrence(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    bench.operator("/ok?operator").await;
    // Fails as often as makes it failing, and recovers.
    let recovers = bench.endpoint("/fail/4").await;
    let exhausted = bench.endpoint("/status/404").await;
    let gone = bench.endpoint("/gone").await;
    // A breaker opens after ten failures.
    let down = bench.endpoint("/status/500").await;
    bench.change_application(|application| application.uid = Some("acme".into())).await;
    let none = serde_json::from_str(r#"{"schedule": []}"#).unwrap();
    bench.change(exhausted, |endpoint| endpoint.settings.retry = Some(none)).await;
    let none = serde_json::from_str(r#"{"schedule": []}"#).unwrap();
    bench.change(down, |endpoint| endpoint.settings.retry = Some(none)).await;
    for (queue, count) in [(recovers, 1), (exhausted, 2), (gone, 1), (down, 10)] {
        bench.publish(queue, count).await;
    }
    let running = bench.dispatch(&[SOON; 6]).await;
    let expected = BTreeMap::from([
        ("endpoint.breaker.opened".to_owned(), 1),
        ("endpoint.disabled".to_owned(), 1),
        ("message.attempt.exhausted".to_owned(), 13),
        ("message.attempt.failing".to_owned(), 1),
        ("message.attempt.recovered".to_owned(), 1),
    ]);
    bench.until("told", async || types(&bench).await == expected).await;
    bench.until("came to rest", async || bench.is_at_rest().await).await;
    assert_eq!(types(&bench).await, expected);
    let arrived = bench.sink.ask(|journal| {
        journal.arrivals().iter().filter(|arrival| &*arrival.path == "/ok?operator").count()
    });
    assert_eq!(arrived, 17, "the engine delivers what was told");
    assert_eq!(running.metric("operational_events_total"), 17.0);

    let disabled = payload(&bench, "endpoint.disabled").await;
    assert_eq!(disabled["data"]["endpointId"], gone.endpoint.to_string());
    assert_eq!(disabled["data"]["appUid"], "acme");
    assert_eq!(disabled["data"]["trigger"], "automatic");
    let failing = payload(&bench, "message.attempt.failing").await;
    assert_eq!(failing["data"]["endpointId"], recovers.endpoint.to_string());
    assert_eq!(failing["data"]["lastAttempt"]["responseStatusCode"], 503);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn the_operators_own_endpoints_are_not_told_of(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    bench.operator("/gone").await;
    let endpoint = bench.endpoint("/status/404").await;
    bench.publish(endpoint, 2).await;
    let running = bench.dispatch(&[]).await;
    // It is disabled at the first: then nobody listens.
    let disabled = async || running.metric("endpoints_disabled_total") == 1.0;
    bench.until("was disabled", disabled).await;
    running.stop().await;
    let types = types(&bench).await;
    assert_eq!(types.keys().collect::<Vec<_>>(), ["message.attempt.exhausted"]);
}

#[actix_rt::test]
async fn nothing_is_written_while_nobody_listens() {
    let bench = Bench::new(Engine::Embedded).await;
    let endpoint = bench.endpoint("/status/404").await;
    bench.publish(endpoint, 5).await;
    let running = bench.dispatch(&[]).await;
    let dead = async || bench.dead_letters(endpoint).await.len() == 5;
    bench.until("died", dead).await;
    running.stop().await;
    assert!(told(&bench).await.is_empty());
    assert!(bench.store.configuration(APPLICATION).await.unwrap().is_none());
}
