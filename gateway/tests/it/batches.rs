//! Many messages with one request.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shared::store::{ErrorKind, SharedStore};

use crate::{
    harness::{Answer, Api, fresh, send, stored},
    scripted::{Act, Scripted},
};

const PATH: &str = "/app/acme/msg/batch";

async fn lines(api: &Api, body: &str, key: Option<&str>) -> Answer {
    let request = api.request(Method::POST, PATH).header("content-type", "application/x-ndjson");
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    send(request.body(body.to_owned())).await
}

fn statuses(answer: &Value) -> Vec<u64> {
    answer["data"].as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect()
}

fn ids(answer: &Value) -> Vec<String> {
    let items = answer["data"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_array_and_lines_are_stored_like_single_messages() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let items: Vec<_> = (0..300).map(|n| json!({"eventType": "a", "payload": {"n": n}})).collect();
    let answer = api.post(PATH, json!(items)).await;
    assert!(answer.headers.contains_key("sluicegate-durability"));
    let answer = answer.expect(202);
    assert_eq!((&answer["accepted"], &answer["failed"]), (&json!(300), &json!(0)));
    for (n, id) in ids(&answer).iter().enumerate().step_by(60) {
        let message = api.get(&format!("/app/acme/msg/{id}")).await.expect(200);
        assert_eq!(message["payload"], json!({"n": n}));
    }
    let text = "{\"eventType\": \"a\", \"payload\": { \"raw\" : 1.10 }}\r\n\n{\"eventType\": \"b\", \"payload\": 1}";
    let answer = lines(&api, text, None).await.expect(202);
    let first = api.get(&format!("/app/acme/msg/{}", ids(&answer)[0])).await;
    assert!(first.text.contains("{ \"raw\" : 1.10 }"), "byte for byte: {}", first.text);
}

#[tokio::test]
async fn each_message_is_judged_by_itself() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let answer = api
        .post(
            PATH,
            json!([
                {"eventType": "a", "payload": {}, "eventId": "one"},
                {"eventType": "a b", "payload": {}},
                {"eventType": "a", "payload": {}, "eventId": "one"},
                {"eventType": "a"},
                {"eventType": "a", "payload": {}, "application": {"name": "other"}},
                7,
                {"eventType": "a", "payload": "x".repeat(70_000)},
                {"eventType": "a", "payload": {}, "eventId": "two"},
            ]),
        )
        .await
        .expect(200);
    assert_eq!(statuses(&answer), [202, 422, 409, 422, 422, 422, 413, 202], "{answer}");
    assert_eq!((&answer["accepted"], &answer["failed"]), (&json!(2), &json!(6)));
    assert_eq!(answer["data"][0]["eventId"], "one");
    assert_eq!(answer["data"][1]["code"], "validation_failed");
    assert_eq!(answer["data"][1]["detail"][0]["loc"], json!(["body", "eventType"]));
    api.get("/app/acme/msg/two").await.expect(200);

    let broken = "{\"eventType\": \"a\", \"payload\": {}}\n{\"eventType\": \n";
    assert_eq!(statuses(&lines(&api, broken, None).await.expect(200)), [202, 400]);
}

#[tokio::test]
async fn a_repeated_batch_is_answered_again() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let body = "{\"eventType\": \"a\", \"payload\": 1}\n{\"eventType\": \"a\", \"payload\": 1}";
    let first = ids(&lines(&api, body, Some("k")).await.expect(202));
    assert_ne!(first[0], first[1]);
    assert_eq!(ids(&lines(&api, body, Some("k")).await.expect(202)), first);
    let other = body.replace("\"payload\": 1}\n", "\"payload\": 2}\n");
    assert_eq!(statuses(&lines(&api, &other, Some("k")).await.expect(200)), [422, 202]);

    let own = json!([{"eventType": "a", "payload": 1, "sluicegate": {"idempotencyKey": "own"}}]);
    let first = ids(&api.post(PATH, own.clone()).await.expect(202));
    assert_eq!(ids(&api.post(PATH, own.clone()).await.expect(202)), first);
    assert_eq!(api.post("/app/acme/msg", own[0].clone()).await.expect(202)["id"], first[0]);
    let empty = json!({"eventType": "a", "payload": 1, "sluicegate": {"idempotencyKey": ""}});
    api.post("/app/acme/msg", empty).await.expect_error(422, "validation_failed");
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let (api, _stored) = fresh().await;
    let one = json!({"eventType": "a", "payload": {}});
    api.post(PATH, json!([one])).await.expect_error(404, "not_found");
    api.application("acme").await;
    api.post(PATH, json!([])).await.expect_error(400, "bad_request");
    api.post(PATH, one.clone()).await.expect_error(422, "validation_failed");
    api.post(PATH, json!(vec![1; 1001])).await.expect_error(400, "bad_request");
    lines(&api, "\n\n", None).await.expect_error(400, "bad_request");
    let large = json!(vec!["x".repeat(60_000); 9]);
    api.post(PATH, large).await.expect_error(413, "payload_too_large");
    let request = api.request(Method::POST, PATH).header("content-type", "text/csv").body("a,b");
    send(request).await.expect_error(415, "unsupported_media_type");
    // The word is an event id like any other.
    let named = json!({"eventType": "a", "payload": {}, "eventId": "batch"});
    let id = api.post("/app/acme/msg", named).await.expect(202)["id"].clone();
    assert_eq!(api.get(PATH).await.expect(200)["id"], id);
}

#[tokio::test]
async fn the_store_is_asked_in_batches_and_no_more_once_it_has_failed() {
    let stored = stored();
    // So long that what is under way waits together for the next call, on a busy machine too.
    let slow = (0..640).map(|_| Act::Take(Duration::from_millis(50)));
    let scripted = Scripted::new(stored.store.clone(), slow);
    let store = scripted.clone() as SharedStore;
    let api = Api::start(&store).await;
    api.application("acme").await;
    let items = json!(vec![json!({"eventType": "a", "payload": {}}); 640]);
    api.post(PATH, items.clone()).await.expect(202);
    let calls = scripted.batches.lock().unwrap().len();
    assert!(calls <= 20, "{calls} calls for 640 messages");

    let refusals = (0..200).map(|_| Act::Refuse(ErrorKind::Unavailable));
    let scripted = Scripted::new(stored.store.clone(), refusals);
    let store = scripted.clone() as SharedStore;
    let api = Api::start(&store).await;
    let answer = api.post(PATH, items).await.expect(200);
    assert_eq!(statuses(&answer), [503; 640]);
    let asked: usize = scripted.batches.lock().unwrap().iter().sum();
    assert!(asked < 640, "the store was asked for {asked} messages after it had failed");
}
