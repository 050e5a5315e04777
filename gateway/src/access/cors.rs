//! Whose pages may call the API from browsers (CORS). Callers show tokens, never cookies, so that a page
//! can do no more than its user's token can.

use actix_cors::Cors;

/// How long browsers remember an answer.
const REMEMBERED_S: usize = 3600;
/// What pages may read besides the body.
const SHOWN: [&str; 5] =
    ["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "sluicegate-durability"];

/// The layer for these origins.
pub(crate) fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        .allow_any_header()
        .expose_headers(SHOWN)
        .max_age(REMEMBERED_S);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
