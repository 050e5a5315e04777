//! The spans of one attempt: pull, attempt and settle, each below the one before it, and the first below
//! the message's publication, which may be days ago and in another process.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue};
use shared::{
    domain::{Attempt, Delivery, Message},
    store::Settled,
    trace::{Span, Stage, TRACEPARENT, TRACESTATE, TraceContext, Tracer},
};
use tokio::time::Instant;
use url::Url;

use crate::ruling::Ruling;

/// An attempt whose message stands in a trace. Most do not, and have none of this.
#[derive(Debug)]
pub(crate) struct Traced {
    /// The attempt's own span, or, where that is not recorded, what the message came with.
    context: TraceContext,
    /// The span before, if both are recorded.
    pull: Option<TraceContext>,
    began: SystemTime,
    publication: TraceContext,
}

/// A settlement that is under way and recorded.
#[derive(Debug)]
pub(crate) struct SettleSpan {
    context: TraceContext,
    attempt: TraceContext,
    began: SystemTime,
}

impl Traced {
    /// An attempt starts now of what was taken then.
    pub(crate) fn begin(
        tracer: &Tracer,
        message: &Message,
        delivery: &Delivery,
        taken: Instant,
    ) -> Option<Box<Self>> {
        let publication = message.header.trace.as_deref()?.clone();
        let began = SystemTime::now();
        let pull = tracer.child(Some(&publication));
        if let Some(pull) = &pull {
            let mut span = Span::until_now(Stage::Pull, pull.clone(), began - taken.elapsed());
            span.parent = Some(publication.clone());
            span.link = Some(publication.clone());
            span.text("messaging.operation.type", "receive");
            describe(&mut span, delivery);
            tracer.record(span);
        }
        let context = pull.as_ref().map_or_else(|| publication.clone(), TraceContext::child);
        Some(Box::new(Self { context, pull, began, publication }))
    }

    /// The context, for logs.
    pub(crate) fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Tells the receiver.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        if let Ok(parent) = HeaderValue::from_str(&self.context.to_string()) {
            headers.insert(TRACEPARENT, parent);
        }
        // A state of others would belong to another trace.
        headers.remove(TRACESTATE);
        if let Some(state) = self.context.state().and_then(|it| HeaderValue::from_str(it).ok()) {
            headers.insert(TRACESTATE, state);
        }
    }

    /// The attempt has ended so.
    pub(crate) fn end(
        &self,
        tracer: &Tracer,
        delivery: &Delivery,
        record: &Attempt,
        ruling: Ruling,
        url: Option<&Url>,
    ) {
        let Some(pull) = &self.pull else { return };
        let mut span = Span::until_now(Stage::Attempt, self.context.clone(), self.began);
        span.parent = Some(pull.clone());
        span.link = Some(self.publication.clone());
        span.failure = (!ruling.is_success()).then(|| ruling.outcome.name());
        span.text("messaging.operation.type", "process");
        describe(&mut span, delivery);
        span.number("sluicegate.attempt", record.number);
        span.text("sluicegate.outcome", ruling.outcome.name());
        span.text("http.request.method", "POST");
        // Never more of the URL: its path and query may be secret.
        if let Some(host) = url.and_then(Url::host_str) {
            span.text("server.address", host);
        }
        if let Some(port) = url.and_then(Url::port_or_known_default) {
            span.number("server.port", port);
        }
        if record.code != 0 {
            span.number("http.response.status_code", record.code);
        }
        tracer.record(span);
    }

    /// Its settlement begins now.
    pub(crate) fn settle(self) -> Option<SettleSpan> {
        self.pull?;
        let (context, began) = (self.context.child(), SystemTime::now());
        Some(SettleSpan { context, attempt: self.context, began })
    }
}

impl SettleSpan {
    /// The store has answered.
    pub(crate) fn end(
        self,
        tracer: &Tracer,
        delivery: &Delivery,
        verdict: &'static str,
        answer: Settled,
    ) {
        let mut span = Span::until_now(Stage::Settle, self.context, self.began);
        span.parent = Some(self.attempt);
        span.failure = (answer == Settled::NotThere).then_some("not_there");
        span.text("messaging.operation.type", "settle");
        describe(&mut span, delivery);
        span.text("sluicegate.verdict", verdict);
        tracer.record(span);
    }
}

fn describe(span: &mut Span, delivery: &Delivery) {
    span.text("messaging.system", "sluicegate");
    span.text("messaging.operation.name", span.stage.name());
    span.text("messaging.message.id", delivery.message.to_string());
    span.text("messaging.destination.name", delivery.app.to_string());
    span.text("sluicegate.endpoint", delivery.endpoint.to_string());
}
