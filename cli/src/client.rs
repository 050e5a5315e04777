//! A client of a running server's API, for the subcommands that work through it.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow};
use reqwest::{Client, Method, StatusCode, header::RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::{
    arguments::{Role, ServerFlags},
    config::Config,
    exit::{Failure, Result},
    token,
};

/// How long one request may take: rewrapping a page of large applications is the longest.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a server that says "later" is asked again, and the longest that it is waited for.
const MOST_TURNS: usize = 10;
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A client with its token.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    client: Client,
    base: Url,
    token: SecretString,
    requests: Arc<AtomicUsize>,
}

/// The URL of a server that listens at this address on this machine.
pub(crate) fn local(mut address: SocketAddr) -> Result<Url> {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(format!("http://{address}/").parse::<Url>().context("the setting `listen` makes no URL")?)
}

/// An answer that is no success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The server says no.
    #[error("{status}: {detail}")]
    Answered {
        /// The HTTP status.
        status: StatusCode,
        /// What the server says about it.
        detail: String,
    },
    /// The server cannot do it now, and says when it may.
    #[error("{status}: {detail}")]
    NotNow {
        /// The HTTP status.
        status: StatusCode,
        /// When to ask again.
        wait: Duration,
        /// What the server says about it.
        detail: String,
    },
    /// There was no answer.
    #[error("no answer from the server: {0}")]
    Unanswered(String),
}

impl Server {
    /// The server that the flags mean.
    pub(crate) fn find(flags: &ServerFlags) -> Result<Self> {
        let settings = Config::load(&flags.flags, Role::AllInOne)?.settings;
        let base = match &flags.server {
            Some(url) => url.clone(),
            None => local(settings.listen)?,
        };
        Self::new(base, token::find(&settings)?)
    }

    /// A server at this URL.
    pub(crate) fn new(base: Url, token: SecretString) -> Result<Self> {
        let client = Client::builder().timeout(PATIENCE).build().context("no HTTP client")?;
        Ok(Self { client, base, token, requests: Arc::default() })
    }

    /// How many requests it has made.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Calls the API; `path` is what follows `/api/v1/`. Where the server is asked too often or cannot do
    /// it now, it is asked again when it says so. Every call is safe to repeat.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> std::result::Result<Value, Refused> {
        let mut turn = 0;
        loop {
            match self.call_once(method.clone(), path, body).await {
                Err(Refused::NotNow { wait, .. }) if turn < MOST_TURNS => {
                    turn += 1;
                    tokio::time::sleep(wait).await;
                }
                answer => return answer,
            }
        }
    }

    async fn call_once(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> std::result::Result<Value, Refused> {
        let base = self.base.as_str().trim_end_matches('/');
        let mut request = self
            .client
            .request(method, format!("{base}/api/v1/{path}"))
            .bearer_auth(self.token.expose_secret());
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(body) = body {
            request = request.json(body);
        }
        let unanswered = |error: reqwest::Error| {
            // What is inside says why; the outer text repeats the URL only.
            let mut cause: &dyn std::error::Error = &error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            Refused::Unanswered(format!("{base}: {cause}"))
        };
        let answer = request.send().await.map_err(unanswered)?;
        let status = answer.status();
        let wait =
            answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        let text = answer.text().await.map_err(unanswered)?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let detail = || detail(&body);
        match (status, wait) {
            (status, _) if status.is_success() => Ok(body),
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) => {
                let wait = Duration::from_secs(seconds).min(LONGEST_WAIT);
                Err(Refused::NotNow { status, wait, detail: detail() })
            }
            (status, _) => Err(Refused::Answered { status, detail: detail() }),
        }
    }
}

/// What an error's body says, for people.
fn detail(body: &Value) -> String {
    match &body["detail"] {
        Value::String(detail) => detail.clone(),
        Value::Array(faults) => {
            let faults = faults.iter().map(|fault| {
                let place = fault["loc"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let place: Vec<_> = place.skip(1).collect();
                format!("{}: {}", place.join("."), fault["msg"].as_str().unwrap_or("not valid"))
            });
            faults.collect::<Vec<_>>().join("; ")
        }
        _ => "the server does not say why".to_owned(),
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Runtime(anyhow!(refused))
    }
}
