//! Many messages with one request. Each is judged by itself, and all go through the same queue to the
//! store as single ones, which they fill better.

use std::cell::Cell;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, http::StatusCode, http::header::HeaderValue, web,
};
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use shared::domain::MessageHeader;
use shared::id::MessageId;
use shared::trace::TraceContext;
use tokio::time::Instant;

use super::{
    Api,
    message::{DURABILITY, IDEMPOTENCY_KEY, MessageIn},
    openapi::Time,
};
use crate::{
    config::Config,
    error::{ApiError, Result},
    ingest::{BatchBody, Partly, read_object, trace_of},
    publish::Publish,
};

/// How many messages one request may bring.
pub(super) const MAX_MESSAGES: usize = 1000;
/// How many of them are under way at once: more than the writer takes at a time, and a share of the
/// queue that leaves room for others.
const UNDER_WAY: usize = 192;

/// What became of a batch.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageBatchOut")]
pub(super) struct BatchOut {
    /// How many were accepted…
    accepted: usize,
    /// …and how many were not.
    failed: usize,
    /// What became of each, in their order.
    data: Vec<ItemOut>,
}

/// What became of one message: it was accepted, or why not.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "MessageBatchItemOut")]
enum ItemOut {
    #[serde(rename_all = "camelCase")]
    Accepted {
        status: u16,
        id: MessageId,
        #[serde(skip_serializing_if = "Option::is_none")]
        event_id: Option<String>,
        #[schemars(with = "Time")]
        timestamp: String,
    },
    Failed {
        status: u16,
        code: &'static str,
        detail: Value,
    },
}

impl ItemOut {
    fn of(result: Result<MessageHeader>) -> Self {
        match result {
            Ok(header) => Self::Accepted {
                status: StatusCode::ACCEPTED.as_u16(),
                id: header.id,
                timestamp: header.created_at.rfc3339(),
                event_id: header.event_id,
            },
            Err(error) => Self::Failed {
                status: actix_web::ResponseError::status_code(&error).as_u16(),
                code: error.code(),
                detail: error.detail_json(),
            },
        }
    }
}

/// 202 if all were accepted, 200 if some were not: the body tells which.
pub(super) async fn create(
    api: web::Data<Api>,
    publish: web::Data<Publish>,
    config: web::Data<Config>,
    request: HttpRequest,
    path: web::Path<String>,
    body: BatchBody,
) -> Result<HttpResponse> {
    let app = path.into_inner();
    let values = body.values()?;
    if !(1..=MAX_MESSAGES).contains(&values.len()) {
        let detail = format!("a batch has from 1 to {MAX_MESSAGES} messages, not {}", values.len());
        return Err(ApiError::Malformed(detail));
    }
    // So that a mistake in the address is one error, not a thousand.
    publish.find(&app).await?;
    let batch = Batch {
        api: &api,
        publish: &publish,
        app: &app,
        body: &body,
        most_bytes: config.body_limit,
        key: request.headers().get(IDEMPOTENCY_KEY),
        trace: trace_of(&request),
        broken: Cell::new(false),
    };
    let data: Vec<_> = stream::iter(values.into_iter().enumerate())
        .map(async |(place, text)| ItemOut::of(batch.item(place, text).await))
        .buffered(UNDER_WAY)
        .collect()
        .await;
    let accepted = data.iter().filter(|item| matches!(item, ItemOut::Accepted { .. })).count();
    let failed = data.len() - accepted;
    let first = data.iter().find_map(|item| match item {
        ItemOut::Failed { code, .. } => Some(*code),
        ItemOut::Accepted { .. } => None,
    });
    if let Some(code) = first {
        request.extensions_mut().insert(Partly { accepted, failed, code });
    }
    let status = if failed == 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(HttpResponse::build(status)
        .insert_header((DURABILITY, api.store.durability().name()))
        .json(BatchOut { accepted, failed, data }))
}

struct Batch<'a> {
    api: &'a Api,
    publish: &'a Publish,
    app: &'a str,
    body: &'a BatchBody,
    most_bytes: usize,
    key: Option<&'a HeaderValue>,
    trace: Option<TraceContext>,
    /// The store has failed: what was not begun is not tried any more.
    broken: Cell<bool>,
}

impl Batch<'_> {
    async fn item(&self, place: usize, text: &str) -> Result<MessageHeader> {
        if self.broken.get() {
            return Err(ApiError::Overloaded);
        }
        let since = Instant::now();
        if text.len() > self.most_bytes {
            return Err(ApiError::TooLarge { limit: self.most_bytes });
        }
        let input: MessageIn<'_> = read_object(text)?;
        if input.brings_application() {
            return Err(ApiError::field("application", "not in a batch: create it first"));
        }
        // A batch that is repeated under its key repeats each of its messages.
        let key = self.key.map(|key| {
            let mut key = key.as_bytes().to_vec();
            key.extend_from_slice(format!("/{place}").as_bytes());
            key
        });
        let event = input.read(
            self.api.longest_retention,
            self.body.bytes(),
            text.as_bytes(),
            key.as_deref(),
            self.trace.clone(),
        )?;
        self.api.schemas.judge(&event.event_type, &event.payload).await?;
        let result = self.publish.publish(self.app, &event, since).await;
        if matches!(result, Err(ApiError::Store(_))) {
            self.broken.set(true);
        }
        result
    }
}
