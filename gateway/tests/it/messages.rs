//! Publishing: what is stored, what is told apart, what is found again.

use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    domain::Message,
    placement::Lane,
    store::{Entry, EntryId, SharedStore},
};

use crate::harness::{Answer, Api, fresh, send, stored};

async fn published(api: &Api, app: &str, key: Option<&str>, body: &str) -> Answer {
    let mut request = api.request(Method::POST, &format!("/app/{app}/msg"));
    request = request.header("content-type", "application/json").body(body.to_owned());
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    send(request).await
}

/// The deliveries in all lanes: endpoint and message.
async fn deliveries(store: &SharedStore) -> Vec<(String, String)> {
    let mut found = vec![];
    for lane in Lane::all() {
        for (_, entry) in store.page(lane, EntryId::START, 1000).await.unwrap() {
            if let Entry::Delivery { delivery, .. } = entry {
                found.push((delivery.endpoint.to_string(), delivery.message.to_string()));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_payload_is_kept_byte_for_byte() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await;
    let payload = r#"{ "n" : 1.10000000000000000000001, "n":1e400,"s":"\u00e9é\/" ,
        "list":[ ] }"#;
    let body = format!(r#"{{"eventType":"a.b","payload":  {payload} ,"eventId":"e1"}}"#);
    let answer = published(&api, "acme", None, &body).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.headers["sluicegate-durability"], "process");
    assert!(answer.text.contains(payload), "{}", answer.text);
    #[derive(serde::Deserialize)]
    struct Out {
        id: String,
    }
    let id = serde_json::from_str::<Out>(&answer.text).unwrap().id;

    let record = stored.store.message(app.parse().unwrap(), id.parse().unwrap()).await.unwrap();
    assert_eq!(Message::decode(&record.unwrap()).unwrap().payload, payload.as_bytes());
    for name in [id.as_str(), "e1"] {
        let found = api.get(&format!("/app/acme/msg/{name}")).await;
        assert_eq!(found.text, answer.text);
        let bare = api.get(&format!("/app/acme/msg/{name}?with_content=false")).await.expect(200);
        assert_eq!(bare["payload"], json!({}));
    }
    assert!(api.get("/app/acme/msg").await.text.contains(payload));
}

#[tokio::test]
async fn a_message_goes_to_whom_it_concerns() {
    let (api, stored) = fresh().await;
    api.application("acme").await;
    let endpoint = async |more: Value| {
        let mut body = json!({"url": "https://example.com/"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let created = api.post("/app/acme/endpoint", body).await.expect(201);
        created["id"].as_str().unwrap().to_owned()
    };
    let all = endpoint(json!({})).await;
    let typed = endpoint(json!({"filterTypes": ["a"]})).await;
    let channel = endpoint(json!({"channels": ["c"]})).await;
    endpoint(json!({"eventTypes": ["b"]})).await;
    endpoint(json!({"disabled": true})).await;
    let body = json!({"eventType": "a", "payload": {}, "channels": ["c", "d"]});
    let id = api.post("/app/acme/msg", body).await.expect(202)["id"].as_str().unwrap().to_owned();
    let mut expected: Vec<_> = [all, typed, channel].map(|to| (to, id.clone())).into();
    expected.sort();
    assert_eq!(deliveries(&stored.store).await, expected);
    assert_eq!(api.counted("sluicegate_gateway_deliveries_published_total"), 3.0);
}

#[tokio::test]
async fn a_repeated_request_is_answered_again() {
    let (api, stored) = fresh().await;
    api.application("acme").await;
    api.endpoint("acme").await;
    let body = r#"{"eventType":"a","payload":{"n":1},"eventId":"e1","deliverAt":null}"#;
    for key in ["auto_1", "ключ and spaces", &"long".repeat(50)] {
        let body = body.replace("e1", &format!("e{}", key.len()));
        let first = published(&api, "acme", Some(key), &body).await;
        let again = published(&api, "acme", Some(key), &body).await;
        assert_eq!((again.status.as_u16(), &again.text), (202, &first.text));
        let other = published(&api, "acme", Some(key), &body.replace('1', "2")).await;
        other.expect_error(422, "validation_failed");
    }
    assert_eq!(deliveries(&stored.store).await.len(), 3);
    assert_eq!(api.counted("sluicegate_gateway_messages_accepted_total"), 3.0);
    assert_eq!(api.counted("sluicegate_gateway_messages_replayed_total"), 3.0);
    assert_eq!(api.counted("sluicegate_gateway_messages_refused_total"), 3.0);
    api.application("other").await;
    assert_eq!(published(&api, "other", Some("auto_1"), body).await.status, 202);
}

#[tokio::test]
async fn an_event_id_is_taken_once() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let body = r#"{"eventType":"a","payload":{},"eventId":"e1"}"#;
    assert_eq!(published(&api, "acme", Some("k1"), body).await.status, 202);
    published(&api, "acme", Some("k2"), body).await.expect_error(409, "conflict");
    published(&api, "acme", None, body).await.expect_error(409, "conflict");
}

#[tokio::test]
async fn what_one_gateway_changed_every_gateway_knows() {
    let stored = stored();
    let (a, b) = (Api::start(&stored.store).await, Api::start(&stored.store).await);
    a.application("acme").await;
    let message = json!({"eventType": "a", "payload": {}});
    // Fills the cache of both.
    a.post("/app/acme/msg", message.clone()).await.expect(202);
    b.post("/app/acme/msg", message.clone()).await.expect(202);
    for n in 1..=5 {
        a.endpoint("acme").await;
        let before = deliveries(&stored.store).await.len();
        b.post("/app/acme/msg", message.clone()).await.expect(202);
        assert_eq!(deliveries(&stored.store).await.len(), before + n);
    }
    // The uid moves to another application.
    a.patch("/app/acme", json!({"uid": "old"})).await.expect(200);
    let new = a.application("acme").await;
    let sent = b.post("/app/acme/msg", message.clone()).await.expect(202);
    let there = b.get(&format!("/app/{new}/msg/{}", sent["id"].as_str().unwrap())).await;
    there.expect(200);
    a.delete("/app/acme").await.expect(204);
    b.post("/app/acme/msg", message).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn lists_filter() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    for (event_type, channel, tag) in [("a", "x", "t"), ("b", "x", "u"), ("a", "y", "u")] {
        let body = json!({
            "eventType": event_type, "payload": {}, "channels": [channel], "tags": [tag],
        });
        api.post("/app/acme/msg", body).await.expect(202);
    }
    let count = async |query: &str| {
        let page = api.get(&format!("/app/acme/msg?{query}")).await.expect(200);
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 3);
    assert_eq!(count("event_types=a").await, 2);
    assert_eq!(count("event_types=a,b&channel=x").await, 2);
    assert_eq!(count("tag=u").await, 2);
    assert_eq!(count("after=2100-01-01T00:00:00Z").await, 0);
    assert_eq!(count("before=2100-01-01T00:00:00%2B01:00").await, 3);
    assert_eq!(count("before=2100-01-01T00:00:00&after=2020-01-01T00:00:00").await, 3);
    api.get("/app/acme/msg?before=yesterday").await.expect_error(422, "validation_failed");
}

#[tokio::test]
async fn an_application_can_come_with_its_first_message() {
    let (api, _stored) = fresh().await;
    let body = json!({
        "eventType": "a", "payload": {}, "application": {"name": "Acme", "uid": "acme"},
    });
    api.post("/app/acme/msg", body.clone()).await.expect(202);
    api.post("/app/acme/msg", body).await.expect(202);
    assert_eq!(api.get("/app/acme").await.expect(200)["name"], "Acme");
}

#[tokio::test]
async fn bad_messages_are_refused() {
    let (api, stored) = fresh().await;
    api.application("acme").await;
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    let cases = [
        (422, r#"{"payload":{}}"#.to_owned()),
        (422, r#"{"eventType":"a"}"#.to_owned()),
        (422, r#"{"eventType":"a b","payload":{}}"#.to_owned()),
        (422, r#"{"eventType":"a","payload":{},"eventId":""}"#.to_owned()),
        (422, r#"{"eventType":"a","payload":{},"channels":["ä"]}"#.to_owned()),
        (422, r#"{"eventType":"a","payload":{},"deliverAt":"2100-01-01T00:00:00Z"}"#.to_owned()),
        (422, r#"{"eventType":"a","payload":1,"payload":2}"#.to_owned()),
        (422, format!(r#"{{"eventType":"a","payload":{deep}}}"#)),
        (400, r#"{"eventType":"a","payload":{}"#.to_owned()),
        (400, String::new()),
        (400, "\u{feff}{}".to_owned()),
    ];
    for (status, body) in cases {
        let answer = published(&api, "acme", None, &body).await;
        answer
            .expect_error(status, if status == 422 { "validation_failed" } else { "bad_request" });
    }
    let shallow = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let body = format!(r#"{{"eventType":"a","payload":{shallow}}}"#);
    assert_eq!(published(&api, "acme", None, &body).await.status, 202);
    assert!(deliveries(&stored.store).await.is_empty());
}
