//! A gateway, its store in a directory that goes with it, and a client.

use std::time::Duration;

use gateway::{Config, Gateway};
use prometheus::Registry;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use shared::store::{Durability, Lifetimes, SharedStore, embedded};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "a-token";

/// A store that is removed at the end.
pub(crate) struct Stored {
    pub(crate) store: SharedStore,
    _directory: TempDir,
}

pub(crate) fn stored() -> Stored {
    stored_for(Lifetimes::default())
}

/// A store with these lifetimes.
pub(crate) fn stored_for(lifetimes: Lifetimes) -> Stored {
    let directory = TempDir::new().unwrap();
    let store = embedded::open(directory.path(), Durability::Process, lifetimes).unwrap();
    Stored { store, _directory: directory }
}

pub(crate) fn config() -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        api_token: TOKEN.into(),
        workers: 1,
        body_limit: 64 * 1024,
        body_deadline: Duration::from_secs(5),
        secret_overlap: Duration::from_secs(86_400),
        retry_schedule: vec![Duration::from_secs(5)],
        request_timeout: Duration::from_secs(15),
        message_lifetime: Lifetimes::default().message,
        quota_bytes: 0,
        longest_retention: Duration::from_secs(90 * 86_400),
        allow_cidr: vec![],
        keys: Default::default(),
        issuers: vec![],
        public_url: String::new(),
        publish_limit: 0,
        management_limit: 0,
        cors_origins: vec![],
        logged_headers: vec![],
        tracer: Default::default(),
    }
}

/// A gateway with a client that shows its token.
pub(crate) struct Api {
    pub(crate) gateway: Gateway,
    pub(crate) metrics: Registry,
    client: Client,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body, if the status is as expected.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// Expects an error in the API's shape.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, code: &str) {
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        match &body["detail"] {
            Value::String(text) => assert!(!text.is_empty()),
            Value::Array(faults) => {
                for fault in faults {
                    assert!(fault["loc"].is_array() && fault["msg"].is_string(), "{body}");
                    assert!(fault["type"].is_string(), "{body}");
                }
                assert_eq!(status, 422);
            }
            _ => panic!("{body}"),
        }
    }
}

impl Api {
    pub(crate) async fn start(store: &SharedStore) -> Self {
        Self::start_with(store, config()).await
    }

    pub(crate) async fn start_with(store: &SharedStore, config: Config) -> Self {
        let metrics = Registry::new();
        let gateway = Gateway::start(config, store.clone(), &metrics).await.unwrap();
        Self { gateway, metrics, client: Client::new() }
    }

    /// A request with the token; `path` is what follows `/api/v1`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as(TOKEN, method, path)
    }

    /// A request with another token.
    pub(crate) fn request_as(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path)).bearer_auth(token)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.gateway.address())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Posts exactly these bytes as JSON.
    pub(crate) async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        send(request.body(body)).await
    }

    /// A new application; its id.
    pub(crate) async fn application(&self, uid: &str) -> String {
        let created = self.post("/app", json!({"name": uid, "uid": uid})).await.expect(201);
        created["id"].as_str().unwrap().to_owned()
    }

    /// A new endpoint for everything; its id.
    pub(crate) async fn endpoint(&self, app: &str) -> String {
        let path = format!("/app/{app}/endpoint");
        let created =
            self.post(&path, json!({"url": "https://example.com/hook"})).await.expect(201);
        created["id"].as_str().unwrap().to_owned()
    }

    /// The value of a counter, summed over its labels.
    pub(crate) fn counted(&self, name: &str) -> f64 {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics.iter().map(|metric| metric.get_counter().get_value()).sum()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

/// A new gateway over a new store.
pub(crate) async fn fresh() -> (Api, Stored) {
    let stored = stored();
    (Api::start(&stored.store).await, stored)
}
