//! What a message may ask for, and content that is removed.

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    domain::Message,
    id::AppId,
    placement::Lane,
    store::{Entry, EntryId},
    time::Millis,
};

use crate::harness::{Api, config, fresh, stored};

fn message(more: Value) -> Value {
    let mut message = json!({"eventType": "a", "payload": {"secret": 1}});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

async fn not_before(store: &shared::store::SharedStore) -> Option<Millis> {
    for lane in Lane::all() {
        for (_, entry) in store.page(lane, EntryId::START, 100).await.unwrap() {
            if let Entry::Delivery { not_before, .. } = entry {
                return not_before;
            }
        }
    }
    panic!("there is no delivery");
}

#[tokio::test]
async fn wishes_are_stored_and_shown_but_for_headers() {
    let (api, stored) = fresh().await;
    let app: AppId = api.application("acme").await.parse().unwrap();
    api.endpoint("acme").await;
    let due = Millis::now().after(Duration::from_secs(3600));
    let sent = message(json!({
        "deliverAt": due.rfc3339(), "payloadRetentionHours": 48,
        "sluicegate": {"headers": {"X-Trace": "t"}, "ttl": "2h"},
    }));
    let answer = api.post("/app/acme/msg", sent).await;
    assert!(!answer.text.contains("X-Trace"), "{}", answer.text);
    let shown = answer.expect(202);
    assert_eq!(shown["deliverAt"], due.rfc3339());
    assert_eq!(not_before(&stored.store).await, Some(due));
    let id = shown["id"].as_str().unwrap();
    let record = stored.store.message(app, id.parse().unwrap()).await.unwrap().unwrap();
    let header = Message::decode(&record).unwrap().header;
    assert_eq!(header.options.headers["X-Trace"], "t");
    let expires = header.created_at.after(Duration::from_secs(7200));
    assert_eq!(shown["sluicegate"], json!({"expiresAt": expires.rfc3339()}));
    let listed = api.get("/app/acme/msg").await;
    assert_eq!(listed.expect(200)["data"][0]["deliverAt"], due.rfc3339());
    let log = stored.store.messages(app, &Default::default()).await;
    assert!(!format!("{log:?}").contains("X-Trace"), "the log keeps no headers");
}

#[tokio::test]
async fn plain_messages_show_nothing_of_it() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let shown = api.post("/app/acme/msg", message(json!({}))).await.expect(202);
    assert!(shown.get("sluicegate").is_none() && shown.get("deliverAt").is_none());
    let past = Millis(Millis::now().0 - 60_000).rfc3339();
    api.post("/app/acme/msg", message(json!({"deliverAt": past}))).await.expect(202);
    let headers = json!({"transformationsParams": {"headers": {"X-Trace": "t"}}});
    api.post("/app/acme/msg", message(headers)).await.expect(202);
}

#[tokio::test]
async fn bad_wishes_are_refused() {
    let stored = stored();
    let mut config = config();
    config.longest_retention = Duration::from_secs(7 * 86_400);
    let api = Api::start_with(&stored.store, config).await;
    api.application("acme").await;
    let at = |seconds: i64| Millis((Millis::now().0 as i64 + seconds * 1000) as u64).rfc3339();
    for bad in [
        json!({"deliverAt": at(90_000)}),
        json!({"deliverAt": at(-90_000)}),
        json!({"deliverAt": "soon"}),
        json!({"payloadRetentionHours": 0}),
        json!({"payloadRetentionHours": 169}),
        json!({"payloadRetentionPeriod": 8}),
        json!({"payloadRetentionPeriod": 1, "payloadRetentionHours": 1}),
        json!({"transformationsParams": {"rawPayload": "x"}}),
        json!({"transformationsParams": {"headers": {"webhook-signature": "x"}}}),
        json!({"sluicegate": {"headers": {"Webhook-Id": "x"}}}),
        json!({"sluicegate": {"headers": {"connection": "x"}}}),
        json!({"sluicegate": {"headers": {"a": "1\r\nb: 2"}}}),
        json!({"sluicegate": {"expiresAt": at(-1)}}),
        json!({"sluicegate": {"expiresAt": at(60)}, "deliverAt": at(120)}),
        json!({"sluicegate": {"ttl": "1m"}, "deliverAt": at(120)}),
        json!({"sluicegate": {"ttl": "1m", "expiresAt": at(60)}}),
        json!({"sluicegate": {"ttl": "-1m"}}),
        json!({"sluicegate": {"unknown": 1}}),
    ] {
        let answer = api.post("/app/acme/msg", message(bad.clone())).await;
        assert_eq!(answer.status, 422, "{bad}: {}", answer.text);
        answer.expect_error(422, "validation_failed");
    }
}

