//! Dead letters: the deliveries of an endpoint that were given up, with the reason.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use shared::{
    domain::DeadLetter,
    id::{EndpointId, MessageId},
    store::Order,
};

use super::{
    Api,
    list::{ListQuery, gather},
};
use crate::error::Result;

/// A dead letter as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetterOut {
    msg_id: MessageId,
    endpoint_id: EndpointId,
    reason: &'static str,
    attempts: u32,
    timestamp: String,
}

impl From<&DeadLetter> for DeadLetterOut {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            msg_id: letter.message,
            endpoint_id: letter.endpoint,
            reason: letter.reason.name(),
            attempts: letter.attempts,
            timestamp: letter.at.rfc3339(),
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
    let listed = gather(
        &query,
        Order::NewestFirst,
        async |request| api.store.dead_letters(queue, &request).await,
        |letter| Some(letter.at),
        async |_| Ok(true),
    )
    .await?;
    listed.respond(DeadLetterOut::from)
}
