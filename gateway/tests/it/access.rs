//! API keys: what each may do, how they end, and that they never show.

use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    domain::ApiKey,
    store::{Document, Expect, Kind},
    time::Millis,
};

use crate::harness::{Answer, Api, Stored, fresh, send};

async fn made(api: &Api, key: Value) -> (String, String) {
    let made = api.post("/sluicegate/api-key", key).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

async fn ask(api: &Api, key: &str, method: Method, path: &str) -> Answer {
    let request = api.request_as(key, method, path);
    let body = json!({"eventType": "a.b", "payload": {"a": 1}, "url": "https://example.com/"});
    send(request.json(&body)).await
}

#[actix_web::test]
async fn a_key_is_good_for_its_scope_only() {
    let (api, _stored) = fresh().await;
    let app = api.application("tenant").await;
    let (_, admin) = made(&api, json!({"name": "admin", "scope": "admin"})).await;
    let (_, publisher) = made(&api, json!({"name": "publisher", "scope": "publish"})).await;
    let (_, reader) = made(&api, json!({"name": "reader", "scope": "read"})).await;
    let messages = format!("/app/{app}/msg");
    for (key, method, path, status) in [
        (&admin, Method::POST, messages.as_str(), 202),
        (&admin, Method::GET, "/sluicegate/api-key", 200),
        (&publisher, Method::POST, messages.as_str(), 202),
        (&publisher, Method::GET, messages.as_str(), 403),
        (&publisher, Method::POST, "/app", 403),
        (&reader, Method::GET, messages.as_str(), 200),
        (&reader, Method::GET, "/app", 200),
        (&reader, Method::POST, messages.as_str(), 403),
        (&reader, Method::GET, "/sluicegate/api-key", 403),
    ] {
        let answer = ask(&api, key, method.clone(), path).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        if status == 403 {
            answer.expect_error(403, "insufficient_scope");
        }
    }
}

#[actix_web::test]
async fn a_bound_key_sees_its_application_only() {
    let (api, _stored) = fresh().await;
    let (own, other) = (api.application("own").await, api.application("other").await);
    let endpoint = api.endpoint(&other).await;
    let (_, key) = made(&api, json!({"name": "k", "scope": "admin", "appId": "own"})).await;
    for (method, path, status) in [
        (Method::GET, format!("/app/{own}"), 200),
        (Method::GET, "/app/own".to_owned(), 200),
        (Method::GET, "/app/own/".to_owned(), 200),
        (Method::POST, "/app/own/msg".to_owned(), 202),
        (Method::POST, format!("/app/{own}/endpoint"), 201),
        (Method::GET, "/event-type".to_owned(), 200),
        (Method::DELETE, format!("/app/{own}"), 404),
        (Method::GET, "/app".to_owned(), 404),
        (Method::POST, "/app".to_owned(), 404),
        (Method::GET, format!("/app/{other}"), 404),
        (Method::GET, "/app/other".to_owned(), 404),
        (Method::GET, "/app/%6fther".to_owned(), 404),
        (Method::GET, format!("/app/own/../{other}/endpoint"), 404),
        (Method::GET, format!("/app/{other}/endpoint/{endpoint}"), 404),
        (Method::GET, format!("/app/{own}/endpoint/{endpoint}"), 404),
        (Method::POST, format!("/app/{other}/msg"), 404),
        (Method::GET, "/app/nobody".to_owned(), 404),
        (Method::GET, "/sluicegate/api-key".to_owned(), 404),
    ] {
        let answer = ask(&api, &key, method.clone(), &path).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
    let unknown = json!({"name": "k", "scope": "read", "appId": "nobody"});
    api.post("/sluicegate/api-key", unknown).await.expect_error(422, "validation_failed");
}

#[actix_web::test]
async fn a_key_is_shown_once_and_only_its_hash_is_kept() {
    let (api, stored) = fresh().await;
    let (id, key) = made(&api, json!({"name": "k", "scope": "read"})).await;
    ask(&api, &key, Method::GET, "/app").await.expect(200);
    let shown = api.get(&format!("/sluicegate/api-key/{id}")).await;
    let listed = api.get("/sluicegate/api-key").await;
    for shown in [&listed.expect(200)["data"][0], &shown.expect(200)] {
        assert_eq!((&shown["id"], &shown["name"]), (&json!(id), &json!("k")));
    }
    let kept = stored.store.documents(Kind::ApiKey).await.unwrap();
    let kept = String::from_utf8_lossy(&kept[0].json).into_owned();
    for text in [&shown.text, &listed.text, &kept] {
        assert!(!text.contains(&key) && !text.contains(&key[14..46]), "{text}");
    }
    assert!(!shown.text.contains("hash"), "{}", shown.text);
}

async fn change(stored: &Stored, id: &str, change: impl FnOnce(&mut ApiKey)) {
    let json = stored.store.document(Kind::ApiKey, id).await.unwrap().unwrap();
    let mut record: ApiKey = serde_json::from_slice(&json).unwrap();
    change(&mut record);
    let json = serde_json::to_vec(&record).unwrap().into();
    let document = Document { name: id.to_owned(), json };
    stored.store.put_document(Kind::ApiKey, &document, &Expect::Any).await.unwrap();
}

#[actix_web::test]
async fn keys_end() {
    let (api, stored) = fresh().await;
    for end in ["yesterday", "2020-01-01T00:00:00Z"] {
        let key = json!({"name": "k", "scope": "read", "expiresAt": end});
        api.post("/sluicegate/api-key", key).await.expect_error(422, "validation_failed");
    }
    let (expired, key) =
        made(&api, json!({"name": "k", "scope": "read", "expiresAt": "2999-01-01T00:00:00Z"}))
            .await;
    change(&stored, &expired, |record| record.expires_at = Some(Millis(1))).await;
    ask(&api, &key, Method::GET, "/app").await.expect_error(401, "authentication_failed");
    let rotate = format!("/sluicegate/api-key/{expired}/rotate");
    api.post(&rotate, json!({})).await.expect_error(409, "conflict");

    let (deleted, key) = made(&api, json!({"name": "k", "scope": "read"})).await;
    api.delete(&format!("/sluicegate/api-key/{deleted}")).await.expect(204);
    ask(&api, &key, Method::GET, "/app").await.expect_error(401, "authentication_failed");
    api.delete(&format!("/sluicegate/api-key/{deleted}")).await.expect_error(404, "not_found");
}

#[actix_web::test]
async fn after_a_rotation_both_keys_are_good_for_a_while() {
    let (api, _stored) = fresh().await;
    api.application("own").await;
    let (id, old) = made(&api, json!({"name": "k", "scope": "admin", "appId": "own"})).await;
    let rotated = api.post(&format!("/sluicegate/api-key/{id}/rotate"), json!({})).await;
    let rotated = rotated.expect(201);
    let new = rotated["key"].as_str().unwrap();
    for key in [&old, new] {
        ask(&api, key, Method::GET, "/app/own").await.expect(200);
        ask(&api, key, Method::GET, "/app").await.expect_error(404, "not_found");
    }
    let old = api.get(&format!("/sluicegate/api-key/{id}")).await.expect(200);
    assert!(old["expiresAt"].is_string());
    assert!(rotated["expiresAt"].is_null());
}

#[actix_web::test]
async fn the_last_use_is_written_down() {
    let (api, _stored) = fresh().await;
    let (id, key) = made(&api, json!({"name": "k", "scope": "read"})).await;
    let path = format!("/sluicegate/api-key/{id}");
    assert!(api.get(&path).await.expect(200)["lastUsedAt"].is_null());
    ask(&api, &key, Method::GET, "/app").await.expect(200);
    while api.get(&path).await.expect(200)["lastUsedAt"].is_null() {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn who_guesses_is_told_to_wait_and_others_are_not() {
    let (api, _stored) = fresh().await;
    let (_, good) = made(&api, json!({"name": "k", "scope": "read"})).await;
    let mut refused = Vec::new();
    for _ in 0..40 {
        refused.push(ask(&api, "sgk_wrong", Method::GET, "/app").await);
    }
    refused[0].expect_error(401, "authentication_failed");
    refused[39].expect_error(429, "too_many_failures");
    assert!(refused[39].headers.contains_key("retry-after"));
    ask(&api, &good, Method::GET, "/app").await.expect(200);
    assert!(api.counted("sluicegate_gateway_requests_denied_total") >= 40.0);
}
