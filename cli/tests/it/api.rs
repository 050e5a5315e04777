//! The API as a producer uses it.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{Process, TOKEN};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A client of one gateway.
pub(crate) struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    pub(crate) fn of(process: &Process) -> Self {
        Self::with_token(process, TOKEN)
    }

    pub(crate) fn with_token(process: &Process, token: &str) -> Self {
        Self { client: Client::new(), base: process.told("API ").into(), token: token.into() }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> (StatusCode, Value) {
        let request = self
            .client
            .request(method, format!("{}/{path}", self.base))
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(body.unwrap_or_default().to_owned());
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Value {
        let (status, answer) = self.call(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "POST {path} {body}: {status} {answer}");
        answer
    }

    /// Creates the application `demo` with one endpoint; answers the endpoint's id.
    pub(crate) async fn subscribe(&self, url: &str) -> String {
        self.post("app", r#"{"name": "Demo", "uid": "demo"}"#).await;
        self.endpoint(url).await
    }

    /// Creates an endpoint of `demo`; answers its id.
    pub(crate) async fn endpoint(&self, url: &str) -> String {
        let endpoint = json!({"url": url, "secret": SECRET}).to_string();
        id(&self.post("app/demo/endpoint", &endpoint).await)
    }

    /// Publishes to `demo`; answers the message's id.
    pub(crate) async fn publish(&self, payload: &str) -> String {
        let message = format!(r#"{{"eventType": "demo.greeted", "payload": {payload}}}"#);
        let (status, answer) = self.call(Method::POST, "app/demo/msg", Some(&message)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        id(&answer)
    }

    /// Publishes a body with these headers.
    pub(crate) async fn publish_with(
        &self,
        path: &str,
        body: &str,
        headers: &[(&str, String)],
    ) -> Value {
        let (status, answer) = self.try_publish(path, body, headers).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }

    pub(crate) async fn try_publish(
        &self,
        path: &str,
        body: &str,
        headers: &[(&str, String)],
    ) -> (StatusCode, String) {
        let mut request = self
            .client
            .post(format!("{}/{path}", self.base))
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

fn id(object: &Value) -> String {
    object["id"].as_str().expect("an id").to_owned()
}
