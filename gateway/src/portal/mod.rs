//! The portal's page: what an application's own people see of its endpoints and attempts. Three fixed
//! files; all that they show is read from the API by the page itself, with a token of its own.

use actix_web::{
    HttpResponse,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
    web::{self, ServiceConfig},
};

/// Nothing but the page's own files and this server, no inline script or style, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its files, answered to everybody.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/portal", web::get().to(page))
        .route("/portal/portal.js", web::get().to(script))
        .route("/portal/portal.css", web::get().to(style));
}

async fn page() -> HttpResponse {
    file("text/html; charset=utf-8", include_str!("portal.html"))
}

async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("portal.js"))
}

async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("portal.css"))
}

fn file(media: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(media)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(text)
}
