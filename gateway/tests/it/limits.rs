//! What a gateway refuses before it looks at the content.

use std::time::Duration;

use reqwest::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Api, TOKEN, config, fresh, send, stored};

#[tokio::test]
async fn only_the_token_opens() {
    let (api, _stored) = fresh().await;
    let client = reqwest::Client::new();
    send(client.get(api.url("/app"))).await.expect_error(401, "authentication_failed");
    let wrong = client.get(api.url("/app")).bearer_auth("another");
    send(wrong).await.expect_error(401, "authentication_failed");
    send(client.get(api.url("/nothing"))).await.expect_error(401, "authentication_failed");
    for path in ["/health", "/health/", "/health/ping"] {
        send(client.get(api.url(path))).await.expect(204);
        send(client.head(api.url(path))).await.expect(204);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_the_same_shape() {
    let (api, _stored) = fresh().await;
    api.get("/nothing").await.expect_error(404, "not_found");
    api.delete("/app").await.expect_error(405, "method_not_allowed");
    let outside = api.url("/app").replace("/api/v1/app", "/elsewhere");
    send(reqwest::Client::new().get(outside)).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn requests_have_ids() {
    let (api, _stored) = fresh().await;
    let named = send(api.request(Method::GET, "/app").header("svix-req-id", "42")).await;
    assert_eq!(named.headers["x-request-id"], "42");
    let unnamed = api.get("/app").await;
    assert!(!unnamed.headers["x-request-id"].is_empty());
}

#[tokio::test]
async fn large_bodies_are_refused_whole() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let message = |size: usize| format!(r#"{{"eventType":"a","payload":"{}"}}"#, "x".repeat(size));
    let limit = config().body_limit;
    let overhead = message(0).len();
    api.post_raw("/app/acme/msg", message(limit - overhead)).await.expect(202);
    let over = message(limit - overhead + 1);
    api.post_raw("/app/acme/msg", over.clone()).await.expect_error(413, "payload_too_large");
    // The same without a length announced.
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(over)]);
    let chunked = api.post_raw("/app/acme/msg", reqwest::Body::wrap_stream(chunks)).await;
    chunked.expect_error(413, "payload_too_large");
}

#[tokio::test]
async fn slow_bodies_are_cut_off() {
    let stored = stored();
    let mut config = config();
    config.body_deadline = Duration::from_millis(100);
    let api = Api::start_with(&stored.store, config).await;
    let mut connection = TcpStream::connect(api.gateway.address()).await.unwrap();
    let head = format!(
        "POST /api/v1/app HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
}

#[tokio::test]
async fn other_media_are_refused() {
    let (api, _stored) = fresh().await;
    for (name, value) in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
        let request = api.request(Method::POST, "/app").header(name, value).body("{}");
        send(request).await.expect_error(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn a_stopped_gateway_finishes_and_says_so() {
    let (api, _stored) = fresh().await;
    let probes = api.gateway.probes();
    assert!(probes.iter().all(|probe| probe.check().is_ok()));
    api.application("acme").await;
    let address = api.gateway.address();
    api.gateway.stop(Duration::from_secs(10)).await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(probes.iter().all(|probe| probe.check().is_err()));
}
