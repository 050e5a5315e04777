//! The audit log: every change is in it, with who made it, and nothing secret.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, fresh, send};

async fn listed(api: &Api, query: &str) -> Vec<Value> {
    let page = api.get(&format!("/sluicegate/audit-log?{query}")).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

async fn actions(api: &Api, query: &str) -> Vec<String> {
    let entries = listed(api, query).await;
    entries.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn changes_are_written_down_and_nothing_else() {
    let (api, _stored) = fresh().await;
    assert!(listed(&api, "").await.is_empty());
    let app = api.application("acme").await;
    let other = api.application("other").await;
    let endpoint = api.endpoint("acme").await;
    let path = format!("/app/acme/endpoint/{endpoint}");
    api.patch(&path, json!({"description": "c4n4ry"})).await.expect(200);
    let key = json!({"key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    api.post(&format!("{path}/secret/rotate"), key).await.expect(200);
    api.post(&format!("{path}/pause"), json!({})).await.expect(200);
    api.put("/sluicegate/limit/l", json!({"count": 1, "per": "1s"})).await;

    // No changes: reads, failures, what is published, what only asks.
    api.get(&path).await.expect(200);
    api.post("/app", json!({"name": "Acme", "uid": "acme"})).await.expect_error(409, "conflict");
    api.post("/app?get_if_exists=true", json!({"name": "A", "uid": "acme"})).await.expect(200);
    api.post("/app/acme/msg", json!({"eventType": "a", "payload": {}})).await.expect(202);
    let since = json!({"since": "2026-01-01T00:00:00Z"});
    api.post(&format!("{path}/recover?dryRun=true"), since.clone()).await.expect(200);
    api.delete("/app/nobody").await.expect_error(404, "not_found");

    let deleting = api.request(Method::DELETE, &path).header("x-request-id", "the-request");
    send(deleting).await.expect(204);
    api.delete("/app/acme").await.expect(204);
    assert_eq!(
        actions(&api, "order=ascending").await,
        [
            "app.create",
            "app.create",
            "endpoint.create",
            "endpoint.update",
            "endpoint.secret.rotate",
            "endpoint.pause",
            "limit.update",
            "endpoint.delete",
            "app.delete",
        ]
    );
    let entries = listed(&api, "").await;
    assert_eq!(entries[0]["action"], "app.delete");
    let deleted = &entries[1];
    assert_eq!((&deleted["object"], &deleted["appId"]), (&json!(endpoint), &json!(app)));
    assert_eq!((&deleted["actor"], &deleted["requestId"]), (&json!("root"), &json!("the-request")));
    let text = Value::from(entries).to_string();
    assert!(!text.contains("c4n4ry") && !text.contains("MfKQ9r8GK"), "{text}");

    assert_eq!(actions(&api, &format!("app_id={other}")).await, ["app.create"]);
    assert_eq!(actions(&api, "app_id=other").await, ["app.create"]);
    assert_eq!(actions(&api, &format!("app_id={app}")).await.len(), 7);
    assert_eq!(actions(&api, "limit=2").await, ["app.delete", "endpoint.delete"]);
    assert!(actions(&api, "before=2020-01-01T00:00:00Z").await.is_empty());
    assert_eq!(actions(&api, "after=2020-01-01T00:00:00Z").await.len(), 9);
    let nobody = api.get("/sluicegate/audit-log?app_id=nobody").await;
    nobody.expect_error(422, "validation_failed");
    // It is an application only inside.
    let pages = api.get("/app").await.expect(200);
    assert_eq!(pages["data"].as_array().unwrap().len(), 1);
    let reserved: shared::id::AppId = shared::audit::APPLICATION;
    api.get(&format!("/app/{reserved}/msg")).await.expect_error(404, "not_found");
    let message = json!({"eventType": "a", "payload": {}});
    api.post(&format!("/app/{reserved}/msg"), message).await.expect_error(404, "not_found");
}

#[actix_web::test]
async fn it_says_which_key_it_was_and_is_for_admins_only() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    for (key, status) in [
        (json!({"name": "k", "scope": "admin"}), 200),
        (json!({"name": "k", "scope": "read"}), 403),
        (json!({"name": "k", "scope": "admin", "appId": "acme"}), 404),
    ] {
        let made = api.post("/sluicegate/api-key", key).await.expect(201);
        let text = made["key"].as_str().unwrap();
        let read = api.request_as(text, Method::GET, "/sluicegate/audit-log");
        assert_eq!(send(read).await.status, status);
        let pause = send(api.request_as(text, Method::POST, "/app/acme/pause")).await;
        let latest = &listed(&api, "limit=1").await[0];
        let by_key = latest["actor"] == made["id"] && latest["action"] == "app.pause";
        assert_eq!(by_key, pause.status == 200, "{latest}");
        assert!(!latest.to_string().contains(text));
    }
    let app = api.get("/app/acme").await.expect(200)["id"].clone();
    let granted = api.post("/auth/app-portal-access/acme", json!({})).await.expect(200);
    let latest = &listed(&api, "limit=1").await[0];
    assert_eq!((&latest["action"], &latest["appId"]), (&json!("auth.app-portal-access"), &app));
    let token = granted["token"].as_str().unwrap();
    assert!(!latest.to_string().contains(&token[token.len() - 32..]), "{latest}");
}
