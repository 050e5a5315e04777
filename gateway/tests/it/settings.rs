//! The settings of an endpoint that are our own, and what is shown of serving it.

use serde_json::json;

use crate::harness::fresh;

#[tokio::test]
async fn limits_and_concurrency_are_kept_changed_and_reset() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let limits = json!([{"count": 100, "per": "10s", "burst": 5}, {"count": 9, "per": "1m 30s"}]);
    let body = json!({
        "url": "https://example.com/", "uid": "main", "rateLimit": 7, "throttleRate": 5,
        "sluicegate": {"limits": limits, "concurrency": 4},
    });
    let created = api.post("/app/acme/endpoint", body).await.expect(201);
    assert_eq!(created["sluicegate"], json!({"limits": limits, "concurrency": 4}));
    assert_eq!((&created["rateLimit"], &created["throttleRate"]), (&json!(5), &json!(5)));

    let path = "/app/acme/endpoint/main";
    let change = json!({"sluicegate": {"concurrency": null}});
    let patched = api.patch(path, change).await.expect(200);
    assert_eq!(patched["sluicegate"], json!({"limits": limits}));
    let patched = api.patch(path, json!({"disabled": true})).await.expect(200);
    assert_eq!(patched["sluicegate"], json!({"limits": limits}));
    let put = api.put(path, json!({"url": "https://example.com/2"})).await.expect(200);
    assert_eq!(put["sluicegate"], json!({}));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    for settings in [
        json!({"limits": [{"count": 0, "per": "10s"}]}),
        json!({"limits": [{"count": 1, "per": "ten seconds"}]}),
        json!({"limits": [{"count": 1, "per": "1ms"}]}),
        json!({"limits": [{"count": 1, "per": "8d"}]}),
        json!({"limits": [{"count": 10, "per": "10s", "burst": 11}]}),
        json!({"limits": [{"count": 10, "per": "10s", "burst": 0}]}),
        json!({"concurrency": 0}),
    ] {
        let body = json!({"url": "https://example.com/", "sluicegate": settings});
        let refused = api.post("/app/acme/endpoint", body).await.expect(422);
        assert_eq!(refused["detail"][0]["loc"], json!(["body", "sluicegate"]), "{settings}");
    }
}

#[tokio::test]
async fn the_state_of_an_endpoint_that_was_never_served_is_shown() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let body = json!({"url": "https://example.com/", "uid": "main"});
    api.post("/app/acme/endpoint", body).await.expect(201);
    let state = api.get("/app/acme/endpoint/main/state").await.expect(200);
    assert_eq!(state["breaker"], json!({"state": "closed", "openings": 0}));
    assert_eq!((&state["waiting"], &state["asOf"]), (&json!(0), &json!(null)));
    assert!(state["lane"].as_u64().unwrap() < 64);
    api.get("/app/acme/endpoint/other/state").await.expect_error(404, "not_found");
}
