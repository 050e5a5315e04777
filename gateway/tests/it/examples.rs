//! Examples of event types, sent to one endpoint.

use serde_json::{Value, json};
use shared::domain::Queue;

use crate::{harness::fresh, history::first_delivery};

#[tokio::test]
async fn an_example_goes_to_one_endpoint_whatever_it_asks_for() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await.parse().unwrap();
    let other = api.endpoint("acme").await;
    let picky = json!({"url": "https://example.com/", "uid": "picky", "filterTypes": ["b"], "channels": ["c"]});
    let picky = api.post("/app/acme/endpoint", picky).await.expect(201);
    let schema = |first: u8| json!({"examples": [{"n": first}, {"n": first + 1}]});
    let schemas = json!({"1": schema(1), "10": schema(10), "2": schema(2)});
    let event_type = json!({"name": "a", "description": "", "schemas": schemas});
    api.post("/event-type", event_type).await.expect(201);

    let path = "/app/acme/endpoint/picky/send-example";
    for (body, payload) in [
        (json!({"eventType": "a"}), json!({"n": 10})),
        (json!({"eventType": "a", "exampleIndex": 1}), json!({"n": 11})),
        (json!({"eventType": "new", "payload": {"own": 1}}), json!({"own": 1})),
        (json!({"eventType": "svix.ping"}), json!({"success": true})),
    ] {
        let sent = api.post(path, body.clone()).await.expect(202);
        assert_eq!((&sent["eventType"], &sent["payload"]), (&body["eventType"], &payload));
        let recipients = format!("/app/acme/msg/{}/endpoint", sent["id"].as_str().unwrap());
        let recipients = api.get(&recipients).await.expect(200);
        let ids: Vec<&Value> =
            recipients["data"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
        assert_eq!(ids, [&picky["id"]], "{body}");
    }
    let queue = Queue::live(app, picky["id"].as_str().unwrap().parse().unwrap());
    let (_, delivery) = first_delivery(&stored.store, queue.lane()).await;
    assert_eq!(delivery.endpoint, queue.endpoint, "and not {other}");
    // Nor has another endpoint missed them.
    let path = format!("/app/acme/endpoint/{other}/replay-missing?dryRun=true");
    let missed = api.post(&path, json!({"since": "2020-01-01T00:00:00Z"})).await.expect(200);
    assert_eq!(missed["messages"], 0);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let endpoint = api.endpoint("acme").await;
    let path = format!("/app/acme/endpoint/{endpoint}/send-example");
    let plain = json!({"name": "plain", "description": "", "schemas": {"1": {"type": "object"}}});
    api.post("/event-type", plain).await.expect(201);
    let plain = json!({"eventType": "plain"});
    api.post(&path, plain.clone()).await.expect_error(422, "validation_failed");
    api.post(&path, json!({"eventType": "unknown"})).await.expect_error(404, "not_found");
    let unknown = "/app/acme/endpoint/unknown/send-example";
    api.post(unknown, plain).await.expect_error(404, "not_found");
    api.patch(&format!("/app/acme/endpoint/{endpoint}"), json!({"disabled": true}))
        .await
        .expect(200);
    api.post(&path, json!({"eventType": "svix.ping"})).await.expect_error(409, "conflict");
}
