//! JWTs of configured issuers: who shows one, and what it is good for.
//!
//! The header of a token only chooses among what the issuer's settings allow: the algorithm must be
//! one of theirs, the key one of the issuer's own. Where keys are (`jku`, `x5u`, `jwk`) is never taken
//! from a token.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, Validation, dangerous, decode, decode_header};
use moka::future::Cache;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::{id::AppId, store::SharedStore, time::Millis};

use super::{
    authorize::Caller,
    issuer::{Applications, Issuer},
    jwks::{KeySet, Refreshing},
    rejection::Rejection,
};
use crate::{
    error::{ApiError, Result},
    metrics::Metrics,
};

/// Longest token that is looked at.
const MAX_LEN: usize = 8192;
/// Longest part of a subject that names its caller.
const MAX_SUBJECT: usize = 128;
/// How long a token that was verified is believed without another look.
const REMEMBERED: Duration = Duration::from_secs(5);
const MAX_REMEMBERED: u64 = 100_000;

/// All issuers.
pub(super) struct Jwts {
    issuers: Vec<Trusted>,
    store: SharedStore,
    /// By the hash of the token.
    known: Cache<[u8; 32], Arc<Known>>,
}

struct Trusted {
    issuer: Issuer,
    validation: Validation,
    algorithms: Vec<Algorithm>,
    keys: Arc<KeySet>,
    _refreshing: Refreshing,
}

struct Known {
    caller: Caller,
    /// From when on it is not good any more, leeway included.
    end: Millis,
}

const SIGNATURE: &str = "signature";
const EXPIRED: &str = "exp";
const TOO_EARLY: &str = "nbf";

/// Why a token is refused. Nothing of the token: its texts are its sender's.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("not a JWT that can be read")]
    Shape,
    #[error("of no configured issuer")]
    Issuer,
    #[error("signed with an algorithm that the issuer's settings do not allow")]
    Algorithm,
    #[error("it names no key that the issuer has")]
    Key,
    #[error("the signature or a claim does not hold: {0}")]
    Invalid(&'static str),
    #[error("it is good for nothing here")]
    Scope,
    #[error("it is good for no application that there is")]
    Application,
    #[error("the issuer's keys cannot be read")]
    NoKeys,
}

impl From<Refusal> for Rejection {
    fn from(why: Refusal) -> Self {
        match why {
            Refusal::Shape => Self::Malformed,
            Refusal::Issuer | Refusal::Algorithm => Self::Issuer,
            Refusal::Key | Refusal::NoKeys => Self::Key,
            Refusal::Invalid(SIGNATURE) => Self::Signature,
            Refusal::Invalid(EXPIRED | TOO_EARLY) => Self::Expired,
            Refusal::Invalid(_) | Refusal::Scope | Refusal::Application => Self::Claims,
        }
    }
}

#[derive(Deserialize)]
struct Claimed {
    iss: String,
}

