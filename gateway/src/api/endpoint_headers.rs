//! Headers that an endpoint wants with each attempt.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub(super) use shared::domain::Headers;
use shared::{domain::Endpoint, store::Change, time::Millis};

use super::{Api, find_endpoint, place::OneEndpoint};
use crate::{
    error::Result,
    ingest::{Body, Faults},
};

const MAX_HEADERS: usize = 50;
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 4096;
/// Greatest sum of all names and values, in bytes.
const MAX_SIZE: usize = 16 * 1024;

/// Names that the attempt itself needs, or that belong to the connection.
const RESERVED: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
/// Beginnings of names that the attempt itself needs.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "svix-", "sluicegate-"];
/// Names whose values are not shown.
const SENSITIVE: [&str; 6] =
    ["authorization", "cookie", "x-api-key", "x-auth-token", "x-access-token", "api-key"];

/// Checks headers that stand in this field, as all that an endpoint or a message would have.
pub(super) fn check(headers: &Headers, field: &'static str, faults: &mut Faults) {
    let size: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || size > MAX_SIZE {
        faults.add(field, format!("more than {MAX_HEADERS} headers or {MAX_SIZE} bytes"));
    }
    for (name, value) in headers {
        let twin = headers.keys().any(|other| other != name && other.eq_ignore_ascii_case(name));
        if !is_token(name) {
            faults.add(field, "a name is not a token of HTTP");
        } else if is_reserved(name) {
            faults.add(field, format!("`{name}` is reserved"));
        } else if twin {
            faults.add(field, format!("`{name}` comes twice"));
        } else if !is_value(value) {
            faults.add(field, format!("the value of `{name}` is too long or not visible ASCII"));
        }
    }
}

fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(token)
}

fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.contains(&name.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn is_value(value: &str) -> bool {
    value.len() <= MAX_VALUE && value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
}

fn is_sensitive(name: &str) -> bool {
    SENSITIVE.iter().any(|sensitive| sensitive.eq_ignore_ascii_case(name))
}

/// All headers of an endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointHeadersIn")]
pub(super) struct HeadersIn {
    headers: Headers,
}

/// A change of the headers of an endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointHeadersPatchIn")]
pub(super) struct HeadersPatchIn {
    /// A value of null removes the header, as its name in `deleteHeaders` does.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    #[serde(default)]
    delete_headers: Option<Vec<String>>,
}

impl HeadersPatchIn {
    fn apply(&self, headers: &mut Headers) {
        let removed = self.delete_headers.iter().flatten().chain(self.headers.keys());
        for name in removed {
            headers.retain(|kept, _| !kept.eq_ignore_ascii_case(name));
        }
        for (name, value) in &self.headers {
            if let Some(value) = value {
                headers.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The headers of an endpoint.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointHeadersOut")]
pub(super) struct HeadersOut<'a> {
    headers: BTreeMap<&'a str, &'a str>,
    /// Names of headers whose values are kept back.
    sensitive: Vec<&'a str>,
}

pub(super) async fn get(api: web::Data<Api>, place: OneEndpoint) -> Result<HttpResponse> {
    let OneEndpoint { owner, name } = place;
    let configuration = api.configuration_of(&owner).await?;
    let endpoint = find_endpoint(&configuration, &name)?;
    let headers = endpoint.open_headers(configuration.application.id, &api.keys)?;
    let (sensitive, open): (Vec<_>, Vec<_>) =
        headers.iter().partition(|(name, _)| is_sensitive(name));
    Ok(HttpResponse::Ok().json(HeadersOut {
        headers: open.into_iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        sensitive: sensitive.into_iter().map(|(name, _)| name.as_str()).collect(),
    }))
}

pub(super) async fn put(
    api: web::Data<Api>,
    place: OneEndpoint,
    body: Body,
) -> Result<HttpResponse> {
    let input: HeadersIn = body.json()?;
    change(&api, place, |_| Ok(input.headers.clone())).await
}

pub(super) async fn patch(
    api: web::Data<Api>,
    place: OneEndpoint,
    body: Body,
) -> Result<HttpResponse> {
    let input: HeadersPatchIn = body.json()?;
    change(&api, place, |headers| {
        let mut headers = headers()?;
        input.apply(&mut headers);
        Ok(headers)
    })
    .await
}

/// `edit` makes the new headers; it asks for the old ones only if it needs them, so that those which
/// cannot be read can still be replaced.
async fn change(
    api: &Api,
    OneEndpoint { owner, name }: OneEndpoint,
    edit: impl Fn(&dyn Fn() -> Result<Headers>) -> Result<Headers>,
) -> Result<HttpResponse> {
    api.change_of(&owner, |configuration| {
        let app = configuration.application.id;
        let mut endpoint = Endpoint::clone(find_endpoint(configuration, &name)?);
        let headers = edit(&|| Ok(endpoint.open_headers(app, &api.keys)?))?;
        let mut faults = Faults::default();
        check(&headers, "headers", &mut faults);
        faults.into_result()?;
        endpoint.seal_headers(app, &api.keys, headers)?;
        endpoint.updated_at = Millis::now();
        Ok((vec![Change::PutEndpoint(endpoint)], ()))
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_fine(headers: &[(&str, &str)]) -> bool {
        let headers =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut faults = Faults::default();
        check(&headers, "headers", &mut faults);
        faults.into_result().is_ok()
    }

    #[test]
    fn takes_plain_headers_only() {
        assert!(is_fine(&[("X-Tenant", "a b"), ("Authorization", "Bearer x")]));
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("x", "a\r\nb"),
            ("x", "a\0"),
            ("x", "ä"),
            ("Host", "x"),
            ("Webhook-Id", "x"),
            ("svix-id", "x"),
            ("content-LENGTH", "1"),
        ] {
            assert!(!is_fine(&[(name, value)]), "{name}: {value}");
        }
        assert!(!is_fine(&[("x-a", "1"), ("X-A", "2")]));
    }

    #[test]
    fn a_patch_replaces_whatever_the_case() {
        let mut headers = Headers::from([("X-A".into(), "1".into()), ("X-B".into(), "2".into())]);
        let patch: HeadersPatchIn =
            serde_json::from_str(r#"{"headers":{"x-a":"3"},"deleteHeaders":["x-b"]}"#).unwrap();
        patch.apply(&mut headers);
        assert_eq!(headers, Headers::from([("x-a".into(), "3".into())]));
    }
}
