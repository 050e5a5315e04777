//! The messages that were tried at an endpoint, each once, with how far it got there.
//!
//! The list is that of the endpoint's attempts, of which the first of each message stands for it: so it
//! keeps its place, however often it is tried again.

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::future::try_join_all;
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    domain::{Attempt, Generation, Message, MessageHeader, Queue},
    id::{AppId, MessageId},
    store::{Order, Page, PageRequest},
    time::Millis,
};

use super::{
    Api,
    attempt::Status,
    list::{ListQuery, gather},
    message::{Content, MessageOut, fits},
    openapi::{StatusText, Time},
    recipients::{MAX_ATTEMPTS, PAGE, progress},
};
use crate::error::Result;

/// A message and its latest attempt at the endpoint.
struct EndpointMessage {
    header: MessageHeader,
    /// `None` if it is gone, or not asked for.
    payload: Option<Bytes>,
    status: Status,
    next: Option<Millis>,
}

/// A message, and how far it got at an endpoint.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointMessageOut<'a> {
    #[serde(flatten)]
    message: MessageOut<'a>,
    #[schemars(with = "Status")]
    status: u8,
    #[schemars(with = "StatusText")]
    status_text: &'static str,
    #[schemars(with = "Option<Time>")]
    next_attempt: Option<String>,
}

impl<'a> EndpointMessageOut<'a> {
    fn new(it: &'a EndpointMessage, with_content: bool) -> Self {
        let content = match (&it.payload, with_content) {
            (Some(payload), true) => Content::There(payload),
            (None, true) => Content::Gone,
            (_, false) => Content::Unwanted,
        };
        Self {
            message: MessageOut::new(&it.header, content),
            status: it.status.number(),
            status_text: it.status.name(),
            next_attempt: it.next.map(Millis::rfc3339),
        }
    }
}

/// What is shown of a message that nothing is known of but its attempts.
fn forgotten(app: AppId, id: MessageId) -> MessageHeader {
    MessageHeader {
        id,
        app,
        event_type: String::new(),
        channels: vec![],
        tags: vec![],
        event_id: None,
        created_at: Millis(id.made_at_ms()),
        options: Default::default(),
        trace: None,
        extra: serde_json::Map::new(),
    }
}

impl Api {
    /// The latest attempt of the message at the endpoint, if `attempt` is the first one there.
    async fn latest_if_first(&self, queue: Queue, attempt: &Attempt) -> Result<Option<Attempt>> {
        if attempt.number != 1 {
            return Ok(None);
        }
        let mut request = PageRequest { after: None, order: Order::NewestFirst, limit: PAGE };
        let mut latest = None;
        let mut met = false;
        for _ in 0..MAX_ATTEMPTS / PAGE {
            let page = self.store.message_attempts(queue.app, attempt.message, &request).await?;
            request.after = page.entries.last().map(|(cursor, _)| cursor.clone());
            let here = page.entries.into_iter().map(|(_, it)| it);
            for it in here.filter(|it| it.endpoint == queue.endpoint) {
                if met {
                    // One that was sent again has earlier ones.
                    return Ok(None);
                }
                met = it.id == attempt.id;
                latest.get_or_insert(it);
            }
            // Nothing can be before the first sending.
            let surely_first = met && attempt.generation == Generation(0);
            if surely_first || page.done || request.after.is_none() {
                break;
            }
        }
        Ok(Some(latest.unwrap_or_else(|| attempt.clone())))
    }

    async fn endpoint_message(
        &self,
        queue: Queue,
        attempt: &Attempt,
    ) -> Result<Option<EndpointMessage>> {
        let Some(latest) = self.latest_if_first(queue, attempt).await? else { return Ok(None) };
        let (app, id) = (queue.app, attempt.message);
        let (header, payload) = match self.message(app, id).await? {
            Some(Message { header, payload }) => (header, Some(payload)),
            None => {
                let header = self.logged(app, id).await?;
                (header.unwrap_or_else(|| forgotten(app, id)), None)
            }
        };
        let (status, next) = progress(Some(&latest));
        Ok(Some(EndpointMessage { header, payload, status, next }))
    }
}

pub(super) async fn list(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let queue = api.queue(&app, &name).await?;
    let listed = gather(
        &query,
        Order::NewestFirst,
        async |request| {
            let Page { entries, done } = api.store.endpoint_attempts(queue, &request).await?;
            let found = entries.iter().map(|(_, attempt)| api.endpoint_message(queue, attempt));
            let found = try_join_all(found).await?;
            let entries = entries.into_iter().zip(found);
            let entries = entries.map(|((cursor, attempt), it)| (cursor, (attempt.at, it)));
            Ok(Page { entries: entries.collect(), done })
        },
        |(at, _)| Some(*at),
        async |(_, it)| {
            let wanted = |it: &EndpointMessage| {
                query.status.is_none_or(|wanted| wanted == it.status.number())
                    && fits(&it.header, &query)
            };
            Ok(it.as_ref().is_some_and(wanted))
        },
    )
    .await?;
    let with_content = query.with_content();
    listed.respond(|(_, it)| it.as_ref().map(|it| EndpointMessageOut::new(it, with_content)))
}