impl Jwts {
    /// Starts to read the issuers' keys.
    pub(super) fn start(
        issuers: &[Issuer],
        store: SharedStore,
        metrics: &Metrics,
    ) -> reqwest::Result<Self> {
        let trusted = issuers.iter().map(|issuer| Trusted::start(issuer.clone(), metrics));
        Ok(Self {
            issuers: trusted.collect::<reqwest::Result<_>>()?,
            store,
            known: Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBERED).build(),
        })
    }

    /// Whether this looks like a JWT, and somebody's JWTs are accepted.
    pub(super) fn takes(&self, shown: &[u8]) -> bool {
        !self.issuers.is_empty() && shown.iter().filter(|byte| **byte == b'.').count() == 2
    }

    /// Who shows this, which has this hash, if it is good.
    pub(super) async fn caller(
        &self,
        shown: &[u8],
        hash: [u8; 32],
    ) -> Result<std::result::Result<Caller, Rejection>> {
        let known = match self.known.get(&hash).await {
            Some(known) => known,
            None => match self.verify(shown).await? {
                Ok(known) => {
                    let known = Arc::new(known);
                    self.known.insert(hash, Arc::clone(&known)).await;
                    known
                }
                Err(Refusal::NoKeys) => return Err(ApiError::IssuerUnavailable),
                Err(why) => {
                    tracing::debug!(%why, "jwt.refused");
                    return Ok(Err(why.into()));
                }
            },
        };
        let is_good = known.end > Millis::now();
        Ok(is_good.then(|| known.caller.clone()).ok_or(Rejection::Expired))
    }

    async fn verify(&self, shown: &[u8]) -> Result<std::result::Result<Known, Refusal>> {
        let (trusted, claims) = match self.read(shown).await {
            Ok(read) => read,
            Err(why) => return Ok(Err(why)),
        };
        let issuer = &trusted.issuer;
        let scopes = issuer.scopes_of(&claims);
        if scopes.is_empty() {
            return Ok(Err(Refusal::Scope));
        }
        let app = match issuer.applications_of(&claims) {
            Applications::All => None,
            Applications::None => return Ok(Err(Refusal::Application)),
            Applications::One(name) => match self.application(name).await? {
                Some(app) => Some(app),
                None => return Ok(Err(Refusal::Application)),
            },
        };
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or("?");
        let subject: String = subject.chars().take(MAX_SUBJECT).collect();
        let name = format!("jwt:{}:{subject}", issuer.issuer);
        let end = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
        let end = Millis((end * 1000.0) as u64).after(issuer.leeway);
        Ok(Ok(Known { caller: Caller::new(&name, &scopes, app), end }))
    }

    async fn application(&self, name: &str) -> Result<Option<AppId>> {
        match name.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Ok(self.store.find_uid(name).await?),
        }
    }

    /// Reads the claims of a token, if all of it holds.
    async fn read(
        &self,
        shown: &[u8],
    ) -> std::result::Result<(&Trusted, Map<String, Value>), Refusal> {
        if shown.len() > MAX_LEN {
            return Err(Refusal::Shape);
        }
        let header = decode_header(shown).map_err(|_| Refusal::Shape)?;
        if header.crit.is_some() {
            return Err(Refusal::Shape);
        }
        let claimed: Claimed =
            dangerous::insecure_decode_claims(shown).map_err(|_| Refusal::Shape)?;
        let trusted = self.issuers.iter().find(|it| it.issuer.issuer == claimed.iss);
        let trusted = trusted.ok_or(Refusal::Issuer)?;
        if !trusted.algorithms.contains(&header.alg) {
            return Err(Refusal::Algorithm);
        }
        let id = header.kid.as_deref().ok_or(Refusal::Key)?;
        let key = trusted.keys.find(id).await.map_err(|_| Refusal::NoKeys)?;
        let key = key.ok_or(Refusal::Key)?;
        if key.algorithm.is_some_and(|algorithm| algorithm != header.alg) {
            return Err(Refusal::Algorithm);
        }
        // Only the token's own algorithm, which was found to be allowed: the library wants all that it
        // is given to be of one family.
        let validation = Validation { algorithms: vec![header.alg], ..trusted.validation.clone() };
        let token = decode(shown, &key.key, &validation).map_err(|error| invalid(&error))?;
        Ok((trusted, token.claims))
    }
}

impl Trusted {
    fn start(issuer: Issuer, metrics: &Metrics) -> reqwest::Result<Self> {
        let (keys, refreshing) = KeySet::start(issuer.clone(), metrics.clone())?;
        let algorithms: Vec<_> = issuer.algorithms.iter().map(|it| it.of_header()).collect();
        let mut validation = Validation {
            leeway: issuer.leeway.as_secs(),
            validate_nbf: true,
            ..Validation::default()
        };
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_audience(&issuer.audiences);
        validation.set_issuer(&[&issuer.issuer]);
        Ok(Self { issuer, validation, algorithms, keys, _refreshing: refreshing })
    }
}

/// What does not hold, in a closed set of texts.
fn invalid(error: &jsonwebtoken::errors::Error) -> Refusal {
    use jsonwebtoken::errors::ErrorKind;
    Refusal::Invalid(match error.kind() {
        ErrorKind::InvalidSignature => SIGNATURE,
        ErrorKind::ExpiredSignature => EXPIRED,
        ErrorKind::ImmatureSignature => TOO_EARLY,
        ErrorKind::InvalidAudience => "aud",
        ErrorKind::InvalidIssuer => "iss",
        ErrorKind::MissingRequiredClaim(_) => "a claim is missing",
        _ => "other",
    })
}
