//! The layer in front of every route: nobody passes whose token is not known, or who may not do this.

use std::net::SocketAddr;

use actix_web::{
    Error, HttpMessage,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{AUTHORIZATION, HeaderMap},
    middleware::Next,
    web,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use shared::{domain::Scope, id::AppId, store::SharedStore};
use subtle::ConstantTimeEq;

use super::{
    authorize::{Caller, Verdict},
    failures::Failures,
    jwt::Jwts,
    keys::Keys,
    portal::{Portal, PortalSecret},
    rates::Rates,
    rejection::{Credential, Rejection},
};
use crate::{
    config::Config,
    error::{self, ApiError},
    metrics::Metrics,
};

/// What requests are let through by.
pub(crate) struct Access {
    root: Root,
    keys: Keys,
    jwts: Jwts,
    portal: Portal,
    rates: Rates,
    failures: Failures,
    store: SharedStore,
    metrics: Metrics,
}

impl Access {
    /// Starts to read the keys of the issuers; fails if there can be no client for that.
    pub(crate) fn start(
        config: &Config,
        store: SharedStore,
        metrics: &Metrics,
    ) -> reqwest::Result<Self> {
        Ok(Self {
            root: Root::new(&config.api_token),
            rates: Rates::new(config.publish_limit, config.management_limit),
            keys: Keys::new(store.clone()),
            jwts: Jwts::start(&config.issuers, store.clone(), metrics)?,
            portal: Portal::new(store.clone()),
            failures: Failures::new(),
            store,
            metrics: metrics.clone(),
        })
    }

    async fn admit(&self, request: &ServiceRequest) -> error::Result<Caller> {
        let (credential, caller) =
            match bearer_of(request.headers()).map(|shown| (shown, hash(shown))) {
                None => (Credential::None, Err(Rejection::Missing)),
                Some((_, hash)) if self.root.has(&hash) => {
                    (Credential::ApiKey, Ok(self.root.caller.clone()))
                }
                Some((shown, hash)) if self.jwts.takes(shown) => {
                    (Credential::Jwt, self.jwts.caller(shown, hash).await?)
                }
                Some((shown, hash)) if Portal::takes(shown) => {
                    (Credential::Portal, self.portal.caller(shown, hash).await?)
                }
                Some((shown, hash)) => (Credential::ApiKey, self.keys.caller(shown, hash).await?),
            };
        let caller = caller.map_err(|why| {
            self.metrics.rejected(credential, why);
            self.refuse(request.peer_addr())
        })?;
        let path = request.path().strip_prefix("/api/v1").unwrap_or_default();
        match caller.judge(request.method(), path) {
            Verdict::Allowed => Ok(caller),
            Verdict::AllowedIn(name) if self.is_own(&caller, name).await? => Ok(caller),
            Verdict::AllowedIn(_) => Err(ApiError::NotFound("application")),
            Verdict::Hidden => Err(ApiError::NotFound("path")),
            Verdict::Forbidden => Err(ApiError::Forbidden(caller.rights())),
        }
    }

    /// Counts a wrong token that this address has shown.
    pub(crate) fn refuse(&self, peer: Option<SocketAddr>) -> ApiError {
        let Some(peer) = peer else { return ApiError::Unauthenticated };
        match self.failures.count(peer.ip()) {
            Ok(()) => ApiError::Unauthenticated,
            Err(wait) => ApiError::TooManyFailures { wait },
        }
    }

    /// Looks at the store again when this is shown the next time.
    pub(crate) async fn forget(&self, token: &PortalSecret) {
        self.portal.forget(token).await;
    }

    /// Whether the caller's application has this id or uid.
    async fn is_own(&self, caller: &Caller, name: &str) -> error::Result<bool> {
        let named = match name.parse::<AppId>() {
            Ok(id) => Some(id),
            Err(_) => self.store.find_uid(name).await?,
        };
        Ok(named.is_some() && named == caller.app)
    }
}

/// The token of the settings, as its hash: equal lengths compare in constant time.
struct Root {
    hash: [u8; 32],
    caller: Caller,
}

impl Root {
    fn new(token: &SecretString) -> Self {
        let caller = Caller::new("root", &[Scope::Admin], None);
        Self { hash: hash(token.expose_secret().as_bytes()), caller }
    }

    fn has(&self, hash: &[u8; 32]) -> bool {
        bool::from(hash.ct_eq(&self.hash))
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token that a request shows.
pub(crate) fn bearer_of(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(AUTHORIZATION).and_then(|header| bearer(header.as_bytes()))
}

/// The token of a header `Bearer <token>`.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Lets only those through who may do what they ask for. The [`Caller`] goes with the request.
pub(crate) async fn authenticate<B: MessageBody>(
    access: web::Data<Access>,
    metrics: web::Data<Metrics>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let (admitted, left) = match access.admit(&request).await {
        Ok(caller) => {
            let (allowed, left) = access.rates.take(&caller, &request);
            (allowed.map(|()| caller), left)
        }
        Err(error) => (Err(error), None),
    };
    let mut response = match admitted {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await?.map_into_left_body()
        }
        Err(error) => {
            metrics.denied(error.code());
            // Keeps the error, which the outer layers write and tell of.
            request.error_response(error).map_into_right_body()
        }
    };
    if let Some(left) = left {
        left.show(response.headers_mut());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_accepted() {
        let root = Root::new(&"secret".into());
        let accepts = |header: &[u8]| bearer(header).is_some_and(|shown| root.has(&hash(shown)));
        assert!(accepts(b"Bearer secret"));
        assert!(accepts(b"bearer  secret "));
        for header in ["", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret"] {
            assert!(!accepts(header.as_bytes()), "{header}");
        }
    }
}
