//! The page that shows the document. All that it needs comes from here: its policy forbids the browser
//! to ask anybody else.

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ContentEncoding},
};

pub(super) const PAGE: &str = include_str!("../../../assets/docs/index.html");
/// RapiDoc, as published, gzipped. See `assets/docs/README.md`.
const SCRIPT: &[u8] = include_bytes!("../../../assets/docs/rapidoc-9.3.8.min.js.gz");
/// RapiDoc sets styles of its own on the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; \
                      connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

pub(in crate::api) async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .content_type("text/html; charset=utf-8")
        .body(PAGE)
}

pub(in crate::api) async fn script() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_ENCODING, ContentEncoding::Gzip))
        .insert_header((CACHE_CONTROL, "public, max-age=86400"))
        .content_type("text/javascript; charset=utf-8")
        .body(SCRIPT)
}
