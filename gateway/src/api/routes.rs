//! Which path and method leads to which handler.

use actix_web::{
    HttpRequest, HttpResponse, Resource, guard,
    http::header::{ALLOW, HeaderValue},
    web::{self, ServiceConfig},
};

use super::{
    api_key, application, attempt, audit_log, background_task, comparison, content, dead_letter,
    endpoint, endpoint_headers, endpoint_message, endpoint_secret, endpoint_state, endpoint_stats,
    environment, event_type, event_type_import, example, health, message, message_batch,
    message_precheck, named_limit, openapi, pausing, portal, recipients, replay, rewrap,
};
use crate::{access, error::ApiError};

/// All routes; what each takes and answers stands in `openapi/operations.rs`. Only health, documentation, and the
/// exchange of a portal's code, are answered to everybody.
pub(crate) fn routes(config: &mut ServiceConfig) {
    for path in ["/api/v1/health", "/api/v1/health/ping"] {
        config.service(
            resource(path)
                .route(web::get().to(health::health))
                .route(web::head().to(health::health)),
        );
    }
    config
        .service(resource("/api/v1/openapi.json").route(web::get().to(openapi::get)))
        .service(resource("/docs").route(web::get().to(openapi::page)))
        .service(resource("/docs/rapidoc.js").route(web::get().to(openapi::script)));
    config.service(resource("/api/v1/auth/one-time-token").route(web::post().to(portal::exchange)));
    let api = web::scope("/api/v1")
        // First, because routes are tried one after the other, each by a regular expression.
        .configure(messages)
        .configure(api_keys)
        .configure(applications)
        .configure(endpoints)
        .configure(operational_webhooks)
        .configure(event_types)
        .configure(named_limits)
        .configure(replays)
        .configure(background_tasks)
        .configure(secrets)
        .configure(portal_access)
        .service(resource("/sluicegate/audit-log").route(web::get().to(audit_log::list)))
        .default_service(web::to(no_such_path))
        .wrap(actix_web::middleware::from_fn(audit_log::record))
        .wrap(actix_web::middleware::from_fn(access::authenticate));
    config.service(api).default_service(web::to(no_such_path));
}

fn api_keys(config: &mut ServiceConfig) {
    config
        .service(
            resource("/sluicegate/api-key")
                .route(web::get().to(api_key::list))
                .route(web::post().to(api_key::create)),
        )
        .service(
            resource("/sluicegate/api-key/{key}")
                .route(web::get().to(api_key::get))
                .route(web::delete().to(api_key::delete)),
        )
        .service(
            resource("/sluicegate/api-key/{key}/rotate").route(web::post().to(api_key::rotate)),
        );
}

fn applications(config: &mut ServiceConfig) {
    config
        .service(
            resource("/app")
                .route(web::get().to(application::list))
                .route(web::post().to(application::create)),
        )
        .service(
            resource("/app/{app}")
                .route(web::get().to(application::get))
                .route(web::put().to(application::put))
                .route(web::patch().to(application::patch))
                .route(web::delete().to(application::delete)),
        )
        .service(resource("/app/{app}/pause").route(web::post().to(pausing::pause_application)))
        .service(resource("/app/{app}/resume").route(web::post().to(pausing::resume_application)));
}

