//! Messages: published here, listed from the log, read as long as their body lives.

use std::{collections::HashMap, time::Duration};

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::header::HeaderName, web};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::{
    domain::{Message, MessageHeader},
    id::{AppId, MessageId},
    store::{Dedup, ErrorKind, Order, StoreError},
    time::Millis,
    trace::TraceContext,
};

use super::{
    Api,
    application::ApplicationIn,
    list::{ListQuery, gather},
    message_settings::{MessageSettingsIn, MessageSettingsOut, Transformations, WishesIn},
    openapi::{Name, Time},
};
use crate::{
    error::{ApiError, Result},
    ingest::{Body, Faults, json_depth, trace_of},
    publish::{Event, Publish, Wishes, event_key, idempotency_key},
};

const MAX_CHANNELS: usize = 64;
const MAX_TAGS: usize = 64;
const MAX_TAG: usize = 128;
/// How deeply a payload may be nested: what common JSON readers take.
const MAX_DEPTH: usize = 128;
const MAX_IDEMPOTENCY_KEY: usize = 256;
const KEY_LENGTH: &str = "1 to 256 bytes";

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Tells what the 202 stands for.
pub(super) const DURABILITY: HeaderName = HeaderName::from_static("sluicegate-durability");

/// A message to be published.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("examples" = [
    {"eventType": "invoice.paid", "eventId": "evt_1", "payload": {"id": "in_1", "amount": 1200}}
]))]
pub(super) struct MessageIn<'a> {
    #[schemars(with = "Name")]
    event_type: String,
    // Borrowed from the request's body.
    /// Any JSON, nested 128 deep at most: these very bytes are stored, signed and delivered.
    #[serde(borrow)]
    payload: &'a RawValue,
    /// Endpoints with channels get it if they have one of these.
    #[schemars(with = "Option<Vec<Name>>", length(max = MAX_CHANNELS))]
    channels: Option<Vec<String>>,
    /// For lists: each has 1 to 128 bytes, none of them control characters.
    #[schemars(length(max = MAX_TAGS))]
    tags: Option<Vec<String>>,
    /// A name of your own, by which it may be called. One that was used within 24 hours is a conflict.
    #[schemars(with = "Option<Name>")]
    event_id: Option<String>,
    /// Created first, if there is no application of this name.
    application: Option<ApplicationIn>,
    /// Nothing is sent before; at most 24 hours away.
    #[schemars(with = "Option<Time>")]
    deliver_at: Option<String>,
    /// How long the payload is kept once all deliveries have ended.
    #[schemars(range(min = 1))]
    payload_retention_hours: Option<u32>,
    /// The same in days. Give one of them.
    #[schemars(range(min = 1))]
    payload_retention_period: Option<u32>,
    transformations_params: Option<Transformations>,
    sluicegate: Option<MessageSettingsIn>,
}

