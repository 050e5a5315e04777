//! What has another name in the other version.

use serde_json::Value;
use svix::{
    api::{
        Application, Authentication, Endpoint, EventType, Message, OperationalWebhookEndpoint, Svix,
    },
    error::Result,
    models::{
        ApplicationIn, ApplicationOut, EndpointHeadersIn, EndpointOut, EndpointUpsertIn,
        EventTypeOut, EventTypeUpsertIn, OperationalWebhookEndpointHeadersIn,
        OperationalWebhookEndpointOut, OperationalWebhookEndpointUpsertIn,
    },
};

use crate::customer::{answer, input};

/// The field of an endpoint that chooses event types.
pub const TYPES: &str = "eventTypes";

pub async fn upsert_application(
    api: &Application<'_>,
    name: String,
    whole: ApplicationIn,
) -> Result<ApplicationOut> {
    api.upsert(name, whole).await
}

pub async fn upsert_event_type(
    api: &EventType<'_>,
    name: String,
    whole: EventTypeUpsertIn,
) -> Result<EventTypeOut> {
    api.upsert(name, whole).await
}

pub async fn upsert_endpoint(
    api: &Endpoint<'_>,
    app: String,
    name: String,
    whole: EndpointUpsertIn,
) -> Result<EndpointOut> {
    api.upsert(app, name, whole).await
}

pub async fn set_headers(
    api: &Endpoint<'_>,
    app: String,
    name: String,
    headers: EndpointHeadersIn,
) -> Result<()> {
    api.set_headers(app, name, headers).await
}

pub async fn expunge_all(api: &Message<'_>, app: String, ids: [&str; 2]) -> Option<Value> {
    let named = input(serde_json::json!({"ids": ids}));
    Some(answer(api.bulk_expunge_content(app, named, None).await))
}

pub async fn attempt_stats(api: &Endpoint<'_>, app: String, name: String) -> Option<Value> {
    Some(answer(api.get_attempt_stats(app, name, None).await))
}

pub fn operational_endpoints(svix: &Svix) -> OperationalWebhookEndpoint<'_> {
    svix.operational_webhook().endpoint()
}

pub async fn upsert_operational_endpoint(
    api: &OperationalWebhookEndpoint<'_>,
    name: String,
    whole: OperationalWebhookEndpointUpsertIn,
) -> Result<OperationalWebhookEndpointOut> {
    api.upsert(name, whole).await
}

pub async fn set_operational_headers(
    api: &OperationalWebhookEndpoint<'_>,
    name: String,
    headers: OperationalWebhookEndpointHeadersIn,
) -> Result<()> {
    api.set_headers(name, headers).await
}

/// This version has only the newer operation.
pub async fn dashboard_access(_: &Authentication<'_>, _: String) {}
