//! Every way in which a request can fail, and the one place that turns it into a response.
//!
//! Nothing of the store's inner texts goes out. `docs/errors.md` has all codes.

mod body;

use std::{borrow::Cow, time::Duration};

use actix_web::{HttpResponse, ResponseError, http::StatusCode, http::header};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    sealing::SealError,
    store::{ErrorKind, StoreError},
};

pub(crate) use self::body::{Detailed, Form, Plain, Problem};

/// Seconds after which a client may try again what failed for a passing reason.
const RETRY_AFTER_S: u64 = 1;
/// The same where the store is full: room comes only as deliveries end.
const RETRY_AFTER_FULL_S: u64 = 5;

/// Result of a handler.
pub(crate) type Result<T> = std::result::Result<T, ApiError>;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ValidationError")]
pub(crate) struct Fault {
    /// Where: `body` or `query` or `path` or `header`, then the field.
    pub(crate) loc: Vec<Cow<'static, str>>,
    /// What, for people.
    pub(crate) msg: String,
    /// What, for programs.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("invalid or missing bearer token")]
    Unauthenticated,
    #[error("more requests of this caller than its limit allows; try again later")]
    RateLimited { wait: Duration },
    #[error("too many wrong tokens from this address; try again later")]
    TooManyFailures { wait: Duration },
    #[error("the keys of the token's issuer cannot be read; try again later")]
    IssuerUnavailable,
    #[error("a token that is good for `{0}` may not do this")]
    Forbidden(String),
    #[error("only tokens of the portal can be logged out")]
    NotOfPortal,
    #[error("{0} not found")]
    NotFound(&'static str),
    #[error("the message's body is gone: bodies are kept for a limited time; publish it again")]
    BodyGone,
    #[error("the method is not allowed here")]
    MethodNotAllowed,
    #[error("{0}")]
    Conflict(String),
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("expected a body of application/json without content encoding")]
    UnsupportedMedia,
    #[error("{0}")]
    Malformed(String),
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    #[error(
        "the application's messages that were not delivered yet hold as many bytes as its quota \
         allows; try again when some were"
    )]
    OverQuota,
    #[error("too many messages wait to be stored")]
    Overloaded,
    #[error("what is secret of the endpoint cannot be read: {0}")]
    Secret(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError {
    /// A fault in one field of the body.
    pub(crate) fn field(name: &'static str, msg: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault {
            loc: vec!["body".into(), name.into()],
            msg: msg.into(),
            kind: "value_error",
        }])
    }

    /// A fault in one parameter of the query.
    pub(crate) fn query(name: &'static str, msg: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault {
            loc: vec!["query".into(), name.into()],
            msg: msg.into(),
            kind: "value_error",
        }])
    }

    /// The name in the body and in metrics.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "authentication_failed",
            Self::RateLimited { .. } => "rate_limited",
            Self::TooManyFailures { .. } => "too_many_failures",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::Forbidden(_) => "insufficient_scope",
            Self::NotOfPortal => "not_of_portal",
            Self::NotFound(_) => "not_found",
            Self::BodyGone => "gone",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict(_) => "conflict",
            Self::TooLarge { .. } => "payload_too_large",
            Self::TooSlow => "request_timeout",
            Self::UnsupportedMedia => "unsupported_media_type",
            Self::Malformed(_) => "bad_request",
            Self::Invalid(_) => "validation_failed",
            Self::OverQuota => "quota_exceeded",
            Self::Overloaded => "overloaded",
            Self::Secret(_) => "secret_unreadable",
            Self::Store(error) => match error.kind() {
                ErrorKind::Full => "store_full",
                ErrorKind::Conflict => "conflict",
                ErrorKind::Unavailable | ErrorKind::Misconfigured => "store_unavailable",
                ErrorKind::Ambiguous => "outcome_unknown",
                ErrorKind::Fenced | ErrorKind::Corrupt | ErrorKind::NoPlace => "internal",
            },
        }
    }

    /// What `detail` of a response says: a text, or the faults of single fields.
    pub(crate) fn detail_json(&self) -> serde_json::Value {
        match self {
            Self::Invalid(faults) => serde_json::json!(faults),
            _ => self.detail().into(),
        }
    }

    fn detail(&self) -> String {
        let Self::Store(error) = self else { return self.to_string() };
        match error.kind() {
            ErrorKind::Full => "the store has no room for new work; try again later",
            ErrorKind::Conflict => "somebody else changed this at the same time; try again",
            ErrorKind::Unavailable => "the store is not available; nothing was changed",
            ErrorKind::Ambiguous => {
                "the store did not answer: it may have happened; repeat the request with the same \
                 idempotency key"
            }
            ErrorKind::Misconfigured => "the store does not keep what is promised",
            ErrorKind::Fenced | ErrorKind::Corrupt | ErrorKind::NoPlace => "internal error",
        }
        .to_owned()
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Store(error) if error.kind() == ErrorKind::Full => Some(RETRY_AFTER_FULL_S),
            Self::TooManyFailures { wait } | Self::RateLimited { wait } => Some(wait.as_secs() + 1),
            Self::OverQuota => Some(RETRY_AFTER_FULL_S),
            _ if self.status_code() == StatusCode::SERVICE_UNAVAILABLE => Some(RETRY_AFTER_S),
            _ => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooManyFailures { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::IssuerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotOfPortal => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BodyGone => StatusCode::GONE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::OverQuota => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Secret(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Store(error) => match error.kind() {
                ErrorKind::Conflict => StatusCode::CONFLICT,
                ErrorKind::Unavailable | ErrorKind::Full | ErrorKind::Misconfigured => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                // Not the 503 of a definite no: a client that counts what it published must be
                // able to tell the two apart.
                ErrorKind::Ambiguous => StatusCode::GATEWAY_TIMEOUT,
                ErrorKind::Fenced | ErrorKind::Corrupt | ErrorKind::NoPlace => {
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            },
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after_s() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if matches!(self, Self::TooLarge { .. } | Self::TooSlow) {
            // The rest of the body is not read, so the connection is of no more use.
            response.force_close();
        }
        response.content_type(Form::Plain.media()).body(self.body(Form::Plain, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_outage_is_never_a_500_and_doubt_is_no_definite_no() {
        let respond = |kind| ApiError::from(StoreError::new(kind, "inner text")).error_response();
        for kind in [ErrorKind::Unavailable, ErrorKind::Full, ErrorKind::Misconfigured] {
            let response = respond(kind);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{kind:?}");
            assert!(response.headers().contains_key(header::RETRY_AFTER), "{kind:?}");
        }
        assert_eq!(respond(ErrorKind::Ambiguous).status(), StatusCode::GATEWAY_TIMEOUT);
    }

    /// The codes that `docs/errors.md` has, with their statuses.
    fn documented() -> Vec<(String, u16)> {
        let rows = include_str!("../../../docs/errors.md").lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|');
            let code = cells.next()?.trim().trim_end_matches('`').to_owned();
            Some((code, cells.next()?.trim().parse().ok()?))
        });
        rows.collect()
    }

    #[test]
    fn every_code_is_documented() {
        let source = include_str!("mod.rs");
        let (_, rest) = source.split_once("fn code(").unwrap();
        let (function, _) = rest.split_once("    fn detail(").unwrap();
        let mut codes: Vec<_> = function.split('"').skip(1).step_by(2).collect();
        codes.sort_unstable();
        codes.dedup();
        let mut known: Vec<_> = documented().into_iter().map(|(code, _)| code).collect();
        known.sort_unstable();
        assert_eq!(codes, known);
    }

    #[test]
    fn documented_statuses_hold() {
        let wait = Duration::from_secs(1);
        let store = |kind| ApiError::from(StoreError::new(kind, "text"));
        for error in [
            ApiError::Unauthenticated,
            ApiError::RateLimited { wait },
            ApiError::TooManyFailures { wait },
            ApiError::IssuerUnavailable,
            ApiError::Forbidden("read".into()),
            ApiError::NotOfPortal,
            ApiError::NotFound("x"),
            ApiError::BodyGone,
            ApiError::MethodNotAllowed,
            ApiError::Conflict("x".into()),
            ApiError::TooLarge { limit: 1 },
            ApiError::TooSlow,
            ApiError::UnsupportedMedia,
            ApiError::Malformed("x".into()),
            ApiError::Invalid(vec![]),
            ApiError::OverQuota,
            ApiError::Overloaded,
            store(ErrorKind::Full),
            store(ErrorKind::Unavailable),
            store(ErrorKind::Ambiguous),
            store(ErrorKind::Corrupt),
        ] {
            let row = (error.code().to_owned(), error.status_code().as_u16());
            assert!(documented().contains(&row), "{row:?}");
        }
    }

    #[test]
    fn the_inner_text_of_the_store_stays_inside() {
        let error = ApiError::from(StoreError::new(ErrorKind::Corrupt, "inner text"));
        assert!(!error.detail().contains("inner"));
    }
}
