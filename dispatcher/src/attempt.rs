//! An attempt: one signed HTTP request, from a message and a route to a record.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use shared::{
    domain::{Attempt, AttemptStatus, Delivery, Message, Trigger},
    id::AttemptId,
    signature::{self, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
    time::Millis,
};
use tokio::time::Instant;

use crate::{
    connector::{Answer, Connector, Request},
    outcome::Outcome,
    routes::Route,
};

/// Tells the receiver which attempt this is, counted from 1.
const ATTEMPT_HEADER: HeaderName = HeaderName::from_static("sluicegate-attempt");

/// What an attempt needs.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) delivery: Delivery,
    /// 1 for the first attempt.
    pub(crate) number: u32,
    pub(crate) message: Message,
    pub(crate) route: Arc<Route>,
}

/// What came of it.
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) record: Attempt,
    pub(crate) route: Arc<Route>,
    /// When the message was accepted.
    pub(crate) accepted_at: Millis,
}

/// Makes the attempt. Never fails: how it ended is data, even where our own code panicked.
pub(crate) async fn make(job: Job, connector: &Connector) -> Ended {
    let (at, started) = (Millis::now(), Instant::now());
    let answer = match request(&job, at) {
        None => Answer::without_response(Outcome::Unsendable),
        Some(request) => AssertUnwindSafe(connector.post(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Answer::without_response(Outcome::Panicked)),
    };
    let status = match answer.outcome {
        Outcome::Delivered => AttemptStatus::Success,
        _ => AttemptStatus::Fail,
    };
    let record = Attempt {
        id: AttemptId::new(),
        endpoint: job.delivery.endpoint,
        message: job.delivery.message,
        generation: job.delivery.generation,
        number: job.number,
        url: job.route.endpoint.url.clone(),
        status,
        outcome: answer.outcome.name().to_owned(),
        code: answer.status,
        response: answer.body,
        duration_ms: started.elapsed().as_millis() as u64,
        at,
        trigger: Trigger::of(&job.delivery),
        next: None,
        extra: Default::default(),
    };
    let accepted_at = job.message.header.created_at;
    Ended { outcome: answer.outcome, record, route: job.route, accepted_at }
}

fn request(job: &Job, at: Millis) -> Option<Request> {
    let target = job.route.target.as_ref()?;
    let id = job.message.header.id.to_string();
    let seconds = at.0 / 1000;
    let secrets = job.route.endpoint.signing_secrets(at);
    let signatures = signature::sign(secrets, &id, seconds, &job.message.payload);
    // Written last, so that no configured header can replace them.
    let mut headers: HeaderMap = target.headers.clone();
    headers.insert(ATTEMPT_HEADER, HeaderValue::from(job.number));
    headers.insert(ID_HEADER, HeaderValue::from_str(&id).ok()?);
    headers.insert(TIMESTAMP_HEADER, HeaderValue::from(seconds));
    headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(&signatures).ok()?);
    Some(Request { url: target.url.clone(), headers, body: job.message.payload.clone() })
}
