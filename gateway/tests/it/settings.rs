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
    let patched = api.patch(path, json!({"description": "x"})).await.expect(200);
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

#[tokio::test]
async fn retry_policies_are_kept_of_endpoints_and_of_applications() {
    let (api, _stored) = fresh().await;
    let retry = json!({"schedule": ["5s", "1m 30s"], "jitter": 0.5, "horizon": "1h"});
    let body = json!({"name": "Acme", "uid": "acme", "sluicegate": {"retry": retry}});
    let created = api.post("/app", body).await.expect(201);
    assert_eq!(created["sluicegate"], json!({"retry": retry}));
    let patched = api.patch("/app/acme", json!({"name": "Acme 2"})).await.expect(200);
    assert_eq!(patched["sluicegate"], json!({"retry": retry}));

    let own = json!({"schedule": []});
    let body = json!({"url": "https://example.com/", "uid": "main", "sluicegate": {"retry": own}});
    let created = api.post("/app/acme/endpoint", body).await.expect(201);
    assert_eq!(created["sluicegate"], json!({"retry": own}));
    let reset = json!({"sluicegate": {"retry": null}});
    for path in ["/app/acme", "/app/acme/endpoint/main"] {
        assert_eq!(api.patch(path, reset.clone()).await.expect(200)["sluicegate"], json!({}));
    }
}

#[tokio::test]
async fn retry_policies_that_cannot_work_are_refused() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    api.endpoint("acme").await;
    for (retry, what) in [
        (json!({"schedule": ["5s", "soon"]}), "each delay of retry.schedule"),
        (json!({"schedule": ["1ms"]}), "each delay of retry.schedule"),
        (json!({"schedule": vec!["1s"; 65]}), "more than 64"),
        (json!({"jitter": 1.5}), "retry.jitter"),
        (json!({"jitter": -0.1}), "retry.jitter"),
        (json!({"horizon": "0s"}), "retry.horizon"),
        // Messages live for 4 days.
        (json!({"horizon": "4d"}), "retry.horizon"),
        (json!({"schedule": ["2d", "2d"]}), "retry.schedule"),
        (json!({"schedule": ["2d"], "jitter": 1.0}), "retry.schedule"),
    ] {
        let body = json!({"name": "x", "sluicegate": {"retry": retry}});
        let refused = api.post("/app", body).await.expect(422);
        assert_eq!(refused["detail"][0]["loc"], json!(["body", "sluicegate"]), "{retry}");
        let msg = refused["detail"][0]["msg"].as_str().unwrap();
        assert!(msg.contains(what), "{retry}: {msg}");
        let body = json!({"url": "https://example.com/", "sluicegate": {"retry": retry}});
        let refused = api.post("/app/acme/endpoint", body).await.expect(422);
        assert_eq!(refused["detail"][0]["msg"], msg);
    }
}

#[tokio::test]
async fn outcome_tables_are_kept_and_checked() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let table = json!([
        {"status": "400-499", "then": "give_up"}, {"status": "409", "then": "success"},
        {"status": "500", "then": "hold"}, {"status": "404", "then": "disable"},
        {"status": "202", "then": "retry"},
    ]);
    let body = |table: &serde_json::Value| json!({"url": "https://example.com/", "sluicegate": {"outcomes": table}});
    let created = api.post("/app/acme/endpoint", body(&table)).await.expect(201);
    assert_eq!(created["sluicegate"], json!({"outcomes": table}));
    for (table, what) in [
        (json!([{"status": "4xx", "then": "retry"}]), "status \"4xx\""),
        (json!([{"status": "499-400", "then": "retry"}]), "status \"499-400\""),
        (json!([{"status": "409", "then": "ignore"}]), "then must be"),
        (json!(vec![json!({"status": "409", "then": "retry"}); 65]), "more than 64"),
    ] {
        let refused = api.post("/app/acme/endpoint", body(&table)).await.expect(422);
        assert_eq!(refused["detail"][0]["loc"], json!(["body", "sluicegate"]), "{table}");
        assert!(refused["detail"][0]["msg"].as_str().unwrap().contains(what), "{refused}");
    }
}

