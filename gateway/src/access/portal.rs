//! Tokens of the portal: who shows one, and which application it is good for.
//!
//! A token is `sgp_`, a code that becomes one `sgo_`; behind it the application's id, `_`, and 32
//! letters and digits of secret, which have 190 random bits. The application's document holds the
//! hashes of all of its tokens, so that they can be ended together.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use shared::{
    domain::PortalAccess,
    id::AppId,
    store::{ErrorKind, Kind, SharedStore, StoreError},
    time::Millis,
};
use subtle::ConstantTimeEq;

use super::{authorize::Caller, key::secret, rejection::Rejection};
use crate::error::Result;

/// How long an answer of the store is believed.
const REMEMBERED: Duration = Duration::from_secs(5);
const MAX_REMEMBERED: u64 = 100_000;

/// What a text is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Calling the API.
    Calls,
    /// Being exchanged for a token, once.
    Exchange,
}

impl Use {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Calls => "sgp_",
            Self::Exchange => "sgo_",
        }
    }
}

/// A token or code that was shown, or has just been made.
#[derive(Debug)]
pub(crate) struct PortalSecret {
    pub(crate) app: AppId,
    text: SecretString,
}

impl PortalSecret {
    pub(crate) fn generate(app: AppId, for_use: Use) -> Self {
        let text = format!("{}{}_{}", for_use.prefix(), app.bare().as_str(), secret());
        Self { app, text: text.into() }
    }

    pub(crate) fn parse(text: &[u8], for_use: Use) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (app, secret) = text.strip_prefix(for_use.prefix())?.split_once('_')?;
        let fits = secret.len() == super::key::SECRET
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let app = AppId::from_bare(app).ok().filter(|_| fits)?;
        Some(Self { app, text: text.into() })
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> String {
        STANDARD.encode(self.digest())
    }

    /// Whether it is the one of which this was stored.
    pub(crate) fn has_hash(&self, stored: &str) -> bool {
        self.hash().as_bytes().ct_eq(stored.as_bytes()).into()
    }

    /// The whole text, for its owner's eyes only.
    pub(crate) fn reveal(&self) -> &str {
        self.text.expose_secret()
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.text.expose_secret()).into()
    }
}

#[derive(Clone)]
struct Known {
    caller: Caller,
    end: Millis,
}

/// All tokens of the portal.
pub(super) struct Portal {
    store: SharedStore,
    /// By the hash of what was shown; `None` where there is no such token.
    known: Cache<[u8; 32], Option<Arc<Known>>>,
}

impl Portal {
    pub(super) fn new(store: SharedStore) -> Self {
        let known = Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBERED).build();
        Self { store, known }
    }

    /// Whether this looks like one.
    pub(super) fn takes(shown: &[u8]) -> bool {
        shown.starts_with(Use::Calls.prefix().as_bytes())
    }

    /// Who shows this, which has this hash, if it is good.
    pub(super) async fn caller(
        &self,
        shown: &[u8],
        hash: [u8; 32],
    ) -> Result<std::result::Result<Caller, Rejection>> {
        let known = match self.known.get(&hash).await {
            Some(known) => known,
            None => {
                let Some(token) = PortalSecret::parse(shown, Use::Calls) else {
                    return Ok(Err(Rejection::Malformed));
                };
                let known = self.load(&token).await?.map(Arc::new);
                self.known.insert(hash, known.clone()).await;
                known
            }
        };
        let Some(known) = known else { return Ok(Err(Rejection::Unknown)) };
        let is_good = known.end > Millis::now();
        Ok(is_good.then(|| known.caller.clone()).ok_or(Rejection::Expired))
    }

    /// Looks at the store again when this is shown the next time.
    pub(super) async fn forget(&self, token: &PortalSecret) {
        self.known.invalidate(&token.digest()).await;
    }

    async fn load(&self, token: &PortalSecret) -> Result<Option<Known>> {
        let app = token.app.to_string();
        let Some(json) = self.store.document(Kind::Portal, &app).await? else { return Ok(None) };
        let access: PortalAccess = serde_json::from_slice(&json).map_err(|error| {
            StoreError::caused_by(ErrorKind::Corrupt, "tokens of the portal cannot be read", error)
        })?;
        let found = access.tokens.iter().find(|it| token.has_hash(&it.hash));
        Ok(found.filter(|it| it.becomes_until.is_none()).map(|it| {
            let name = format!("portal:{}", it.session_id.as_deref().unwrap_or(&app));
            Known {
                caller: Caller::of_portal(&name, &it.capabilities, token.app),
                end: it.expires_at,
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_no_token_and_neither_shows() {
        let app = AppId::from_bits(7);
        let token = PortalSecret::generate(app, Use::Calls);
        let read = PortalSecret::parse(token.reveal().as_bytes(), Use::Calls).unwrap();
        assert!(read.app == app && read.has_hash(&token.hash()));
        assert!(PortalSecret::parse(token.reveal().as_bytes(), Use::Exchange).is_none());
        assert!(!PortalSecret::generate(app, Use::Calls).has_hash(&token.hash()));
        let text = token.reveal();
        for wrong in ["", "sgp_", "sgp__", &text[..text.len() - 1], &text.replace("sgp_", "sgk_")] {
            assert!(PortalSecret::parse(wrong.as_bytes(), Use::Calls).is_none(), "{wrong}");
        }
        assert!(!format!("{token:?}").contains(&text[30..]));
    }
}
