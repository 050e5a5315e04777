//! Dead letters: the deliveries of an endpoint that were given up, with the reason. Each has an id, which
//! is its place in the list. One that is replayed leaves the list; it comes back, as a new one, if it is
//! given up again.

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{DeadLetter, DeadReason, Delivery, Generation, Queue},
    id::{EndpointId, MessageId},
    store::{Cursor, Order, Page, Purge, Resend, Resent},
    time::Millis,
};

use super::{
    Api,
    list::{ListQuery, gather, parse_time},
    message_filter::MessageFilter,
    openapi::Time,
};
use crate::error::{ApiError, Result};

/// What ids start with.
const PREFIX: &str = "dead_";

/// A delivery that was given up.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetterOut {
    id: String,
    msg_id: MessageId,
    endpoint_id: EndpointId,
    #[schemars(with = "DeadReason")]
    reason: &'static str,
    attempts: u32,
    #[schemars(with = "Time")]
    timestamp: String,
}

impl DeadLetterOut {
    fn new(Cursor(place): &Cursor, letter: &DeadLetter) -> Self {
        Self {
            id: format!("{PREFIX}{place}"),
            msg_id: letter.message,
            endpoint_id: letter.endpoint,
            reason: letter.reason.name(),
            attempts: letter.attempts,
            timestamp: letter.at.rfc3339(),
        }
    }
}

impl Api {
    async fn find_letter(
        &self,
        (app, endpoint, id): &(String, String, String),
    ) -> Result<(Queue, Cursor, DeadLetter)> {
        let missing = || ApiError::NotFound("dead letter");
        let queue = self.queue(app, endpoint).await?;
        let place = Cursor(id.strip_prefix(PREFIX).ok_or_else(missing)?.to_owned());
        let letter = self.store.dead_letter(queue, &place).await?.ok_or_else(missing)?;
        Ok((queue, place, letter))
    }

    /// Sends a message to an endpoint once more.
    pub(super) async fn send_again(&self, queue: Queue, message: MessageId) -> Result<()> {
        let Queue { app, endpoint, strand } = queue;
        let generation = Generation(Millis::now().0);
        let delivery = Delivery { app, endpoint, strand, message, generation };
        match self.store.resend(Resend { delivery }).await? {
            Resent::Queued => Ok(()),
            Resent::NoMessage => Err(ApiError::BodyGone),
            Resent::NoEndpoint => Err(ApiError::NotFound("endpoint")),
        }
    }
}

pub(super) async fn list(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let queue = api.queue(&app, &name).await?;
    let messages = MessageFilter::new(&api, queue.app, &query);
    let has_reason =
        |letter: &DeadLetter| query.reason.is_none_or(|reason| reason == letter.reason);
    let listed = gather(
        &query,
        query.order(Order::NewestFirst),
        async |request| {
            let request = query.skip(request, &api.store);
            let Page { entries, done } = api.store.dead_letters(queue, &request).await?;
            let passing = entries.iter().filter(|(_, letter)| has_reason(letter));
            messages.learn(passing.map(|(_, letter)| letter.message)).await?;
            let entries = entries.into_iter().map(|(place, one)| (place.clone(), (place, one)));
            Ok(Page { entries: entries.collect(), done })
        },
        |(_, letter)| Some(letter.at),
        async |(_, letter)| Ok(has_reason(letter) && messages.passes(letter.message)),
    )
    .await?;
    listed.respond(|(place, letter)| DeadLetterOut::new(place, letter))
}

pub(super) async fn get(
    api: web::Data<Api>,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse> {
    let (_, place, letter) = api.find_letter(&path).await?;
    Ok(HttpResponse::Ok().json(DeadLetterOut::new(&place, &letter)))
}

pub(super) async fn replay(
    api: web::Data<Api>,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse> {
    let (queue, place, letter) = api.find_letter(&path).await?;
    api.send_again(queue, letter.message).await?;
    // Should this fail, the letter stays although it was replayed: better than the other way round.
    api.store.purge_dead_letters(queue, &Purge::One(place)).await?;
    Ok(HttpResponse::Accepted().json(serde_json::json!({})))
}

pub(super) async fn delete(
    api: web::Data<Api>,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse> {
    let (queue, place, _) = api.find_letter(&path).await?;
    api.store.purge_dead_letters(queue, &Purge::One(place)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PurgeQuery {
    /// Those that were given up before this time go.
    #[schemars(with = "Time")]
    before: Option<String>,
}

/// How many were removed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterPurgeOut")]
pub(super) struct PurgeOut {
    purged: u64,
}

/// Removes all that were given up before a time.
pub(super) async fn purge(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<PurgeQuery>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let fault = || ApiError::query("before", "expected an RFC 3339 time: those before it go");
    let before = query.before.as_deref().and_then(parse_time).ok_or_else(fault)?;
    let queue = api.queue(&app, &name).await?;
    let purged = api.store.purge_dead_letters(queue, &Purge::Before(before)).await?;
    Ok(HttpResponse::Ok().json(PurgeOut { purged }))
}
