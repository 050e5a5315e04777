//! The operator's endpoints, and what a gateway tells them.

use serde_json::json;
use shared::{domain::Message, operational::APPLICATION, store::PageRequest};

use crate::harness::fresh;

const PATH: &str = "/operational-webhook/endpoint";

#[tokio::test]
async fn life_of_an_operators_endpoint() {
    let (api, _stored) = fresh().await;
    assert_eq!(api.get(PATH).await.expect(200)["data"], json!([]));
    let body = json!({
        "url": "https://example.com/operator", "uid": "pager", "eventTypes": ["endpoint.disabled"],
        "headers": {"X-A": "1"},
    });
    let created = api.post(PATH, body).await.expect(201);
    let one = format!("{PATH}/{}", created["id"].as_str().unwrap());
    assert_eq!(api.get(&one).await.expect(200), created);
    assert_eq!(api.get(&format!("{PATH}/pager")).await.expect(200), created);
    assert_eq!(api.get(PATH).await.expect(200)["data"], json!([created]));
    let headers = api.get(&format!("{one}/headers")).await.expect(200);
    assert_eq!(headers["headers"], json!({"X-A": "1"}));
    let secret = api.get(&format!("{one}/secret")).await.expect(200);
    api.post(&format!("{one}/secret/rotate"), json!({})).await.expect(200);
    assert_ne!(api.get(&format!("{one}/secret")).await.expect(200), secret);
    let put = api.put(&one, json!({"url": "https://example.com/2"})).await.expect(200);
    assert_eq!((&put["id"], &put["eventTypes"]), (&created["id"], &json!(null)));
    api.delete(&one).await.expect(204);
    api.get(&one).await.expect_error(404, "not_found");
    api.post(PATH, json!({"url": "https://example.com/"})).await.expect(201);
}

#[tokio::test]
async fn the_operators_application_is_nobodys() {
    let (api, _stored) = fresh().await;
    api.post(PATH, json!({"url": "https://example.com/", "uid": "x"})).await.expect(201);
    assert_eq!(api.get("/app").await.expect(200)["data"], json!([]));
    let app = format!("/app/{APPLICATION}");
    let message = json!({"eventType": "endpoint.disabled", "payload": {}});
    let with_application =
        json!({"eventType": "a", "payload": {}, "application": {"name": "mine"}});
    for refused in [
        api.get(&app).await,
        api.patch(&app, json!({"name": "mine"})).await,
        api.put(&app, json!({"name": "mine"})).await,
        api.delete(&app).await,
        api.post(&format!("{app}/pause"), json!({})).await,
        api.post(&format!("{app}/msg"), message).await,
        api.get(&format!("{app}/msg")).await,
        api.get(&format!("{app}/endpoint")).await,
        api.delete(&format!("{app}/endpoint/x")).await,
        api.get(&format!("{app}/endpoint/x/secret")).await,
        api.get(&format!("{app}/attempt/endpoint/x")).await,
    ] {
        refused.expect_error(404, "not_found");
    }
    // Nor does it come to be by a message that brings its application along.
    let answer = api.post(&format!("{app}/msg"), with_application).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    assert_eq!(api.get(PATH).await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_operator_is_told_who_was_disabled_and_enabled() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await;
    let body = json!({"url": "https://example.com/", "uid": "main"});
    let endpoint = api.post("/app/acme/endpoint", body).await.expect(201)["id"].clone();
    let path = "/app/acme/endpoint/main";
    // Nobody listens yet.
    api.patch(path, json!({"disabled": true})).await.expect(200);
    api.patch(path, json!({"disabled": false})).await.expect(200);
    let operator = api.post(PATH, json!({"url": "https://example.com/"})).await.expect(201);
    // What is known of the operator's endpoints may be so old.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    for disabled in [true, true, false] {
        api.patch(path, json!({"disabled": disabled})).await.expect(200);
    }
    let id = operator["id"].as_str().unwrap();
    api.put(&format!("{PATH}/{id}"), json!({"url": "https://example.com/", "disabled": true}))
        .await
        .expect(200);
    let page = PageRequest { limit: 10, ..PageRequest::default() };
    let log = stored.store.messages(APPLICATION, &page).await.unwrap();
    let mut payloads = Vec::new();
    for (_, header) in log.entries {
        let record = stored.store.message(APPLICATION, header.id).await.unwrap().unwrap();
        let payload = Message::decode(&record).unwrap().payload;
        payloads.push(serde_json::from_slice::<serde_json::Value>(&payload).unwrap());
    }
    payloads.sort_by_key(|payload| payload["type"].to_string());
    let data = json!({
        "appId": app, "appUid": "acme", "endpointId": endpoint, "endpointUid": "main",
    });
    let mut disabled = data.clone();
    disabled["trigger"] = json!("manual");
    disabled["sluicegate"] = json!({"reason": "operator"});
    let expected = [
        json!({"type": "endpoint.disabled", "data": disabled}),
        json!({"type": "endpoint.enabled", "data": data}),
    ];
    assert_eq!(payloads, expected);
}
