//! Attempts: what was tried, and the wish to try again.

use std::collections::{BTreeSet, HashMap};

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    domain::{Attempt, AttemptStatus, Message, Trigger},
    id::{AppId, AttemptId, EndpointId, MessageId},
    store::{Order, PageRequest},
};

use super::{
    Api, find_endpoint,
    list::{ListQuery, Listed, gather},
    message::{Content, MessageOut, fits},
    message_filter::MessageFilter,
    openapi::{StatusText, Time},
};
use crate::error::{ApiError, Result};

/// Attempts that one call reads while it looks for a certain one.
const SCAN: usize = 250;

/// The states that the API knows, by number and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    Pending,
    Fail,
}

impl Status {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Pending => 1,
            Self::Fail => 2,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Pending => "pending",
            Self::Fail => "fail",
        }
    }
}

impl From<AttemptStatus> for Status {
    fn from(status: AttemptStatus) -> Self {
        match status {
            AttemptStatus::Success => Self::Success,
            AttemptStatus::Fail => Self::Fail,
        }
    }
}

/// An attempt.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageAttemptOut")]
pub(super) struct AttemptOut<'a> {
    id: AttemptId,
    endpoint_id: EndpointId,
    msg_id: MessageId,
    url: &'a str,
    /// The beginning of what the receiver answered.
    response: &'a str,
    /// 0 where there was no answer.
    response_status_code: u16,
    response_duration_ms: u64,
    #[schemars(with = "Status")]
    status: u8,
    #[schemars(with = "StatusText")]
    status_text: &'static str,
    /// 0: published, or a retry. 1: somebody asked for it.
    #[schemars(range(max = 1))]
    trigger_type: u8,
    #[schemars(with = "Time")]
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<MessageOut<'a>>,
}

impl<'a> AttemptOut<'a> {
    fn new(attempt: &'a Attempt, with_content: bool, message: Option<&'a Message>) -> Self {
        let status = Status::from(attempt.status);
        Self {
            id: attempt.id,
            endpoint_id: attempt.endpoint,
            msg_id: attempt.message,
            url: &attempt.url,
            response: if with_content { &attempt.response } else { "" },
            response_status_code: attempt.code,
            response_duration_ms: attempt.duration_ms,
            status: status.number(),
            status_text: status.name(),
            trigger_type: match attempt.trigger {
                Trigger::Scheduled => 0,
                Trigger::Manual => 1,
            },
            timestamp: attempt.at.rfc3339(),
            msg: message.map(|message| MessageOut::new(&message.header, Content::Unwanted)),
        }
    }
}

/// Whether an attempt passes the filters that need nothing but the attempt.
fn passes(attempt: &Attempt, query: &ListQuery) -> bool {
    let status = Status::from(attempt.status).number();
    query.status.is_none_or(|wanted| wanted == status)
        && query.status_code_class.is_none_or(|class| attempt.code / 100 == class / 100)
}

impl Api {
    async fn respond(
        &self,
        app: AppId,
        listed: Listed<Attempt>,
        query: &ListQuery,
    ) -> Result<HttpResponse> {
        let messages = match query.with_msg.unwrap_or(false) {
            true => {
                let ids: BTreeSet<_> = listed.data.iter().map(|attempt| attempt.message).collect();
                self.messages(app, &ids.into_iter().collect::<Vec<_>>()).await?
            }
            false => HashMap::new(),
        };
        let with_content = query.with_content();
        listed.respond(|one| AttemptOut::new(one, with_content, messages.get(&one.message)))
    }
}

pub(super) async fn list_by_endpoint(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let queue = api.queue(&app, &name).await?;
    let app = queue.app;
    let messages = MessageFilter::new(&api, app, &query);
    let listed = gather(
        &query,
        Order::NewestFirst,
        async |request| {
            let request = query.skip(request, &api.store);
            let page = api.store.endpoint_attempts(queue, &request).await?;
            let passing = page.entries.iter().filter(|(_, attempt)| passes(attempt, &query));
            messages.learn(passing.map(|(_, attempt)| attempt.message)).await?;
            Ok(page)
        },
        |attempt| Some(attempt.at),
        async |attempt| Ok(passes(attempt, &query) && messages.passes(attempt.message)),
    )
    .await?;
    api.respond(app, listed, &query).await
}

pub(super) async fn list_by_message(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let configuration = api.configuration(&app).await?;
    let app = configuration.application.id;
    let message = api.find_message(app, &name).await?;
    let endpoint = match &query.endpoint_id {
        Some(name) => Some(find_endpoint(&configuration, name)?.id),
        None => None,
    };
    let listed = gather(
        &query,
        Order::NewestFirst,
        async |request| Ok(api.store.message_attempts(app, message.header.id, &request).await?),
        |attempt| Some(attempt.at),
        async |attempt| {
            Ok(passes(attempt, &query)
                && endpoint.is_none_or(|endpoint| endpoint == attempt.endpoint)
                && fits(&message.header, &query))
        },
    )
    .await?;
    api.respond(app, listed, &query).await
}

pub(super) async fn get(
    api: web::Data<Api>,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse> {
    let (app, name, id) = path.into_inner();
    let missing = || ApiError::NotFound("attempt");
    let id: AttemptId = id.parse().map_err(|_| missing())?;
    let app = api.configuration(&app).await?.application.id;
    let message = api.find_message(app, &name).await?;
    let mut request = PageRequest { after: None, order: Order::NewestFirst, limit: SCAN };
    loop {
        let page = api.store.message_attempts(app, message.header.id, &request).await?;
        if let Some((_, found)) = page.entries.iter().find(|(_, attempt)| attempt.id == id) {
            return Ok(HttpResponse::Ok().json(AttemptOut::new(found, true, Some(&message))));
        }
        request.after = page.entries.last().map(|(cursor, _)| cursor.clone());
        if page.done || request.after.is_none() {
            return Err(missing());
        }
    }
}

pub(super) async fn resend(
    api: web::Data<Api>,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse> {
    let (app, message, endpoint) = path.into_inner();
    let queue = api.queue(&app, &endpoint).await?;
    let message = match api.find_message(queue.app, &message).await {
        Err(ApiError::NotFound(_)) if api.was_tried(queue.app, &message).await? => {
            return Err(ApiError::BodyGone);
        }
        found => found?.header,
    };
    if message.options.expunged {
        let detail = "the message's content was removed: there is nothing to send";
        return Err(ApiError::Conflict(detail.to_owned()));
    }
    api.send_again(queue, message.id).await?;
    Ok(HttpResponse::Accepted().json(serde_json::json!({})))
}

impl Api {
    /// Whether there was such a message: attempts are remembered longer than bodies.
    async fn was_tried(&self, app: AppId, message: &str) -> Result<bool> {
        let Ok(message) = message.parse() else { return Ok(false) };
        let request = PageRequest { after: None, order: Order::NewestFirst, limit: 1 };
        Ok(!self.store.message_attempts(app, message, &request).await?.entries.is_empty())
    }
}
