//! What has another name in the other version.

use serde_json::Value;
use svix::{
    api::{
        Application, Authentication, Endpoint, EventType, Message, OperationalWebhookEndpoint, Svix,
    },
    error::Result,
    models::{
        ApplicationIn, ApplicationOut, EndpointHeadersIn, EndpointOut, EndpointUpdate,
        EventTypeOut, EventTypeUpdate, OperationalWebhookEndpointHeadersIn,
        OperationalWebhookEndpointOut, OperationalWebhookEndpointUpdate,
    },
};

use crate::customer::{answer, text};

/// The field of an endpoint that chooses event types.
pub const TYPES: &str = "filterTypes";

pub async fn upsert_application(
    api: &Application<'_>,
    name: String,
    whole: ApplicationIn,
) -> Result<ApplicationOut> {
    api.update(name, whole).await
}

pub async fn upsert_event_type(
    api: &EventType<'_>,
    name: String,
    whole: EventTypeUpdate,
) -> Result<EventTypeOut> {
    api.update(name, whole).await
}

pub async fn upsert_endpoint(
    api: &Endpoint<'_>,
    app: String,
    name: String,
    whole: EndpointUpdate,
) -> Result<EndpointOut> {
    api.update(app, name, whole).await
}

pub async fn set_headers(
    api: &Endpoint<'_>,
    app: String,
    name: String,
    headers: EndpointHeadersIn,
) -> Result<()> {
    api.update_headers(app, name, headers).await
}

/// This version cannot expunge several messages at once.
pub async fn expunge_all(_: &Message<'_>, _: String, _: [&str; 2]) -> Option<Value> {
    None
}

/// Nor has it these.
pub async fn attempt_stats(_: &Endpoint<'_>, _: String, _: String) -> Option<Value> {
    None
}

pub fn operational_endpoints(svix: &Svix) -> OperationalWebhookEndpoint<'_> {
    svix.operational_webhook().endpoint()
}

pub async fn upsert_operational_endpoint(
    api: &OperationalWebhookEndpoint<'_>,
    name: String,
    whole: OperationalWebhookEndpointUpdate,
) -> Result<OperationalWebhookEndpointOut> {
    api.update(name, whole).await
}

pub async fn set_operational_headers(
    api: &OperationalWebhookEndpoint<'_>,
    name: String,
    headers: OperationalWebhookEndpointHeadersIn,
) -> Result<()> {
    api.update_headers(name, headers).await
}

#[allow(deprecated, reason = "it must still work")]
pub async fn dashboard_access(api: &Authentication<'_>, app: String) {
    let access = answer(api.dashboard_access(app, None).await);
    assert!(text(&access["url"]).starts_with("http"));
}