fn endpoints(config: &mut ServiceConfig) {
    config
        .service(
            resource("/app/{app}/endpoint")
                .route(web::get().to(endpoint::list))
                .route(web::post().to(endpoint::create)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}")
                .route(web::get().to(endpoint::get))
                .route(web::put().to(endpoint::put))
                .route(web::patch().to(endpoint::patch))
                .route(web::delete().to(endpoint::delete)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/headers")
                .route(web::get().to(endpoint_headers::get))
                .route(web::put().to(endpoint_headers::put))
                .route(web::patch().to(endpoint_headers::patch)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/secret")
                .route(web::get().to(endpoint_secret::get)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/secret/rotate")
                .route(web::post().to(endpoint_secret::rotate)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/pause")
                .route(web::post().to(pausing::pause_endpoint)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/resume")
                .route(web::post().to(pausing::resume_endpoint)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/state")
                .route(web::get().to(endpoint_state::get)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/stats")
                .route(web::get().to(endpoint_stats::deliveries)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/attempt-stats")
                .route(web::get().to(endpoint_stats::attempts)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/send-example")
                .route(web::post().to(example::send)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/msg")
                .route(web::get().to(endpoint_message::list)),
        );
}

fn replays(config: &mut ServiceConfig) {
    let endpoint = "/app/{app}/endpoint/{endpoint}";
    let post = |path: &str| resource(&format!("{endpoint}/{path}"));
    config
        .service(post("recover").route(web::post().to(replay::recover)))
        .service(post("replay-missing").route(web::post().to(replay::replay_missing)))
        .service(post("bulk-replay").route(web::post().to(replay::bulk_replay)))
        .service(
            resource("/app/{app}/endpoint/{endpoint}/dead-letter")
                .route(web::get().to(dead_letter::list))
                .route(web::delete().to(dead_letter::purge)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/dead-letter/replay")
                .route(web::post().to(replay::dead_letters)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/dead-letter/{letter}")
                .route(web::get().to(dead_letter::get))
                .route(web::delete().to(dead_letter::delete)),
        )
        .service(
            resource("/app/{app}/endpoint/{endpoint}/dead-letter/{letter}/replay")
                .route(web::post().to(dead_letter::replay)),
        );
}

fn background_tasks(config: &mut ServiceConfig) {
    config
        .service(resource("/background-task").route(web::get().to(background_task::list)))
        .service(resource("/background-task/{task}").route(web::get().to(background_task::get)))
        .service(
            resource("/background-task/{task}/cancel")
                .route(web::post().to(background_task::cancel))
                .route(web::put().to(background_task::cancel)),
        )
        .service(
            resource("/app/{app}/background-task")
                .route(web::get().to(background_task::list_of_app)),
        )
        .service(
            resource("/app/{app}/background-task/{task}")
                .route(web::get().to(background_task::get_of_app)),
        )
        .service(
            resource("/app/{app}/background-task/{task}/cancel")
                .route(web::post().to(background_task::cancel_of_app))
                .route(web::put().to(background_task::cancel_of_app)),
        );
}

/// The operator's endpoints: the handlers are those of all endpoints.
fn operational_webhooks(config: &mut ServiceConfig) {
    config
        .service(
            resource("/operational-webhook/endpoint")
                .route(web::get().to(endpoint::list))
                .route(web::post().to(endpoint::create)),
        )
        .service(
            resource("/operational-webhook/endpoint/{endpoint}")
                .route(web::get().to(endpoint::get))
                .route(web::put().to(endpoint::put))
                .route(web::patch().to(endpoint::patch))
                .route(web::delete().to(endpoint::delete)),
        )
        .service(
            resource("/operational-webhook/endpoint/{endpoint}/headers")
                .route(web::get().to(endpoint_headers::get))
                .route(web::put().to(endpoint_headers::put))
                .route(web::patch().to(endpoint_headers::patch)),
        )
        .service(
            resource("/operational-webhook/endpoint/{endpoint}/secret")
                .route(web::get().to(endpoint_secret::get)),
        )
        .service(
            resource("/operational-webhook/endpoint/{endpoint}/secret/rotate")
                .route(web::post().to(endpoint_secret::rotate)),
        );
}

fn event_types(config: &mut ServiceConfig) {
    config
        .service(
            resource("/event-type")
                .route(web::get().to(event_type::list))
                .route(web::post().to(event_type::create)),
        )
        .service(
            resource("/event-type/import/openapi").route(web::post().to(event_type_import::import)),
        )
        .service(
            resource("/event-type/{name}")
                .route(web::get().to(event_type::get))
                .route(web::put().to(event_type::put))
                .route(web::patch().to(event_type::patch))
                .route(web::delete().to(event_type::delete)),
        )
        .service(resource("/environment/export").route(web::post().to(environment::export)))
        .service(resource("/environment/import").route(web::post().to(environment::import)));
}

fn named_limits(config: &mut ServiceConfig) {
    config.service(resource("/sluicegate/limit").route(web::get().to(named_limit::list))).service(
        resource("/sluicegate/limit/{name}")
            .route(web::get().to(named_limit::get))
            .route(web::put().to(named_limit::put))
            .route(web::delete().to(named_limit::delete)),
    );
}

fn messages(config: &mut ServiceConfig) {
    config
        .service(
            resource("/app/{app}/msg")
                .route(web::get().to(message::list))
                .route(web::post().to(message::create)),
        )
        // A message may have this word as its event id, and is read by it.
        .service(
            resource("/app/{app}/msg/batch")
                .guard(guard::Not(guard::Get()))
                .route(web::post().to(message_batch::create)),
        )
        .service(
            resource("/app/{app}/msg/precheck/active")
                .route(web::post().to(message_precheck::active)),
        )
        .service(
            resource("/app/{app}/msg/bulk-expunge")
                .route(web::post().to(content::expunge_messages)),
        )
        .service(resource("/app/{app}/msg/{message}").route(web::get().to(message::get)))
        .service(
            resource("/app/{app}/msg/{message}/content")
                .route(web::delete().to(content::expunge_message)),
        )
        .service(
            resource("/app/{app}/msg/{message}/attempt/{attempt}/content")
                .route(web::delete().to(content::expunge_attempt)),
        )
        .service(
            resource("/app/{app}/msg/{message}/endpoint").route(web::get().to(recipients::list)),
        )
        .service(
            resource("/app/{app}/msg/{message}/attempt/{attempt}")
                .route(web::get().to(attempt::get)),
        )
        .service(
            resource("/app/{app}/msg/{message}/endpoint/{endpoint}/resend")
                .route(web::post().to(attempt::resend)),
        )
        .service(
            resource("/app/{app}/attempt/endpoint/{endpoint}")
                .route(web::get().to(attempt::list_by_endpoint)),
        )
        .service(
            resource("/app/{app}/attempt/msg/{message}")
                .route(web::get().to(attempt::list_by_message)),
        );
}

fn secrets(config: &mut ServiceConfig) {
    config
        .service(resource("/sluicegate/secrets/rewrap").route(web::post().to(rewrap::rewrap_page)))
        .service(
            resource("/sluicegate/secrets/compare").route(web::post().to(comparison::compare)),
        );
}

fn portal_access(config: &mut ServiceConfig) {
    for path in ["/auth/app-portal-access/{app}", "/auth/dashboard-access/{app}"] {
        config.service(resource(path).route(web::post().to(portal::grant)));
    }
    config
        .service(resource("/auth/app/{app}/expire-all").route(web::post().to(portal::expire_all)))
        .service(resource("/auth/logout").route(web::post().to(portal::logout)));
}

/// A path, with an answer in the API's shape to methods that it does not have.
fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(no_such_method))
}

async fn no_such_method(request: HttpRequest) -> HttpResponse {
    let allowed = request.match_pattern().and_then(|path| openapi::methods(&path));
    let mut response = HttpResponse::from_error(ApiError::MethodNotAllowed);
    // The pages that are not part of the API can only be read.
    let allowed = allowed.unwrap_or(HeaderValue::from_static("GET"));
    response.headers_mut().insert(ALLOW, allowed);
    response
}

async fn no_such_path() -> Result<(), ApiError> {
    Err(ApiError::NotFound("path"))
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
