//! The OpenAPI document: made from the types that go in and out, served, and shown at `/docs`.
//!
//! What a route is called, takes and answers stands in `operations.rs`; schemas come from the types
//! themselves. `docs/openapi.json` is the same text; tests compare the two, and the routes with it.

mod document;
mod operation;
mod operations;
mod page;
mod shapes;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header::HeaderValue};
pub(super) use page::{page, script};
use serde_json::Value;
pub(super) use shapes::{Name, Rate, Span, StatusText, Time, Title};

static DOCUMENT: LazyLock<Value> = LazyLock::new(operations::all);
static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", *DOCUMENT));

/// The methods of a path, comma-joined.
pub(super) fn methods(path: &str) -> Option<HeaderValue> {
    let methods = DOCUMENT["paths"][path].as_object()?.keys().map(|name| name.to_uppercase());
    HeaderValue::try_from(methods.collect::<Vec<_>>().join(", ")).ok()
}

/// The document itself, for everybody: it says nothing about this installation.
pub(super) async fn get() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(TEXT.as_str())
}