impl MessageIn<'_> {
    fn wishes(&self) -> WishesIn<'_> {
        WishesIn {
            deliver_at: self.deliver_at.as_deref(),
            payload_retention_hours: self.payload_retention_hours,
            payload_retention_period: self.payload_retention_period,
            transformations_params: self.transformations_params.as_ref(),
            sluicegate: self.sluicegate.as_ref(),
        }
    }

    fn check(&self, faults: &mut Faults) {
        faults.name("eventType", &self.event_type);
        if let Some(event_id) = &self.event_id {
            faults.name("eventId", event_id);
            if event_id.parse::<MessageId>().is_ok() {
                faults.add("eventId", "looks like an id");
            }
        }
        if let Some(channels) = &self.channels {
            faults.names("channels", channels, MAX_CHANNELS);
        }
        if let Some(tags) = &self.tags {
            let fits = |tag: &String| {
                (1..=MAX_TAG).contains(&tag.len()) && !tag.chars().any(char::is_control)
            };
            if tags.len() > MAX_TAGS || !tags.iter().all(fits) {
                faults.add("tags", format!("expected at most {MAX_TAGS}, of 1 to {MAX_TAG} bytes"));
            }
        }
        check_payload(self.payload, faults);
    }

    /// Checks the message and makes an event of it. Its payload shares the memory of `body`; `text` is
    /// what stands there of the message, `header` the idempotency key that it got from outside.
    pub(super) fn read(
        &self,
        longest_retention: Duration,
        body: &Bytes,
        text: &[u8],
        header: Option<&[u8]>,
        trace: Option<TraceContext>,
    ) -> Result<Event> {
        let mut faults = Faults::default();
        self.check(&mut faults);
        let wishes = self.wishes().read(longest_retention, &mut faults);
        let own = self.sluicegate.as_ref().and_then(|settings| settings.idempotency_key.as_deref());
        let key = own.map(str::as_bytes).or(header);
        if own.is_some_and(|key| !is_key(key.as_bytes())) {
            faults.add("sluicegate", format!("idempotencyKey must have {KEY_LENGTH}"));
        }
        faults.into_result()?;
        if header.is_some_and(|key| !is_key(key)) {
            return Err(ApiError::Malformed(format!("the idempotency key must have {KEY_LENGTH}")));
        }
        let idempotency = key.map(|key| idempotency_key(key, text));
        Ok(Event { trace, ..self.event(wishes, body, idempotency) })
    }

    /// Whether it names an application that is to be created first.
    pub(super) fn brings_application(&self) -> bool {
        self.application.is_some()
    }

    fn event(&self, wishes: Wishes, body: &Bytes, idempotency: Option<Dedup>) -> Event {
        Event {
            event_type: self.event_type.clone(),
            channels: self.channels.clone().unwrap_or_default(),
            tags: self.tags.clone().unwrap_or_default(),
            event_id: self.event_id.clone(),
            wishes,
            payload: body.slice_ref(self.payload.get().as_bytes()),
            idempotency,
            trace: None,
        }
    }
}

pub(super) fn check_payload(payload: &RawValue, faults: &mut Faults) {
    if json_depth(payload.get()) > MAX_DEPTH {
        faults.add("payload", format!("nested deeper than {MAX_DEPTH}"));
    }
}

/// The request's idempotency key, which stands for this body.
pub(super) fn idempotency(request: &HttpRequest, body: &Body) -> Result<Option<Dedup>> {
    let Some(key) = request.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.as_bytes();
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY {
        let detail = format!("the idempotency key must have 1 to {MAX_IDEMPOTENCY_KEY} bytes");
        return Err(ApiError::Malformed(detail));
    }
    Ok(Some(idempotency_key(key, body.bytes())))
}

/// The answer to a message that is stored.
pub(super) fn accepted(api: &Api) -> HttpResponseBuilder {
    let mut response = HttpResponse::Accepted();
    response.insert_header((DURABILITY, api.store.durability().name()));
    response
}

/// A message.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageOut<'a> {
    id: MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    event_type: &'a str,
    payload: &'a RawValue,
    channels: Option<&'a [String]>,
    tags: Option<&'a [String]>,
    #[schemars(with = "Time")]
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    deliver_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sluicegate: Option<MessageSettingsOut>,
}

/// What is asked for of a payload.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    /// Nothing: it shows `{}`.
    Unwanted,
    /// It is gone: it shows `{"expired":true}`.
    Gone,
    There(&'a Bytes),
}

