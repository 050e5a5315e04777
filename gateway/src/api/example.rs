//! An example of an event type, sent to one endpoint: whoever sets it up sees what will come.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use shared::domain::EventType;
use tokio::time::Instant;

use super::{
    Api, find_endpoint,
    message::{ContentQuery, MessageOut, accepted, check_payload, idempotency},
    openapi::Name,
};
use crate::{
    error::{ApiError, Result},
    ingest::{Body, Faults},
    publish::{Event, Publish, Wishes},
};

/// What each endpoint can be sent without any event type.
const PING: &str = "svix.ping";
const PING_PAYLOAD: &[u8] = br#"{"success":true}"#;

/// Which example to send.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventExampleIn")]
pub(super) struct ExampleIn<'a> {
    /// One that is listed; `svix.ping` need not be.
    #[schemars(with = "Name")]
    event_type: String,
    /// Which of the schema's examples; the first if it is left out.
    example_index: Option<usize>,
    /// This instead of an example.
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// The example of an event type: from the `examples`, `example` or `default` of the latest version
/// of its schema.
fn example(event_type: &EventType, index: usize) -> Option<&Value> {
    let schemas = event_type.schemas.as_ref()?.as_object()?;
    let version = |name: &String| name.parse::<u64>().unwrap_or_default();
    let (_, schema) = schemas.iter().max_by_key(|(name, _)| version(name))?;
    match schema.get("examples").and_then(Value::as_array) {
        Some(examples) => examples.get(index),
        None => schema.get("example").or_else(|| schema.get("default")),
    }
}

impl Api {
    async fn example_payload(&self, input: &ExampleIn<'_>) -> Result<Bytes> {
        let found: Option<EventType> = self.record(&input.event_type).await?;
        let Some(event_type) = found else {
            return match input.event_type.as_str() {
                PING => Ok(Bytes::from_static(PING_PAYLOAD)),
                _ => Err(ApiError::NotFound("event type")),
            };
        };
        let missing =
            || ApiError::field("eventType", "its schema has no such example: add `examples` to it");
        let example = example(&event_type, input.example_index.unwrap_or(0)).ok_or_else(missing)?;
        Ok(example.to_string().into())
    }
}

/// Sends it, whatever the endpoint's filters say.
pub(super) async fn send(
    api: web::Data<Api>,
    publish: web::Data<Publish>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    query: web::Query<ContentQuery>,
    body: Body,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let input: ExampleIn<'_> = body.json()?;
    let mut faults = Faults::default();
    faults.name("eventType", &input.event_type);
    if let Some(payload) = input.payload {
        check_payload(payload, &mut faults);
    }
    faults.into_result()?;
    let configuration = api.configuration(&app).await?;
    let endpoint = find_endpoint(&configuration, &name)?;
    if endpoint.disabled {
        return Err(ApiError::Conflict("the endpoint is disabled: enable it first".to_owned()));
    }
    let payload = match input.payload {
        Some(payload) => body.bytes().slice_ref(payload.get().as_bytes()),
        None => api.example_payload(&input).await?,
    };
    let event = Event {
        wishes: Wishes { only: Some(endpoint.id), ..Wishes::default() },
        event_type: input.event_type,
        channels: vec![],
        tags: vec![],
        event_id: None,
        payload,
        idempotency: idempotency(&request, &body)?,
        trace: None,
    };
    let header =
        publish.publish(&configuration.application.id.to_string(), &event, Instant::now()).await?;
    Ok(accepted(&api).json(MessageOut::new(&header, query.of(&event.payload))))
}
