//! The keys of an issuer: read over HTTP in the background, kept while the issuer is down.
//!
//! A token that names a key which is not known makes them be read too, but never more often than the
//! issuer's settings say, and only once at a time: no flood of made-up tokens becomes one of requests.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{Jwk, KeyOperations, PublicKeyUse},
};
use parking_lot::RwLock;
use reqwest::{Client, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{self, Instant},
};

use super::issuer::Issuer;
use crate::metrics::Metrics;

const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const MAX_BYTES: usize = 256 * 1024;
const MAX_KEYS: usize = 64;

/// A key that can verify.
pub(super) struct VerifyingKey {
    pub(super) key: DecodingKey,
    /// The only algorithm that it is for, if its owner says so.
    pub(super) algorithm: Option<Algorithm>,
}

/// No keys of the issuer are known, or only some that are too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoKeys;

/// The keys of one issuer.
pub(super) struct KeySet {
    issuer: Issuer,
    client: Client,
    metrics: Metrics,
    keys: RwLock<Arc<Keys>>,
    /// When they were last asked for. Held while they are.
    asked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, Arc<VerifyingKey>>,
    read: Option<Instant>,
}

/// Reads keys in the background for as long as it lives.
pub(super) struct Refreshing(JoinHandle<()>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why keys could not be read. Closed texts: what an issuer answers is nobody's log line.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the request failed")]
    Request(#[from] reqwest::Error),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the answer is not what it should be")]
    Shape(#[from] serde_json::Error),
    #[error("the discovery document is of another issuer, or its jwks_uri is not https")]
    Discovery,
    #[error("there is no key of a known kind with an id among them")]
    NoKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl KeySet {
    /// Starts to read them.
    pub(super) fn start(
        issuer: Issuer,
        metrics: Metrics,
    ) -> reqwest::Result<(Arc<Self>, Refreshing)> {
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(DEADLINE)
            .build()?;
        let (refresh, soon) = (issuer.refresh, issuer.refresh_at_most);
        let set = Arc::new(Self {
            issuer,
            client,
            metrics,
            keys: RwLock::default(),
            asked: Mutex::new(None),
        });
        let reading = Arc::clone(&set);
        let task = tokio::spawn(async move {
            loop {
                let done = reading.read_again().await;
                time::sleep(if done { refresh } else { soon }).await;
            }
        });
        Ok((set, Refreshing(task)))
    }

    /// The key with this id.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Arc<VerifyingKey>>, NoKeys> {
        if let Ok(Some(key)) = self.known(id) {
            return Ok(Some(key));
        }
        self.read_again().await;
        self.known(id)
    }

    fn known(&self, id: &str) -> Result<Option<Arc<VerifyingKey>>, NoKeys> {
        let keys = self.keys.read();
        let fresh = keys.read.is_some_and(|read| read.elapsed() <= self.issuer.stale_for);
        if fresh { Ok(keys.by_id.get(id).cloned()) } else { Err(NoKeys) }
    }

    /// Reads them, unless that was tried a moment ago; whether it worked.
    async fn read_again(&self) -> bool {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < self.issuer.refresh_at_most) {
            return false;
        }
        *asked = Some(Instant::now());
        let found = self.fetch().await;
        self.metrics.keys_read(found.is_ok());
        match found {
            Ok(by_id) => {
                tracing::debug!(
                    issuer = self.issuer.issuer,
                    keys = by_id.len(),
                    "issuer.keys_read"
                );
                *self.keys.write() = Arc::new(Keys { by_id, read: Some(Instant::now()) });
                true
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer.issuer, %error, "issuer.keys_not_read");
                false
            }
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, Arc<VerifyingKey>>, Failure> {
        let url = match self.issuer.jwks_url.as_str() {
            "" => self.discover().await?,
            url => url.to_owned(),
        };
        let document: Document = serde_json::from_slice(&self.get(&url).await?)?;
        let keys: HashMap<_, _> =
            document.keys.into_iter().take(MAX_KEYS).filter_map(usable).collect();
        if keys.is_empty() { Err(Failure::NoKey) } else { Ok(keys) }
    }

    async fn discover(&self) -> Result<String, Failure> {
        let issuer = self.issuer.issuer.as_str();
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let found: Discovery = serde_json::from_slice(&self.get(&url).await?)?;
        let is_safe = found.jwks_uri.starts_with("https://") || issuer.starts_with("http://");
        if found.issuer == issuer && is_safe { Ok(found.jwks_uri) } else { Err(Failure::Discovery) }
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, Failure> {
        let mut response = self.client.get(url).send().await?;
        if !response.status().is_success() {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if bytes.len() + chunk.len() > MAX_BYTES {
                return Err(Failure::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// A key with its id, if it is one to verify with. A set may hold others, of kinds not yet known too.
fn usable(json: Value) -> Option<(String, Arc<VerifyingKey>)> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|it| it.contains(&KeyOperations::Verify));
    let algorithm = match common.key_algorithm {
        None => None,
        Some(algorithm) => Some(algorithm.to_string().parse().ok()?),
    };
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| signs)?;
    Some((common.key_id.clone()?, Arc::new(VerifyingKey { key, algorithm })))
}
