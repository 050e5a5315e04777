//! Sending again what was given up, and what an endpoint never got.

use rstest::rstest;
use serde_json::Value;

use crate::{
    api::{Api, SECRET},
    delivery::eventually,
    process::{Engine, Form, Site},
    receiver::Receiver,
};

const SINCE: &str = r#"{"since": "2026-01-01T00:00:00Z"}"#;

/// Waits for the end of a task.
async fn finished(api: &Api, task: &Value) -> Value {
    let path = format!("background-task/{}", task["id"].as_str().unwrap());
    eventually(api, &path, |task| (task["status"] == "finished").then(|| task.clone())).await
}

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole)]
#[case::redis_in_halves(Engine::Redis, Form::Halves)]
#[actix_rt::test]
async fn what_was_given_up_is_recovered_and_what_was_missed_replayed(
    #[case] engine: Engine,
    #[case] form: Form,
) {
    let site = Site::new(engine);
    let process = site.deploy(form);
    process.ready().await;
    // It fails as often as the schedule tries.
    let (api, mut receiver) = (Api::of(&process.gateway), Receiver::failing(3));
    let endpoint = api.subscribe(&receiver.url()).await;
    let message = api.publish(r#"{"hello":"world"}"#).await;
    for _ in 0..3 {
        receiver.next().await;
    }
    let letters = format!("app/demo/endpoint/{endpoint}/dead-letter");
    eventually(&api, &letters, |list| list["data"].get(0).cloned()).await;
    let recover = format!("app/demo/endpoint/{endpoint}/recover");
    let dry_run = api.post(&format!("{recover}?dryRun=true"), SINCE).await;
    assert_eq!(dry_run["messages"], 1, "{dry_run}");
    let task = api.post(&recover, SINCE).await;
    let arrival = receiver.next().await;
    arrival.verify(SECRET);
    assert_eq!(arrival.id(), message);
    let task = finished(&api, &task).await;
    assert_eq!(task["data"]["messagesSent"], 1, "{task}");
    assert_eq!(task["data"]["sluicegate"]["done"], task["data"]["sluicegate"]["of"], "{task}");
    assert_eq!(api.get(&letters).await["data"].as_array().map(Vec::len), Some(0));

    let mut late = Receiver::start();
    let other = api.endpoint(&late.url()).await;
    let task = api.post(&format!("app/demo/endpoint/{other}/replay-missing"), SINCE).await;
    assert_eq!(late.next().await.id(), message);
    assert_eq!(finished(&api, &task).await["data"]["messagesSent"], 1);
    process.stop();
    assert_eq!((receiver.rest(), late.rest()), (0, 0));
}
