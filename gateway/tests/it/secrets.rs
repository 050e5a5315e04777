//! Secrets at rest: what the API takes lies encrypted in the store, and can be encrypted anew.

use serde_json::json;
use shared::{
    domain::{Endpoint, Secret},
    id::AppId,
    sealing::{KeyRing, SealingKey},
    store::{Change, SharedStore},
};

use crate::harness::{Api, config, fresh, stored};

const HEADERS: &str = "/app/acme/endpoint/main/headers";
const SECRET: &str = "/app/acme/endpoint/main/secret";

fn ring(keys: &[&String]) -> KeyRing {
    KeyRing::new(keys.iter().map(|key| SealingKey::parse(key).unwrap()).collect())
}

async fn start(store: &SharedStore, keys: &[&String]) -> Api {
    Api::start_with(store, gateway::Config { keys: ring(keys), ..config() }).await
}

/// The application `acme` with its endpoint `main`; answers the application's id.
async fn endpoint(api: &Api, secret: &str) -> AppId {
    let app = api.application("acme").await.parse().unwrap();
    let endpoint = json!({
        "url": "https://example.com/", "uid": "main", "secret": secret,
        "headers": {"x-token": "canary-header"},
    });
    api.post("/app/acme/endpoint", endpoint).await.expect(201);
    app
}

/// What stands in the store.
async fn only(store: &SharedStore, app: AppId) -> Endpoint {
    let configuration = store.configuration(app).await.unwrap().unwrap();
    configuration.endpoints.values().next().unwrap().as_ref().clone()
}

async fn lies_readable(store: &SharedStore, app: AppId, secret: &str) -> bool {
    let record = serde_json::to_string(&only(store, app).await).unwrap();
    record.contains(secret) || record.contains("canary-header")
}

#[tokio::test]
async fn what_was_taken_lies_encrypted_and_is_shown_to_its_owner() {
    let (stored, key) = (stored(), SealingKey::generate());
    let api = start(&stored.store, &[&key]).await;
    let secret = Secret::generate().reveal();
    let app = endpoint(&api, &secret).await;
    assert!(!lies_readable(&stored.store, app, &secret).await);
    assert_eq!(api.get(SECRET).await.expect(200)["key"], secret.as_str());
    assert_eq!(api.get(HEADERS).await.expect(200)["headers"]["x-token"], "canary-header");

    let chosen = Secret::generate().reveal();
    api.post(&format!("{SECRET}/rotate"), json!({"key": chosen})).await.expect(200);
    api.patch(HEADERS, json!({"headers": {"x-other": "canary-header"}})).await.expect(204);
    assert!(!lies_readable(&stored.store, app, &chosen).await);
    let endpoint = only(&stored.store, app).await;
    assert_eq!(endpoint.secrets.len(), 2, "the old one still signs");
    let now = shared::time::Millis::now();
    let opened = endpoint.confidential(app, &ring(&[&key]), now).unwrap();
    assert_eq!(opened.secrets[1].secret.reveal(), secret);
    assert_eq!(opened.headers.len(), 2);
}

#[tokio::test]
async fn rewrapping_leads_from_plain_to_one_key_and_to_the_next() {
    let stored = stored();
    let (first, second) = (SealingKey::generate(), SealingKey::generate());
    let secret = Secret::generate().reveal();
    let plain = Api::start(&stored.store).await;
    let app = endpoint(&plain, &secret).await;
    assert!(lies_readable(&stored.store, app, &secret).await);
    plain.post("/sluicegate/secrets/rewrap", json!({})).await.expect_error(409, "conflict");
    let operational = json!({"url": "https://example.com/"});
    plain.post("/operational-webhook/endpoint", operational).await.expect(201);

    for (keys, alone) in [(vec![&first], &first), (vec![&second, &first], &second)] {
        let api = start(&stored.store, &keys).await;
        assert_eq!(api.get(SECRET).await.expect(200)["key"], secret.as_str());
        let done = api.post("/sluicegate/secrets/rewrap", json!({})).await.expect(200);
        assert_eq!((&done["endpoints"], &done["rewrapped"]), (&json!(2), &json!(2)), "{done}");
        let again = api.post("/sluicegate/secrets/rewrap", json!({})).await.expect(200);
        assert_eq!((&again["rewrapped"], &again["done"]), (&json!(0), &json!(true)), "{again}");
        assert!(!lies_readable(&stored.store, app, &secret).await);
        // The other key is needed no more.
        let api = start(&stored.store, &[alone]).await;
        assert_eq!(api.get(SECRET).await.expect(200)["key"], secret.as_str());
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_can_be_replaced() {
    let stored = stored();
    let (key, other) = (SealingKey::generate(), SealingKey::generate());
    let secret = Secret::generate().reveal();
    let app = endpoint(&start(&stored.store, &[&key]).await, &secret).await;
    let api = start(&stored.store, &[&other]).await;
    let id = ring(&[&key]).keys()[0].id().to_owned();
    for path in [SECRET, HEADERS] {
        let answer = api.get(path).await;
        answer.expect_error(500, "secret_unreadable");
        assert!(answer.text.contains(&id) && answer.text.contains("secrets.keys"), "{answer:?}");
    }
    let rotate = format!("{SECRET}/rotate");
    api.post(&rotate, json!({})).await.expect_error(500, "secret_unreadable");
    api.patch(HEADERS, json!({"headers": {"a": "b"}})).await.expect_error(500, "secret_unreadable");
    let found = api.post("/sluicegate/secrets/rewrap", json!({})).await.expect(200);
    assert_eq!(found["unreadable"][0]["appId"], app.to_string(), "{found}");
    // Anything else about it can be changed all the same.
    let patch = json!({"description": "still here"});
    api.patch("/app/acme/endpoint/main", patch).await.expect(200);
    api.post(&rotate, json!({"gracePeriodSeconds": 0})).await.expect(200);
    api.put(HEADERS, json!({"headers": {"a": "b"}})).await.expect(204);
    api.get(SECRET).await.expect(200);
}

#[tokio::test]
async fn a_ciphertext_of_another_endpoint_or_application_is_refused() {
    let (stored, key) = (stored(), SealingKey::generate());
    let api = start(&stored.store, &[&key]).await;
    let secret = Secret::generate().reveal();
    let app = endpoint(&api, &secret).await;
    let stolen = only(&stored.store, app).await;
    let foreign: AppId = api.application("mallory").await.parse().unwrap();
    let own = api.endpoint("mallory").await;
    let configuration = stored.store.configuration(foreign).await.unwrap().unwrap();
    let mut endpoint = configuration.endpoints[&own.parse().unwrap()].as_ref().clone();
    endpoint.secrets.clone_from(&stolen.secrets);
    // As an endpoint of their own, and as the very same one in their application.
    let changes = [Change::PutEndpoint(endpoint), Change::PutEndpoint(stolen.clone())];
    stored.store.commit(foreign, Some(configuration.version), &changes).await.unwrap();
    for id in [own, stolen.id.to_string()] {
        let answer = api.get(&format!("/app/mallory/endpoint/{id}/secret")).await;
        answer.expect_error(500, "secret_unreadable");
    }
}

#[tokio::test]
async fn without_a_key_all_is_as_it_was() {
    let (api, stored) = fresh().await;
    let secret = Secret::generate().reveal();
    let app = endpoint(&api, &secret).await;
    assert!(lies_readable(&stored.store, app, &secret).await);
    assert_eq!(api.get(SECRET).await.expect(200)["key"], secret.as_str());
}
