//! How an endpoint does, in numbers.

use std::time::Duration;

use serde_json::json;
use shared::{
    domain::{DeadReason, Queue},
    store::Verdict,
};

use crate::{
    harness::fresh,
    history::{Settler, publish},
};

#[tokio::test]
async fn deliveries_and_attempts_are_counted() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await.parse().unwrap();
    let endpoint = api.endpoint("acme").await;
    let settler = Settler::of(&stored.store, Queue::live(app, endpoint.parse().unwrap())).await;
    for verdict in [
        Verdict::Delivered,
        Verdict::Delivered,
        Verdict::Dead(DeadReason::Exhausted),
        Verdict::Retry { delay: Duration::from_secs(60), steps: 1 },
    ] {
        publish(&api, "a").await;
        settler.settle(verdict).await;
    }
    let path = format!("/app/acme/endpoint/{endpoint}");
    let stats = api.get(&format!("{path}/stats")).await.expect(200);
    let expected = json!({"success": 2, "pending": 1, "sending": 0, "fail": 1, "canceled": 0});
    assert_eq!(stats, expected);
    let attempts = api.get(&format!("{path}/attempt-stats")).await.expect(200);
    assert_eq!(attempts, json!({"success": 2, "fail": 2, "canceled": 0}));

    let before = "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z";
    let stats = api.get(&format!("{path}/stats?{before}")).await.expect(200);
    assert_eq!((&stats["success"], &stats["pending"]), (&json!(0), &json!(1)));
    for wrong in ["since=yesterday", "since=2020-01-02T00:00:00Z&until=2020-01-01T00:00:00Z"] {
        let answer = api.get(&format!("{path}/stats?{wrong}")).await;
        answer.expect_error(422, "validation_failed");
    }
    api.get("/app/acme/endpoint/unknown/stats").await.expect_error(404, "not_found");
}