impl<'a> MessageOut<'a> {
    pub(super) fn new(header: &'a MessageHeader, content: Content<'a>) -> Self {
        let some = |list: &'a Vec<String>| (!list.is_empty()).then_some(list.as_slice());
        let payload = match content {
            Content::Unwanted => constant("{}"),
            Content::Gone => constant(r#"{"expired":true}"#),
            Content::There(_) if header.options.expunged => constant(r#"{"expired":true}"#),
            Content::There(bytes) => {
                serde_json::from_slice(bytes).unwrap_or_else(|_| constant("{}"))
            }
        };
        Self {
            id: header.id,
            event_id: header.event_id.as_deref(),
            event_type: &header.event_type,
            payload,
            channels: some(&header.channels),
            tags: some(&header.tags),
            timestamp: header.created_at.rfc3339(),
            deliver_at: header.options.deliver_at.map(Millis::rfc3339),
            sluicegate: MessageSettingsOut::of(header),
        }
    }
}

fn constant(json: &'static str) -> &'static RawValue {
    // A constant text that is an object.
    serde_json::from_str(json).unwrap_or(RawValue::NULL)
}

fn is_key(key: &[u8]) -> bool {
    (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len())
}

impl Api {
    /// A message with its body, by id; whose it is was checked.
    pub(super) async fn message(&self, app: AppId, id: MessageId) -> Result<Option<Message>> {
        let Some(record) = self.store.message(app, id).await? else { return Ok(None) };
        let message = Message::decode(&record).map_err(|error| {
            StoreError::caused_by(ErrorKind::Corrupt, "a message cannot be read", error)
        })?;
        Ok((message.header.app == app).then_some(message))
    }

    /// The message with this id or event id.
    pub(super) async fn find_message(&self, app: AppId, name: &str) -> Result<Message> {
        let id = match name.parse() {
            Ok(id) => Some(id),
            Err(_) => self.store.find_key(app, &event_key(name, b"").key).await?,
        };
        let found = match id {
            Some(id) => self.message(app, id).await?,
            None => None,
        };
        found.ok_or(ApiError::NotFound("message"))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ContentQuery {
    /// Whether the payload is shown; `{}` where it is not.
    with_content: Option<bool>,
}

impl ContentQuery {
    pub(super) fn of<'a>(&self, payload: &'a Bytes) -> Content<'a> {
        match self.with_content.unwrap_or(true) {
            true => Content::There(payload),
            false => Content::Unwanted,
        }
    }
}

pub(super) async fn create(
    api: web::Data<Api>,
    publish: web::Data<Publish>,
    request: HttpRequest,
    path: web::Path<String>,
    query: web::Query<ContentQuery>,
    body: Body,
) -> Result<HttpResponse> {
    let input: MessageIn<'_> = body.json()?;
    let key = request.headers().get(IDEMPOTENCY_KEY).map(|key| key.as_bytes());
    let event =
        input.read(api.longest_retention, body.bytes(), body.bytes(), key, trace_of(&request))?;
    api.schemas.judge(&event.event_type, &event.payload).await?;
    let header = match (publish.publish(&path, &event, body.since()).await, &input.application) {
        (Err(ApiError::NotFound(_)), Some(application)) => {
            let application = application.clone().whole();
            application.check(&api.retry_bounds)?;
            // Whoever created it meanwhile was as good.
            api.create_application(&application).await?;
            publish.publish(&path, &event, body.since()).await?
        }
        (result, _) => result?,
    };
    let content = query.of(&event.payload);
    Ok(accepted(&api).json(MessageOut::new(&header, content)))
}

pub(super) async fn get(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<ContentQuery>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let configuration = api.configuration(&app).await?;
    let message = api.find_message(configuration.application.id, &name).await?;
    let content = query.of(&message.payload);
    Ok(HttpResponse::Ok().json(MessageOut::new(&message.header, content)))
}

pub(super) async fn list(
    api: web::Data<Api>,
    path: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let app = api.configuration(&path).await?.application.id;
    let listed = gather(
        &query,
        Order::NewestFirst,
        async |request| Ok(api.store.messages(app, &query.skip(request, &api.store)).await?),
        |header| Some(header.created_at),
        async |header| Ok(fits(header, &query)),
    )
    .await?;
    // What is listed may have outlived its body.
    let found = match query.with_content() {
        true => {
            let ids: Vec<_> = listed.data.iter().map(|header| header.id).collect();
            api.messages(app, &ids).await?
        }
        false => HashMap::new(),
    };
    listed.respond(|header| match found.get(&header.id) {
        // As it is now: the list says how it was when it was published.
        Some(message) => MessageOut::new(&message.header, Content::There(&message.payload)),
        None if query.with_content() => MessageOut::new(header, Content::Gone),
        None => MessageOut::new(header, Content::Unwanted),
    })
}

/// Whether a message passes the filters of a list.
pub(super) fn fits(header: &MessageHeader, query: &ListQuery) -> bool {
    let types = query.event_types();
    (types.is_empty() || types.contains(&header.event_type.as_str()))
        && query.channel.as_ref().is_none_or(|channel| header.channels.contains(channel))
        && query.tag.as_ref().is_none_or(|tag| header.tags.contains(tag))
}