#[tokio::test]
async fn pausing_shows_stays_and_ends() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let body = json!({"url": "https://example.com/", "uid": "main"});
    api.post("/app/acme/endpoint", body.clone()).await.expect(201);
    let is_paused = async || {
        let state = api.get("/app/acme/endpoint/main/state").await.expect(200);
        state["paused"].as_bool().unwrap()
    };
    assert!(!is_paused().await);
    for (path, whole) in
        [("/app/acme", json!({"name": "acme", "uid": "acme"})), ("/app/acme/endpoint/main", body)]
    {
        for _ in 0..2 {
            let paused = api.post(&format!("{path}/pause"), json!({})).await.expect(200);
            assert_eq!(paused["sluicegate"], json!({"paused": true}));
        }
        assert!(is_paused().await, "{path}");
        // Somebody who does not know of it describes the whole.
        api.put(path, whole).await.expect(200);
        assert!(is_paused().await, "{path}");
        // A message is accepted all the same.
        let message = json!({"eventType": "a", "payload": {}});
        api.post("/app/acme/msg", message).await.expect(202);
        let resumed = api.post(&format!("{path}/resume"), json!({})).await.expect(200);
        assert_eq!(resumed["sluicegate"], json!({}));
        assert!(!is_paused().await, "{path}");
    }
    let paused = json!({"sluicegate": {"paused": true}});
    api.patch("/app/acme/endpoint/main", paused).await.expect(200);
    assert!(is_paused().await);
    api.post("/app/acme/endpoint/other/pause", json!({})).await.expect_error(404, "not_found");
    api.post("/app/other/pause", json!({})).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn why_an_endpoint_is_disabled_is_shown_until_it_is_enabled() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let body = json!({"url": "https://example.com/", "uid": "main"});
    api.post("/app/acme/endpoint", body).await.expect(201);
    let path = "/app/acme/endpoint/main";
    let disabled = api.patch(path, json!({"disabled": true})).await.expect(200);
    assert_eq!(disabled["sluicegate"]["disabledReason"], "operator");
    assert!(disabled["sluicegate"]["disabledAt"].is_string());
    // Sent back as it was shown, nothing changes.
    let again = json!({"disabled": true, "sluicegate": disabled["sluicegate"]});
    let again = api.patch(path, again).await.expect(200);
    assert_eq!(again["sluicegate"], disabled["sluicegate"]);
    let state = api.get(&format!("{path}/state")).await.expect(200);
    assert_eq!(state["disabled"], true);
    let enabled = api.patch(path, json!({"disabled": false})).await.expect(200);
    assert_eq!((&enabled["disabled"], &enabled["sluicegate"]), (&json!(false), &json!({})));
}

#[tokio::test]
async fn an_applications_limits_are_kept_and_shown_as_part_of_the_state() {
    let (api, _stored) = fresh().await;
    let limits = json!([{"count": 100, "per": "10s", "burst": 5}]);
    let body =
        json!({"name": "Acme", "uid": "acme", "rateLimit": 7, "sluicegate": {"limits": limits}});
    let created = api.post("/app", body).await.expect(201);
    assert_eq!(created["sluicegate"], json!({"limits": limits}));
    let body = json!({"url": "https://example.com/", "uid": "main"});
    api.post("/app/acme/endpoint", body).await.expect(201);
    let state = api.get("/app/acme/endpoint/main/state").await.expect(200);
    let shared = &state["sharedLimits"][0];
    assert_eq!(shared["name"], "application");
    assert_eq!(shared["limits"], json!([{"count": 7, "per": "1s"}, limits[0]]));
    assert!(shared["next"].as_str().unwrap().ends_with('Z'));
    let wrong = json!({"sluicegate": {"limits": [{"count": 0, "per": "1s"}]}});
    let refused = api.patch("/app/acme", wrong).await.expect(422);
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "sluicegate"]));
    let reset = json!({"sluicegate": {"limits": null}});
    assert_eq!(api.patch("/app/acme", reset).await.expect(200)["sluicegate"], json!({}));
}

#[tokio::test]
async fn named_limits_are_written_listed_and_named_by_endpoints() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let path = "/sluicegate/limit/trello-key-1";
    let names = json!({"sharedLimits": ["trello-key-1"]});
    let body = json!({"url": "https://example.com/", "uid": "main", "sluicegate": names});
    let refused = api.post("/app/acme/endpoint", body.clone()).await.expect(422);
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "sluicegate"]));
    assert!(refused["detail"][0]["msg"].as_str().unwrap().contains("PUT /api/v1"), "{refused}");

    api.get(path).await.expect_error(404, "not_found");
    let limit = json!({"count": 100, "per": "10s", "description": "one of theirs"});
    let created = api.put(path, limit).await.expect(201);
    assert_eq!((&created["name"], &created["per"]), (&json!("trello-key-1"), &json!("10s")));
    let changed = api.put(path, json!({"count": 50, "per": "10s", "burst": 5})).await.expect(200);
    assert_eq!((&changed["count"], &changed["description"]), (&json!(50), &json!("")));
    assert_eq!(api.get(path).await.expect(200), changed);
    let list = api.get("/sluicegate/limit").await.expect(200);
    assert_eq!(list["data"], json!([changed]));

    let created = api.post("/app/acme/endpoint", body).await.expect(201);
    assert_eq!(created["sluicegate"], names);
    let state = api.get("/app/acme/endpoint/main/state").await.expect(200);
    let expected = json!([{"count": 50, "per": "10s", "burst": 5}]);
    assert_eq!(state["sharedLimits"][0]["limits"], expected);
    for wrong in [json!({"count": 0, "per": "10s"}), json!({"count": 1, "per": "1ns"}), json!({})] {
        api.put(path, wrong).await.expect(422);
    }
    api.delete(path).await.expect(204);
    api.delete(path).await.expect_error(404, "not_found");
    let state = api.get("/app/acme/endpoint/main/state").await.expect(200);
    assert_eq!(state["sharedLimits"], json!([]));
}
