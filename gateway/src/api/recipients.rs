//! The recipients of a message: each endpoint that it was tried at or is meant for, with how far it
//! got there.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    domain::{Attempt, AttemptStatus, Payload},
    id::{AppId, EndpointId, MessageId},
    store::{Order, PageRequest},
    time::Millis,
};

use super::{
    Api,
    attempt::Status,
    endpoint::EndpointOut,
    list::{ListQuery, gather, page_of},
    openapi::{StatusText, Time},
};
use crate::error::Result;

/// How many attempts of a message are looked at, the latest first.
pub(super) const MAX_ATTEMPTS: usize = 10_000;
pub(super) const PAGE: usize = 250;

/// An endpoint, and how far one message got there.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageEndpointOut")]
pub(super) struct RecipientOut<'a> {
    #[serde(flatten)]
    endpoint: EndpointOut<'a>,
    #[schemars(with = "Status")]
    status: u8,
    #[schemars(with = "StatusText")]
    status_text: &'static str,
    #[schemars(with = "Option<Time>")]
    next_attempt: Option<String>,
}

impl Api {
    /// The latest attempt at each endpoint.
    async fn latest_attempts(
        &self,
        app: AppId,
        message: MessageId,
    ) -> Result<BTreeMap<EndpointId, Attempt>> {
        let mut latest = BTreeMap::new();
        let mut request = PageRequest { after: None, order: Order::NewestFirst, limit: PAGE };
        for _ in 0..MAX_ATTEMPTS / PAGE {
            let page = self.store.message_attempts(app, message, &request).await?;
            request.after = page.entries.last().map(|(cursor, _)| cursor.clone());
            for (_, attempt) in page.entries {
                latest.entry(attempt.endpoint).or_insert(attempt);
            }
            if page.done || request.after.is_none() {
                break;
            }
        }
        Ok(latest)
    }
}

/// How far a message got at an endpoint, and when it will be tried again.
pub(super) fn progress(latest: Option<&Attempt>) -> (Status, Option<Millis>) {
    match latest {
        None => (Status::Pending, None),
        Some(attempt) => match (attempt.status, attempt.next) {
            (AttemptStatus::Success, _) => (Status::Success, None),
            (AttemptStatus::Fail, Some(next)) => (Status::Pending, Some(next)),
            (AttemptStatus::Fail, None) => (Status::Fail, None),
        },
    }
}

pub(super) async fn list(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let configuration = api.configuration(&app).await?;
    let app = configuration.application.id;
    let message = api.find_message(app, &name).await?;
    let latest = api.latest_attempts(app, message.header.id).await?;
    let payload = Payload::new(&message.payload);
    let meant = |id: &EndpointId| {
        latest.contains_key(id)
            || configuration.endpoints.get(id).is_some_and(|one| {
                // What was created later never got the message.
                one.created_at <= message.header.created_at && one.wants(&message.header, &payload)
            })
    };
    let recipients: Vec<_> =
        configuration.endpoints.values().filter(|endpoint| meant(&endpoint.id)).collect();
    let listed = gather(
        &query,
        Order::OldestFirst,
        async |request| {
            let sorted = recipients.iter().map(|one| (one.id.to_string(), *one)).collect();
            Ok(page_of(sorted, &request))
        },
        |_| None,
        async |_| Ok(true),
    )
    .await?;
    listed.respond(|endpoint| {
        let (status, next) = progress(latest.get(&endpoint.id));
        RecipientOut {
            endpoint: EndpointOut::from(endpoint.as_ref()),
            status: status.number(),
            status_text: status.name(),
            next_attempt: next.map(Millis::rfc3339),
        }
    })
}
