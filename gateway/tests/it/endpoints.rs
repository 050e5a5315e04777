//! Endpoints, their headers and secrets.

use futures_util::future::join_all;
use serde_json::json;
use shared::{domain::Secret, sealing::KeyRing, time::Millis};

use crate::harness::{Api, config, fresh, stored};

#[tokio::test]
async fn life_of_an_endpoint() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let body = json!({
        "url": "HTTPS://Example.com/hook",
        "uid": "main",
        "eventTypes": ["a", "b"],
        "channels": ["c"],
        "throttleRate": 5,
    });
    let created = api.post("/app/acme/endpoint", body).await.expect(201);
    assert_eq!(created["url"], "https://example.com/hook");
    assert_eq!(created["filterTypes"], json!(["a", "b"]));
    assert_eq!(created["eventTypes"], json!(["a", "b"]));
    assert_eq!(created["rateLimit"], 5);
    assert_eq!((&created["version"], &created["disabled"]), (&json!(1), &json!(false)));
    let id = created["id"].as_str().unwrap().to_owned();
    assert_eq!(api.get(&format!("/app/acme/endpoint/{id}")).await.expect(200), created);
    assert_eq!(api.get("/app/acme/endpoint/main").await.expect(200), created);

    let path = "/app/acme/endpoint/main";
    let patched = api.patch(path, json!({"filterTypes": [], "disabled": true})).await.expect(200);
    assert_eq!(patched["eventTypes"], json!(null));
    assert_eq!(patched["disabled"], true);
    assert_eq!(patched["channels"], json!(["c"]));

    let put = api.put(path, json!({"url": "https://example.com/2"})).await.expect(200);
    assert_eq!((&put["id"], &put["uid"]), (&json!(id), &json!("main")));
    assert_eq!((&put["channels"], &put["disabled"]), (&json!(null), &json!(false)));

    api.delete(path).await.expect(204);
    api.get(path).await.expect_error(404, "not_found");
    assert_eq!(api.get("/app/acme/endpoint").await.expect(200)["data"], json!([]));
    api.put(path, json!({"url": "https://example.com/3"})).await.expect(201);
}

#[tokio::test]
async fn endpoints_of_one_application_have_different_uids() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let body = json!({"url": "https://example.com/", "uid": "main"});
    api.post("/app/acme/endpoint", body.clone()).await.expect(201);
    api.post("/app/acme/endpoint", body.clone()).await.expect_error(409, "conflict");
    api.application("other").await;
    api.post("/app/other/endpoint", body).await.expect(201);
    api.get("/app/nobody/endpoint").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn endpoints_created_together_all_come_to_be() {
    let stored = stored();
    let gateways = join_all((0..8).map(|_| Api::start(&stored.store))).await;
    gateways[0].application("acme").await;
    let created = join_all((0..64).map(|n| gateways[n % 8].endpoint("acme"))).await;
    let listed = gateways[0].get("/app/acme/endpoint?limit=250").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), created.len());
}

#[tokio::test]
async fn urls_must_be_public_unless_allowed() {
    let stored = stored();
    let strict = Api::start(&stored.store).await;
    strict.application("acme").await;
    for url in ["http://example.com/", "https://127.0.0.1/", "https://u@example.com/", "nothing"] {
        let answer = strict.post("/app/acme/endpoint", json!({"url": url})).await;
        answer.expect_error(422, "validation_failed");
    }
    let mut config = config();
    config.allow_cidr = vec!["127.0.0.0/8".parse().unwrap()];
    let open = Api::start_with(&stored.store, config).await;
    let body = json!({"url": "http://127.0.0.1:9000/"});
    open.post("/app/acme/endpoint", body).await.expect(201);
}

#[tokio::test]
async fn headers_are_set_and_sensitive_ones_kept_back() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let endpoint = api.endpoint("acme").await;
    let path = format!("/app/acme/endpoint/{endpoint}/headers");
    let body = json!({"headers": {"X-A": "1", "Authorization": "Bearer hush"}});
    api.put(&path, body).await.expect(204);
    let shown = api.get(&path).await;
    assert!(!shown.text.contains("hush"));
    let expected = json!({"headers": {"X-A": "1"}, "sensitive": ["Authorization"]});
    assert_eq!(shown.expect(200), expected);
    let patch = json!({"headers": {"X-B": "2"}, "deleteHeaders": ["x-a"]});
    api.patch(&path, patch).await.expect(204);
    assert_eq!(api.get(&path).await.expect(200)["headers"], json!({"X-B": "2"}));
    let reserved = json!({"headers": {"Webhook-Id": "x"}});
    api.put(&path, reserved).await.expect_error(422, "validation_failed");
    api.patch(&path, json!({"headers": {"a": "b\r\nc"}}))
        .await
        .expect_error(422, "validation_failed");
}

#[tokio::test]
async fn a_rotated_secret_signs_until_its_end() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await;
    let endpoint = api.endpoint("acme").await;
    let path = format!("/app/acme/endpoint/{endpoint}/secret");
    let signing = async || {
        let configuration =
            stored.store.configuration(app.parse().unwrap()).await.unwrap().unwrap();
        let endpoint = &configuration.endpoints[&endpoint.parse().unwrap()];
        let opened =
            endpoint.confidential(app.parse().unwrap(), &KeyRing::default(), Millis::now());
        opened.unwrap().secrets.iter().map(|signing| signing.secret.reveal()).collect::<Vec<_>>()
    };
    let first = api.get(&path).await.expect(200)["key"].as_str().unwrap().to_owned();
    assert_eq!(signing().await, std::slice::from_ref(&first));

    let chosen = Secret::generate().reveal();
    let rotated = api.post(&format!("{path}/rotate"), json!({"key": chosen})).await.expect(200);
    assert_eq!(rotated, json!({"key": chosen}));
    assert_eq!(api.get(&path).await.expect(200)["key"], chosen.as_str());
    assert_eq!(signing().await, [chosen.clone(), first]);

    api.post_raw(&format!("{path}/rotate"), "").await.expect(200);
    assert_eq!(signing().await.len(), 3);
    let at_once = json!({"gracePeriodSeconds": 0});
    api.post(&format!("{path}/rotate"), at_once).await.expect(200);
    let left = signing().await;
    assert_eq!(left.len(), 3, "the one before stopped, those with an end of their own did not");
    for bad in [json!({"key": "short"}), json!({"gracePeriodSeconds": 700_000})] {
        api.post(&format!("{path}/rotate"), bad).await.expect_error(422, "validation_failed");
    }
}
