//! An attempt: one signed HTTP request, from a message and a route to a record.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use http::{HeaderName, HeaderValue};
use shared::{
    domain::{Attempt, AttemptStatus, Delivery, Message, Trigger},
    id::AttemptId,
    signature::{self, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
    time::Millis,
    trace::Tracer,
};
use tokio::time::Instant;

use crate::{
    connector::{Answer, Connector, Request},
    outcome::Outcome,
    routes::Route,
    ruling::Ruling,
    traced::Traced,
};

/// Tells the receiver which attempt this is, counted from 1.
const ATTEMPT_HEADER: HeaderName = HeaderName::from_static("sluicegate-attempt");

/// What an attempt needs.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) delivery: Delivery,
    /// 1 for the first attempt.
    pub(crate) number: u32,
    pub(crate) message: Message,
    pub(crate) route: Arc<Route>,
    pub(crate) trace: Option<Box<Traced>>,
}

/// What came of it.
pub(crate) struct Ended {
    pub(crate) ruling: Ruling,
    pub(crate) record: Attempt,
    pub(crate) delivery: Delivery,
    pub(crate) message: Message,
    pub(crate) route: Arc<Route>,
    pub(crate) trace: Option<Box<Traced>>,
    /// How long it took to open a connection, if one was opened.
    pub(crate) connecting: Option<Duration>,
}

/// Makes the attempt. Never fails: how it ended is data, even where our own code panicked.
pub(crate) async fn make(job: Job, connector: &Connector, tracer: &Tracer) -> Ended {
    let (at, started) = (Millis::now(), Instant::now());
    let answer = again_if_refused(async || send(&job, at, connector, tracer).await).await;
    let ruling = match answer.status {
        0 => answer.outcome.into(),
        status => Ruling::of_status(status, answer.wait, &job.route.endpoint.settings.outcomes),
    };
    let status = match ruling.is_success() {
        true => AttemptStatus::Success,
        false => AttemptStatus::Fail,
    };
    let record = Attempt {
        id: AttemptId::new(),
        endpoint: job.delivery.endpoint,
        message: job.delivery.message,
        generation: job.delivery.generation,
        number: job.number,
        url: job.route.endpoint.url.clone(),
        status,
        outcome: ruling.outcome.name().to_owned(),
        code: answer.status,
        response: answer.body,
        duration_ms: started.elapsed().as_millis() as u64,
        at,
        trigger: Trigger::of(&job.delivery),
        next: None,
        extra: Default::default(),
    };
    let Job { delivery, message, route, trace, .. } = job;
    if let Some(traced) = &trace {
        let url = route.target.as_ref().map(|target| &target.url);
        traced.end(tracer, &delivery, &record, ruling, url);
    }
    Ended { ruling, record, delivery, message, route, trace, connecting: answer.connecting }
}

/// A refused connection is provably nothing sent, and over at once where a receiver only changes
/// places: it is tried once more. The schedule takes it from there.
async fn again_if_refused(send: impl AsyncFn() -> Answer) -> Answer {
    let first = send().await;
    if first.refused { send().await } else { first }
}

async fn send(job: &Job, at: Millis, connector: &Connector, tracer: &Tracer) -> Answer {
    let Some(request) = request(job, at, tracer) else {
        return Answer::without_response(Outcome::Unsendable);
    };
    let answer = AssertUnwindSafe(connector.post(request)).catch_unwind().await;
    answer.unwrap_or_else(|_| Answer::without_response(Outcome::Panicked))
}

fn request(job: &Job, at: Millis, tracer: &Tracer) -> Option<Request> {
    let target = job.route.target.as_ref()?;
    let id = job.message.header.id.to_string();
    let seconds = at.0 / 1000;
    let signatures = signature::sign(target.secrets(at), &id, seconds, &job.message.payload);
    // Written last, so that no configured header can replace them.
    let mut headers = target.headers();
    for (name, value) in &job.message.header.options.headers {
        let name: HeaderName = name.parse().ok()?;
        headers.insert(name, HeaderValue::from_str(value).ok()?);
    }
    if let Some(traced) = job.trace.as_ref().filter(|_| tracer.sends()) {
        traced.tell(&mut headers);
    }
    headers.insert(ATTEMPT_HEADER, HeaderValue::from(job.number));
    headers.insert(ID_HEADER, HeaderValue::from_str(&id).ok()?);
    headers.insert(TIMESTAMP_HEADER, HeaderValue::from(seconds));
    headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(&signatures).ok()?);
    Some(Request { url: target.url.clone(), headers, body: job.message.payload.clone() })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[actix_rt::test]
    async fn only_what_was_refused_is_sent_again_and_only_once() {
        for (refusals, outcome, calls, ends) in [
            (0, Outcome::Broken, 1, Outcome::Broken),
            (1, Outcome::Delivered, 2, Outcome::Delivered),
            (9, Outcome::Delivered, 2, Outcome::ConnectFailed),
        ] {
            let called = Cell::new(0);
            let answer = again_if_refused(async || {
                called.set(called.get() + 1);
                match called.get() <= refusals {
                    false => Answer::without_response(outcome),
                    true => {
                        Answer { refused: true, ..Answer::without_response(Outcome::ConnectFailed) }
                    }
                }
            });
            assert_eq!((answer.await.outcome, called.get()), (ends, calls), "{refusals}");
        }
    }
}
