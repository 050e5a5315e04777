//! Signatures of what arrives, verified with the public library of Standard Webhooks, so that a
//! server's own code does not vouch for itself.

use std::collections::HashMap;

use actix_web::http::header::HeaderMap;
use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use standardwebhooks::Webhook;

/// The secrets of endpoints, by path and query at the sink.
#[derive(Default)]
pub struct Signatures {
    webhooks: HashMap<String, Webhook>,
}

impl std::fmt::Debug for Signatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signatures of {} endpoints", self.webhooks.len())
    }
}

/// A new secret of 24 bytes, as the API takes it.
pub fn new_secret() -> String {
    format!("whsec_{}", STANDARD.encode(rand::random::<[u8; 24]>()))
}

impl Signatures {
    /// What comes to this path (with query) must be signed with `secret`.
    pub fn expect(&mut self, path: &str, secret: &str) -> anyhow::Result<()> {
        let webhook = Webhook::new(secret).context("not a secret of Standard Webhooks")?;
        self.webhooks.insert(path.to_owned(), webhook);
        Ok(())
    }

    /// Whether a request has a valid signature, and a time within five minutes of now. A path without
    /// a secret has none.
    pub(crate) fn verify(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> bool {
        self.webhooks.get(path).is_some_and(|webhook| {
            unbranded(headers).is_some_and(|headers| webhook.verify(body, &headers).is_ok())
        })
    }
}

/// A header of Standard Webhooks by its last word (`id`, `timestamp`, `signature`), or the same under
/// the name that Svix gives it.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let standard = headers.get(format!("webhook-{name}"));
    standard.or_else(|| headers.get(format!("svix-{name}")))?.to_str().ok()
}

fn unbranded(headers: &HeaderMap) -> Option<http::HeaderMap> {
    use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};
    let mut unbranded = http::HeaderMap::with_capacity(3);
    for (name, last_word) in [
        (HEADER_WEBHOOK_ID, "id"),
        (HEADER_WEBHOOK_TIMESTAMP, "timestamp"),
        (HEADER_WEBHOOK_SIGNATURE, "signature"),
    ] {
        unbranded.insert(name, header(headers, last_word)?.parse().ok()?);
    }
    Some(unbranded)
}
