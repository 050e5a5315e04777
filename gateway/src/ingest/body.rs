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
use serde_json::{error::Category, value::RawValue};
use serde_path_to_error::Segment;
use tokio::time::Instant;

use super::objects::Objects;
use crate::{
    config::Config,
    error::{ApiError, Fault, Result},
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The media type of JSON values, one a line.
const LINES: &str = "application/x-ndjson";
/// How much larger than one message's body a body with many may be.
const BATCH_FACTOR: usize = 8;

/// A body of JSON.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Bytes,
    /// When it began to come in.
    since: Instant,
}

/// A body with many JSON values.
#[derive(Debug)]
pub(crate) enum BatchBody {
    /// An array.
    Array(Body),
    /// One a line.
    Lines(Body),
}

impl Body {
    /// The exact bytes.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// When it began to come in.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Reads the body, an object. What is no JSON at all is malformed, what has the wrong shape is
    /// invalid.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        read_object(self.text()?)
    }

    fn text(&self) -> Result<&str> {
        let malformed = |what: &str| Err(ApiError::Malformed(what.to_owned()));
        if self.bytes.is_empty() {
            return malformed("the body is empty");
        }
        if self.bytes.starts_with(BYTE_ORDER_MARK) {
            return malformed("the body starts with a byte order mark");
        }
        std::str::from_utf8(&self.bytes).or_else(|_| malformed("the body is not UTF-8"))
    }

    /// Reads a body that may be left out.
    pub(crate) fn json_or_default<'a, T: Deserialize<'a> + Default>(&'a self) -> Result<T> {
        if self.bytes.is_empty() { Ok(T::default()) } else { self.json() }
    }
}

impl BatchBody {
    /// The values that it has, each not more than looked at.
    pub(crate) fn values(&self) -> Result<Vec<&str>> {
        match self {
            Self::Array(body) => {
                let values: Vec<&RawValue> = read_json(body.text()?)?;
                Ok(values.into_iter().map(RawValue::get).collect())
            }
            Self::Lines(body) => {
                let lines = body.text()?.lines();
                Ok(lines.filter(|line| !line.trim().is_empty()).collect())
            }
        }
    }

    /// The memory that the values share.
    pub(crate) fn bytes(&self) -> &Bytes {
        match self {
            Self::Array(body) | Self::Lines(body) => body.bytes(),
        }
    }
}

/// Reads a JSON object.
pub(crate) fn read_object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    read_json(text)
}

/// Reads JSON. What is to be an object must be one, wherever it lies.
fn read_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Objects(&mut reader));
    let value = value.and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| match error.classify() {
        Category::Data => ApiError::Invalid(vec![misfit::<T>(text, &error)]),
        Category::Syntax | Category::Eof | Category::Io => {
            ApiError::Malformed(format!("the body is not JSON: {error}"))
        }
    })
}

/// What has the wrong shape. It is read once more to find where that is: only those pay for it who made
/// a mistake.
fn misfit<'a, T: Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> Fault {
    let mut reader = serde_json::Deserializer::from_str(text);
    let again = serde_path_to_error::deserialize::<_, T>(Objects(&mut reader)).err();
    let path = again.iter().flat_map(|misfit| misfit.path()).filter_map(|step| match step {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    Fault {
        loc: std::iter::once("body".into()).chain(path.map(Into::into)).collect(),
        msg: error.to_string(),
        kind: "type_error",
    }
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            check_media(&request)?;
            receive(&request, &mut payload, 1).await
        })
    }
}

impl FromRequest for BatchBody {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let lines = is_plain(&request)
                && media(&request).is_some_and(|media| media.eq_ignore_ascii_case(LINES));
            if !lines {
                check_media(&request)?;
            }
            let body = receive(&request, &mut payload, BATCH_FACTOR).await?;
            Ok(if lines { Self::Lines(body) } else { Self::Array(body) })
        })
    }
}

/// Reads a body of at most so many times the limit.
async fn receive(request: &HttpRequest, payload: &mut Payload, factor: usize) -> Result<Body> {
    let Some(config) = request.app_data::<web::Data<Config>>() else {
        return Err(ApiError::NotFound("configuration"));
    };
    let limit = config.body_limit.saturating_mul(factor);
    let announced = announced_length(request);
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::TooLarge { limit });
    }
    let since = Instant::now();
    let whole = read(payload, announced, limit);
    match tokio::time::timeout(config.body_deadline, whole).await {
        Ok(bytes) => bytes.map(|bytes| Body { bytes, since }),
        Err(_) => Err(ApiError::TooSlow),
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
    let json = media(request).is_none_or(|media| media.eq_ignore_ascii_case("application/json"));
    if is_plain(request) && json { Ok(()) } else { Err(ApiError::UnsupportedMedia) }
}

fn is_plain(request: &HttpRequest) -> bool {
    let coding = request.headers().get(CONTENT_ENCODING);
    coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The media type that the request names, without its parameters.
fn media(request: &HttpRequest) -> Option<&str> {
    let media = request.headers().get(CONTENT_TYPE)?.to_str().unwrap_or("?");
    Some(media.split(';').next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is only read")]
    struct Named {
        name: String,
        count: u8,
    }

    fn body(bytes: &'static [u8]) -> Body {
        Body { bytes: Bytes::from_static(bytes), since: Instant::now() }
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
    fn what_has_another_shape_is_found_by_its_path() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "it is only read")]
        struct Nested {
            all: Vec<Named>,
        }
        for (bytes, place) in [
            (br#"{"all": [{"name": "a", "count": 1}, ["a", 1]]}"#.as_slice(), vec!["all", "1"]),
            (br#"{"all": [{"name": "a", "count": 300}]}"#, vec!["all", "0", "count"]),
            (br#"{"all": [{"name": "a"}]}"#, vec!["all", "0"]),
            (b"{}", vec![]),
            (br#" [[]]"#, vec![]),
        ] {
            let Err(ApiError::Invalid(faults)) = body(bytes).json::<Nested>() else {
                panic!("{bytes:?}")
            };
            assert_eq!(faults[0].loc[0], "body");
            assert_eq!(faults[0].loc[1..], place, "{faults:?}");
        }
    }

    #[test]
    fn raw_values_keep_their_bytes() {
        let text = r#"{ "a":1.00000000000000000001, "a" : 2 }"#;
        assert_eq!(body(text.as_bytes()).json::<&RawValue>().unwrap().get(), text);
    }
}
