//! The body of a request: whole, bounded in size and time, kept as the exact bytes that came.

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    web,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future::LocalBoxFuture};
use serde::Deserialize;
use serde_json::error::Category;

use crate::{
    config::Config,
    error::{ApiError, Fault, Result},
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A body of JSON.
#[derive(Debug)]
pub(crate) struct Body(Bytes);

impl Body {
    /// The exact bytes.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Reads the body, an object. What is no JSON at all is malformed, what has the wrong shape is
    /// invalid.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        let malformed = |what: &str| Err(ApiError::Malformed(what.to_owned()));
        if self.0.is_empty() {
            return malformed("the body is empty");
        }
        if self.0.starts_with(BYTE_ORDER_MARK) {
            return malformed("the body starts with a byte order mark");
        }
        let Ok(text) = std::str::from_utf8(&self.0) else {
            return malformed("the body is not UTF-8");
        };
        let invalid = |msg: String| {
            ApiError::Invalid(vec![Fault { loc: vec!["body".into()], msg, kind: "type_error" }])
        };
        // A list of its fields' values would be read as the object.
        if text.trim_ascii_start().starts_with('[') {
            return Err(invalid("expected an object, not a list".to_owned()));
        }
        serde_json::from_str(text).map_err(|error| match error.classify() {
            Category::Data => invalid(error.to_string()),
            Category::Syntax | Category::Eof | Category::Io => {
                ApiError::Malformed(format!("the body is not JSON: {error}"))
            }
        })
    }

    /// Reads a body that may be left out.
    pub(crate) fn json_or_default<'a, T: Deserialize<'a> + Default>(&'a self) -> Result<T> {
        if self.0.is_empty() { Ok(T::default()) } else { self.json() }
    }
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let Some(config) = request.app_data::<web::Data<Config>>() else {
                return Err(ApiError::NotFound("configuration"));
            };
            check_media(&request)?;
            let announced = announced_length(&request);
            if announced.is_some_and(|length| length > config.body_limit) {
                return Err(ApiError::TooLarge { limit: config.body_limit });
            }
            let whole = read(&mut payload, announced, config.body_limit);
            match tokio::time::timeout(config.body_deadline, whole).await {
                Ok(bytes) => bytes.map(Self),
                Err(_) => Err(ApiError::TooSlow),
            }
        })
    }
}

async fn read(payload: &mut Payload, announced: Option<usize>, limit: usize) -> Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(announced.unwrap_or(0).min(limit));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::Malformed("the body broke off".to_owned()))?;
        if bytes.len() + chunk.len() > limit {
            return Err(ApiError::TooLarge { limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn announced_length(request: &HttpRequest) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses bodies that say they are something else than plain JSON.
fn check_media(request: &HttpRequest) -> Result<()> {
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let plain = text(CONTENT_ENCODING).is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
    let json = text(CONTENT_TYPE).is_none_or(|media| {
        let media = media.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("application/json")
    });
    if plain && json { Ok(()) } else { Err(ApiError::UnsupportedMedia) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, value::RawValue};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is only read")]
    struct Named {
        name: String,
        count: u8,
    }

    fn body(bytes: &'static [u8]) -> Body {
        Body(Bytes::from_static(bytes))
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for bytes in [b"".as_slice(), b"\xef\xbb\xbf{}", b"\"\xff\"", b"{", b"{}{}", b"nul"] {
            let result = body(bytes).json::<Value>();
            assert!(matches!(result, Err(ApiError::Malformed(_))), "{bytes:?}: {result:?}");
        }
    }

    #[test]
    fn what_has_another_shape_is_invalid() {
        assert!(matches!(body(b"{}").json::<String>(), Err(ApiError::Invalid(_))));
        let listed = body(br#" ["a", 1]"#).json::<Named>();
        assert!(matches!(listed, Err(ApiError::Invalid(_))), "{listed:?}");
        assert!(body(br#"{"name":"a","count":1}"#).json::<Named>().is_ok());
    }

    #[test]
    fn raw_values_keep_their_bytes() {
        let text = r#"{ "a":1.00000000000000000001, "a" : 2 }"#;
        assert_eq!(body(text.as_bytes()).json::<&RawValue>().unwrap().get(), text);
    }
}
