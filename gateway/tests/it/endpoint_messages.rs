//! The messages that were tried at an endpoint.

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    domain::{DeadReason, Queue},
    store::{Lifetimes, Verdict},
};

use crate::{
    harness::{Api, fresh, stored_for},
    history::{Settler, publish},
};

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect()
}

fn retry() -> Verdict {
    Verdict::Retry { delay: Duration::from_secs(60), steps: 1 }
}

#[tokio::test]
async fn each_message_stands_once_with_its_latest_status() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await.parse().unwrap();
    let endpoint = api.endpoint("acme").await;
    let settler = Settler::of(&stored.store, Queue::live(app, endpoint.parse().unwrap())).await;
    let good = publish(&api, "a").await;
    settler.settle(Verdict::Delivered).await;
    let bad = publish(&api, "b").await;
    settler.settle(Verdict::Dead(DeadReason::Exhausted)).await;
    let late = publish(&api, "c").await;
    settler.settle(retry()).await;
    // Sent again, and it failed: it keeps its place.
    let resend = format!("/app/acme/msg/{good}/endpoint/{endpoint}/resend");
    api.post_raw(&resend, "").await.expect(202);
    settler.settle(retry()).await;
    let never_tried = publish(&api, "d").await;

    let path = format!("/app/acme/endpoint/{endpoint}/msg");
    let all = api.get(&path).await.expect(200);
    assert_eq!(ids(&all), [&late, &bad, &good], "and not {never_tried}");
    let shown = &all["data"][2];
    assert_eq!((&shown["status"], &shown["statusText"]), (&json!(1), &json!("pending")));
    assert!(shown["nextAttempt"].is_string() && shown["timestamp"].is_string(), "{shown}");
    assert_eq!((&shown["eventType"], &shown["payload"]), (&json!("a"), &json!({"n": 1})));
    assert_eq!(
        (&all["data"][1]["status"], &all["data"][1]["nextAttempt"]),
        (&json!(2), &json!(null))
    );

    for (query, expected) in [
        ("status=2", vec![&bad]),
        ("status=1", vec![&late, &good]),
        ("event_types=a,b", vec![&bad, &good]),
        ("channel=x", vec![]),
    ] {
        let found = api.get(&format!("{path}?{query}")).await.expect(200);
        assert_eq!(ids(&found), expected, "{query}");
    }
    let without = api.get(&format!("{path}?with_content=false&limit=1")).await.expect(200);
    assert_eq!(without["data"][0]["payload"], json!({}));
    let next = format!("{path}?limit=1&iterator={}", without["iterator"].as_str().unwrap());
    let second = api.get(&next).await.expect(200);
    assert_eq!(ids(&second), [&bad]);
    let back = format!("{path}?limit=1&iterator={}", second["prevIterator"].as_str().unwrap());
    assert_eq!(ids(&api.get(&back).await.expect(200)), [&late]);
}

#[tokio::test]
async fn what_was_first_sent_again_stands_there_too() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await.parse().unwrap();
    let message = publish(&api, "a").await;
    // It came after the message, which only a resend brings to it.
    let endpoint = api.endpoint("acme").await;
    let settler = Settler::of(&stored.store, Queue::live(app, endpoint.parse().unwrap())).await;
    for _ in 0..2 {
        let resend = format!("/app/acme/msg/{message}/endpoint/{endpoint}/resend");
        api.post_raw(&resend, "").await.expect(202);
        settler.settle(Verdict::Delivered).await;
    }
    let found = api.get(&format!("/app/acme/endpoint/{endpoint}/msg")).await.expect(200);
    assert_eq!(ids(&found), [&message]);
}

#[tokio::test]
async fn a_message_whose_body_is_gone_is_known_from_the_log() {
    let lifetimes = Lifetimes { retention: Duration::ZERO, ..Lifetimes::default() };
    let stored = stored_for(lifetimes);
    let api = Api::start(&stored.store).await;
    let app = api.application("acme").await.parse().unwrap();
    let endpoint = api.endpoint("acme").await;
    let settler = Settler::of(&stored.store, Queue::live(app, endpoint.parse().unwrap())).await;
    let message = publish(&api, "a").await;
    settler.settle(Verdict::Delivered).await;
    api.get(&format!("/app/acme/msg/{message}")).await.expect_error(404, "not_found");

    let found = api.get(&format!("/app/acme/endpoint/{endpoint}/msg")).await.expect(200);
    assert_eq!(found["data"][0]["eventType"], "a");
    assert_eq!(found["data"][0]["payload"], json!({"expired": true}));
    let attempts = format!("/app/acme/attempt/endpoint/{endpoint}?event_types=a");
    assert_eq!(api.get(&attempts).await.expect(200)["data"][0]["msgId"], message.as_str());
}
