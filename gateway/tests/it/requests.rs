//! What all requests have in common: ids, the form of errors, limits of callers, browsers, compression.

use std::io::Read as _;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, config, fresh, send, stored};

#[actix_web::test]
async fn a_request_keeps_its_id() {
    let (api, _stored) = fresh().await;
    for (header, id, kept) in [
        ("x-request-id", "abc-123", true),
        ("svix-req-id", "def-456", true),
        ("x-request-id", "", false),
        ("x-request-id", "a b", false),
        ("x-request-id", &"a".repeat(65), false),
    ] {
        for path in ["/app", "/app/nobody", "/nowhere"] {
            let answer = send(api.request(Method::GET, path).header(header, id)).await;
            let shown = answer.headers["x-request-id"].to_str().unwrap();
            assert_eq!(shown == id, kept, "{id} {path}: {shown}");
            if answer.status != 200 {
                assert_eq!(answer.json()["requestId"], shown, "{path}: {}", answer.text);
            }
        }
    }
}

#[actix_web::test]
async fn errors_have_the_form_that_is_asked_for() {
    let (api, _stored) = fresh().await;
    for (method, path, status, code) in [
        (Method::GET, "/app/nobody", 404, "not_found"),
        (Method::GET, "/nowhere", 404, "not_found"),
        (Method::PATCH, "/app", 405, "method_not_allowed"),
        (Method::POST, "/app", 422, "validation_failed"),
        (Method::GET, "/app?limit=0", 422, "validation_failed"),
    ] {
        let body = json!({"name": null});
        let asked = api.request(method.clone(), path).json(&body);
        send(asked).await.expect_error(status, code);
        let asked = api.request(method, path).json(&body);
        let answer = send(asked.header("accept", "application/problem+json")).await;
        let problem = answer.expect(status);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(problem["type"], format!("urn:sluicegate:error:{code}"));
        assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)));
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        assert_eq!(problem["errors"].is_array(), status == 422, "{problem}");
    }
    let refused = api.request_as("wrong", Method::GET, "/app");
    let refused = send(refused.header("accept", "application/problem+json")).await;
    let problem = refused.expect(401);
    assert_eq!(problem["code"], "authentication_failed");
    assert_eq!(problem["type"], "urn:sluicegate:error:authentication_failed");
    assert_eq!(problem["requestId"], refused.headers["x-request-id"].to_str().unwrap());
}

async fn publish(api: &Api, token: &str) -> Answer {
    let body = json!({"eventType": "a", "payload": {}});
    send(api.request_as(token, Method::POST, "/app/acme/msg").json(&body)).await
}

#[actix_web::test]
async fn callers_have_limits_of_their_own() {
    let stored = stored();
    let config = gateway::Config { publish_limit: 2, management_limit: 1000, ..config() };
    let api = Api::start_with(&stored.store, config).await;
    api.application("acme").await;
    let key = json!({"name": "k", "scope": "publish"});
    let key = api.post("/sluicegate/api-key", key).await.expect(201);
    let key = key["key"].as_str().unwrap();
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(publish(&api, crate::harness::TOKEN));
    }
    let answers = futures_util::future::join_all(answers).await;
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    refused.expect_error(429, "rate_limited");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.headers["ratelimit"], "\"publish\";r=0;t=1");
    let other = publish(&api, key).await;
    other.expect(202);
    assert_eq!(other.headers["ratelimit-policy"], "\"publish\";q=2;w=1");
    assert_eq!(other.headers["ratelimit"], "\"publish\";r=1");
    let read = api.get("/app").await;
    assert_eq!(read.headers["ratelimit-policy"], "\"management\";q=1000;w=1");

    let (free, _stored) = fresh().await;
    assert!(!free.get("/app").await.headers.contains_key("ratelimit"));
}

#[actix_web::test]
async fn pages_of_named_origins_may_call() {
    async fn asked(origins: &[&str], origin: &str) -> Option<String> {
        let stored = stored();
        let cors_origins = origins.iter().map(|origin| origin.to_string()).collect();
        let api = Api::start_with(&stored.store, gateway::Config { cors_origins, ..config() });
        let api = api.await;
        let preflight = api
            .request(Method::OPTIONS, "/app")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let preflight = send(preflight).await;
        let called = send(api.request(Method::GET, "/app").header("origin", origin)).await;
        called.expect(200);
        let allowed = |answer: &Answer| {
            let allowed = answer.headers.get("access-control-allow-origin");
            allowed.map(|allowed| allowed.to_str().unwrap().to_owned())
        };
        assert!(!called.headers.contains_key("access-control-allow-credentials"));
        assert_eq!(allowed(&preflight), allowed(&called));
        if allowed(&called).is_some() {
            assert_eq!(preflight.status, 200, "{preflight:?}");
            assert_eq!(preflight.headers["access-control-max-age"], "3600");
            let shown = called.headers["access-control-expose-headers"].to_str().unwrap();
            for header in ["x-request-id", "retry-after", "ratelimit", "sluicegate-durability"] {
                assert!(shown.contains(header), "{header}: {shown}");
            }
            let refused = api.request_as("wrong", Method::GET, "/app").header("origin", origin);
            assert!(allowed(&send(refused).await).is_some(), "pages can read errors too");
        }
        allowed(&called)
    }
    let page = "https://app.example.com";
    assert_eq!(asked(&[], page).await, None);
    assert_eq!(asked(&[page], page).await.as_deref(), Some(page));
    assert_eq!(asked(&[page], "https://evil.example.com").await, None);
    assert_eq!(asked(&["*"], page).await.as_deref(), Some("*"));
}

