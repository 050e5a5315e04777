//! From a producer's request to a receiver's, on both engines.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;

use crate::{
    api::{Api, SECRET},
    process::{Engine, Form, PATIENCE, Process, Site, TOKEN},
    receiver::Receiver,
};

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole)]
#[case::redis(Engine::Redis, Form::Whole)]
#[case::redis_in_halves(Engine::Redis, Form::Halves)]
#[actix_rt::test]
async fn a_message_arrives_signed_and_unchanged(#[case] engine: Engine, #[case] form: Form) {
    let site = Site::new(engine);
    let process = site.deploy(form);
    process.ready().await;
    let (api, mut receiver) = (Api::of(&process.gateway), Receiver::start());
    api.subscribe(&receiver.url()).await;
    let payload = r#"{"b":1.10, "big":12345678901234567890123, "b":"ä"}"#;
    let message = api.publish(payload).await;
    let arrival = receiver.next().await;
    arrival.verify(SECRET);
    assert_eq!(arrival.id(), message);
    assert_eq!(arrival.body, payload.as_bytes());
    process.stop();
    assert_eq!(receiver.rest(), 0, "once is enough");
}

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole)]
#[case::redis(Engine::Redis, Form::Whole)]
#[case::redis_in_halves(Engine::Redis, Form::Halves)]
#[actix_rt::test]
async fn a_failing_endpoint_is_tried_again_under_the_same_id(
    #[case] engine: Engine,
    #[case] form: Form,
) {
    let site = Site::new(engine);
    let process = site.deploy(form);
    process.ready().await;
    let (api, mut receiver) = (Api::of(&process.gateway), Receiver::failing(2));
    api.subscribe(&receiver.url()).await;
    let message = api.publish(r#"{"hello":"world"}"#).await;
    for _ in 0..3 {
        let arrival = receiver.next().await;
        arrival.verify(SECRET);
        assert_eq!(arrival.id(), message);
    }
    process.stop();
    assert_eq!(receiver.rest(), 0, "it was taken at the third attempt");
}

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole)]
#[case::redis(Engine::Redis, Form::Whole)]
#[case::redis_in_halves(Engine::Redis, Form::Halves)]
#[actix_rt::test]
async fn what_was_accepted_outlives_the_process(#[case] engine: Engine, #[case] form: Form) {
    let site = Site::new(engine);
    let mut receiver = Receiver::failing(1);
    let slow = [("SLUICEGATE_DISPATCHER__RETRY_SCHEDULE", "3s")];
    let process = site.deploy_with(form, &slow);
    process.ready().await;
    let api = Api::of(&process.gateway);
    api.subscribe(&receiver.url()).await;
    let message = api.publish("{}").await;
    assert_eq!(receiver.next().await.id(), message);
    process.stop();
    let process = site.deploy(form);
    let arrival = receiver.next().await;
    arrival.verify(SECRET);
    assert_eq!(arrival.id(), message);
    process.stop();
}

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole)]
#[case::redis(Engine::Redis, Form::Whole)]
#[case::redis_in_halves(Engine::Redis, Form::Halves)]
#[actix_rt::test]
async fn what_is_given_up_shows_with_its_reason(#[case] engine: Engine, #[case] form: Form) {
    let site = Site::new(engine);
    let process = site.deploy(form);
    process.ready().await;
    let (api, mut receiver) = (Api::of(&process.gateway), Receiver::failing(usize::MAX));
    let endpoint = api.subscribe(&receiver.url()).await;
    let message = api.publish("{}").await;
    for _ in 0..3 {
        receiver.next().await;
    }
    let path = format!("app/demo/endpoint/{endpoint}/dead-letter");
    let letter = eventually(&api, &path, |list| list["data"].get(0).cloned()).await;
    assert_eq!(letter["msgId"], message.as_str(), "{letter}");
    assert_eq!(letter["reason"], "exhausted", "{letter}");
    let attempts = api.get(&format!("app/demo/attempt/msg/{message}")).await;
    assert_eq!(attempts["data"].as_array().map(Vec::len), Some(3), "{attempts}");
    process.stop();
}

/// Asks until the answer holds what is looked for: settling comes after the receiver's answer.
pub(crate) async fn eventually<T>(api: &Api, path: &str, find: impl Fn(&Value) -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        let answer = api.get(path).await;
        if let Some(found) = find(&answer) {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{path}: {answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[actix_rt::test]
async fn nothing_goes_to_this_machine_unless_allowed() {
    let site = Site::new(Engine::Embedded);
    let mut command = site.command(&[]);
    let process = Process::start(command.env("SLUICEGATE_API_TOKEN", TOKEN));
    process.ready().await;
    let (api, mut receiver) = (Api::of(&process), Receiver::start());
    api.post("app", r#"{"name": "Demo", "uid": "demo"}"#).await;
    let endpoint = format!(r#"{{"url": "{}"}}"#, receiver.url());
    let (status, answer) =
        api.call(reqwest::Method::POST, "app/demo/endpoint", Some(&endpoint)).await;
    assert_eq!(status.as_u16(), 422, "{answer}");
    process.stop();
    assert_eq!(receiver.rest(), 0);
}

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole)]
#[case::redis_in_halves(Engine::Redis, Form::Halves)]
#[actix_rt::test]
async fn a_message_brings_headers_and_a_time_of_its_own(
    #[case] engine: Engine,
    #[case] form: Form,
) {
    let site = Site::new(engine);
    let process = site.deploy(form);
    process.ready().await;
    let (api, mut receiver) = (Api::of(&process.gateway), Receiver::start());
    let endpoint = api.subscribe(&receiver.url()).await;
    let headers = r#"{"headers": {"x-tenant": "endpoint", "x-other": "endpoint"}}"#;
    let path = format!("app/demo/endpoint/{endpoint}/headers");
    api.call(reqwest::Method::PUT, &path, Some(headers)).await;
    let due = shared::time::Millis::now().after(Duration::from_secs(1));
    let message = format!(
        r#"{{"eventType": "demo.greeted", "payload": {{}}, "deliverAt": "{}",
            "sluicegate": {{"headers": {{"X-Tenant": "message"}}, "ttl": "1h"}}}}"#,
        due.rfc3339()
    );
    api.post("app/demo/msg", &message).await;
    let arrival = receiver.next().await;
    arrival.verify(SECRET);
    assert_eq!(arrival.header("x-tenant"), "message");
    assert_eq!(arrival.header("x-other"), "endpoint");
    // Signed as it was sent, so this is when; in whole seconds.
    let sent: u64 = arrival.header("webhook-timestamp").parse().unwrap();
    assert!(sent >= due.0 / 1000);
    process.stop();
}