#[tokio::test]
async fn expunged_content_is_gone_and_the_rest_stays() {
    let (api, stored) = fresh().await;
    let app: AppId = api.application("acme").await.parse().unwrap();
    let endpoint = api.endpoint("acme").await;
    let sent = message(json!({"eventId": "e1", "sluicegate": {"headers": {"X-Key": "k"}}}));
    let sent = api.post("/app/acme/msg", sent).await.expect(202);
    let id = sent["id"].as_str().unwrap();
    api.delete("/app/acme/msg/e1/content").await.expect(204);
    api.delete(&format!("/app/acme/msg/{id}/content")).await.expect(204);
    for path in [format!("/app/acme/msg/{id}"), "/app/acme/msg/e1".to_owned()] {
        let shown = api.get(&path).await.expect(200);
        assert_eq!(shown["payload"], json!({"expired": true}));
        assert_eq!(shown["sluicegate"], json!({"expunged": true}));
        assert_eq!((&shown["eventId"], &shown["id"]), (&json!("e1"), &sent["id"]));
    }
    let listed = api.get("/app/acme/msg").await.expect(200);
    assert_eq!(listed["data"][0]["payload"], json!({"expired": true}));
    let record = stored.store.message(app, id.parse().unwrap()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&record).into_owned();
    assert!(!text.contains("secret") && !text.contains("X-Key"), "{text}");
    let resend = format!("/app/acme/msg/{id}/endpoint/{endpoint}/resend");
    api.post(&resend, json!({})).await.expect_error(409, "conflict");
    api.delete("/app/acme/msg/nothing/content").await.expect_error(404, "not_found");
    let attempt = format!("/app/acme/msg/{id}/attempt/atmpt_0000000000000000000000/content");
    api.delete(&attempt).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn several_messages_are_expunged_at_once() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    for event_id in ["e1", "e2", "e3"] {
        api.post("/app/acme/msg", message(json!({"eventId": event_id}))).await.expect(202);
    }
    let path = "/app/acme/msg/bulk-expunge";
    let answer = api.post(path, json!({"ids": ["e1", "nothing", "e2"]})).await.expect(200);
    let expected = json!({"results": {"e1": "expunged", "e2": "expunged", "nothing": "not-found"}});
    assert_eq!(answer, expected);
    for (event_id, gone) in [("e1", true), ("e2", true), ("e3", false)] {
        let shown = api.get(&format!("/app/acme/msg/{event_id}")).await.expect(200);
        assert_eq!(shown["payload"] == json!({"expired": true}), gone, "{shown}");
    }
    api.post(path, json!({"ids": vec!["e3"; 101]})).await.expect_error(422, "validation_failed");
}

#[tokio::test]
async fn an_application_over_its_quota_is_refused_alone() {
    let stored = stored();
    let mut config = config();
    config.quota_bytes = 10;
    let api = Api::start_with(&stored.store, config).await;
    for app in ["small", "large", "unlimited", "deaf"] {
        api.application(app).await;
    }
    for app in ["small", "large", "unlimited"] {
        api.endpoint(app).await;
    }
    let quota = |bytes: u64| json!({"sluicegate": {"quotaBytes": bytes}});
    let shown = api.patch("/app/large", quota(1_000_000)).await.expect(200);
    assert_eq!(shown["sluicegate"]["quotaBytes"], 1_000_000);
    api.patch("/app/unlimited", quota(0)).await.expect(200);
    let refused = api.post("/app/small/msg", message(json!({}))).await;
    refused.expect_error(429, "quota_exceeded");
    assert_eq!(refused.headers["retry-after"], "5");
    for app in ["large", "unlimited", "deaf"] {
        api.post(&format!("/app/{app}/msg"), message(json!({}))).await.expect(202);
    }
    // Less than what it has already.
    api.patch("/app/large", quota(10)).await.expect(200);
    api.post("/app/large/msg", message(json!({}))).await.expect_error(429, "quota_exceeded");
    api.patch("/app/large", json!({"sluicegate": {"quotaBytes": null}})).await.expect(200);
    let bad = json!({"sluicegate": {"quotaBytes": -1}});
    api.patch("/app/large", bad).await.expect_error(422, "validation_failed");
}