#[actix_web::test]
async fn large_answers_are_compressed_for_those_who_can_read_them() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    for _ in 0..20 {
        api.endpoint("acme").await;
    }
    let coded = async |method, path: &str, accept: &str, body: Value| {
        let request = api.request(method, path).header("accept-encoding", accept);
        let response = request.json(&body).send().await.unwrap();
        assert!(response.status().is_success());
        let coding = response.headers().get("content-encoding").cloned();
        let bytes = response.bytes().await.unwrap();
        (coding.map(|coding| coding.to_str().unwrap().to_owned()), bytes)
    };
    let list = "/app/acme/endpoint";
    let plain = coded(Method::GET, list, "identity", json!({})).await;
    assert!(plain.0.is_none() && plain.1.len() > 2000);
    for (accept, coding) in [
        ("gzip", Some("gzip")),
        ("zstd, gzip", Some("zstd")),
        ("zstd;q=0.5, gzip", Some("gzip")),
        ("gzip;q=0, zstd", Some("zstd")),
        ("gzip;q=0", None),
        ("br", None),
    ] {
        let (found, bytes) = coded(Method::GET, list, accept, json!({})).await;
        assert_eq!(found.as_deref(), coding, "{accept}");
        assert_eq!(bytes.len() < plain.1.len() / 2, coding.is_some(), "{accept}");
    }
    assert_eq!(coded(Method::GET, "/app/acme", "gzip", json!({})).await.0, None, "it is small");
    let message = json!({"eventType": "a", "payload": "a".repeat(4000)});
    assert_eq!(coded(Method::POST, "/app/acme/msg", "gzip", message).await.0, None);
}

#[actix_web::test]
async fn a_large_error_is_what_its_coding_says() {
    let (api, _stored) = fresh().await;
    let wrong = json!({"name": "a", "archived": "x".repeat(4000)});
    let request = api.request(Method::POST, "/event-type").header("accept-encoding", "gzip");
    let response = request.json(&wrong).send().await.unwrap();
    assert_eq!(response.status(), 422);
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let mut told = String::new();
    let coded = response.bytes().await.unwrap();
    flate2::read::GzDecoder::new(&coded[..]).read_to_string(&mut told).unwrap();
    assert!(serde_json::from_str::<Value>(&told).unwrap()["requestId"].is_string(), "{told}");
}

#[actix_web::test]
async fn what_is_to_be_an_object_is_no_list_however_deep_it_lies() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let endpoint = |settings: Value| json!({"url": "https://example.com/", "sluicegate": settings});
    let message = |application: Value| json!({"eventType": "a", "payload": [[], {"a": []}], "application": application});
    for (path, body, place) in [
        ("/app", json!([{"name": "a"}]), json!(["body"])),
        ("/app", json!({"name": "a", "sluicegate": []}), json!(["body", "sluicegate"])),
        ("/event-type", json!({"name": "a", "sluicegate": []}), json!(["body", "sluicegate"])),
        ("/app/acme/endpoint", endpoint(json!([])), json!(["body", "sluicegate"])),
        (
            "/app/acme/endpoint",
            endpoint(json!({"retry": [["1s"]]})),
            json!(["body", "sluicegate", "retry"]),
        ),
        (
            "/app/acme/endpoint",
            endpoint(json!({"limits": [{"count": 1, "per": "1s"}, [1, "1s"]]})),
            json!(["body", "sluicegate", "limits", "1"]),
        ),
        ("/app/acme/msg", message(json!(["b"])), json!(["body", "application"])),
    ] {
        let refused = api.post(path, body.clone()).await.expect(422);
        let fault = &refused["detail"][0];
        assert_eq!(fault["loc"], place, "{body}: {refused}");
        assert!(fault["msg"].as_str().unwrap().contains("expected an object"), "{body}: {refused}");
    }
    api.post("/app/acme/msg", message(json!({"name": "b", "uid": "b"}))).await.expect(202);
    let batch = json!([message(json!(null)), message(json!(["b"]))]);
    let answer = api.post("/app/acme/msg/batch", batch).await;
    let refused = &answer.json()["data"][1];
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "application"]), "{}", answer.text);
}
