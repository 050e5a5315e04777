//! Who gets which message: by its payload, and only if that fits its type's schema.

use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;

use crate::{
    api::{Api, SECRET},
    process::{Engine, Form, Site},
    receiver::Receiver,
};

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole)]
#[case::redis_in_halves(Engine::Redis, Form::Halves)]
#[actix_rt::test]
async fn a_batch_is_filtered_validated_and_delivered(#[case] engine: Engine, #[case] form: Form) {
    let site = Site::new(engine);
    let process = site.deploy(form);
    process.ready().await;
    let (api, mut all, mut great) =
        (Api::of(&process.gateway), Receiver::start(), Receiver::start());
    api.subscribe(&all.url()).await;
    let filter =
        json!({"all": [{"pointer": "/amount", "gte": 100}, {"pointer": "/paid", "exists": true}]});
    let endpoint = json!({"url": great.url(), "secret": SECRET, "sluicegate": {"filter": filter}});
    api.post("app/demo/endpoint", &endpoint.to_string()).await;
    let schema = json!({"properties": {"amount": {"type": "integer"}}});
    let event_type = json!({
        "name": "order", "description": "", "schemas": {"1": schema}, "sluicegate": {"validate": true},
    });
    api.post("event-type", &event_type.to_string()).await;

    let message = |payload| json!({"eventType": "order", "payload": payload});
    let batch = json!([
        message(json!({"amount": 100, "paid": true})),
        message(json!({"amount": "100", "paid": true})),
        message(json!({"amount": 99, "paid": true})),
    ]);
    let (status, answer) =
        api.call(Method::POST, "app/demo/msg/batch", Some(&batch.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((&answer["accepted"], &answer["data"][1]["status"]), (&json!(2), &json!(422)));
    let arrival = great.next().await;
    arrival.verify(SECRET);
    assert_eq!(arrival.id(), answer["data"][0]["id"]);
    for _ in 0..2 {
        all.next().await.verify(SECRET);
    }
    process.stop();
    assert_eq!((all.rest(), great.rest()), (0, 0));
}
