//! The span of a request that brings messages: taken over from the producer's trace, or the first of a
//! new one.

use std::time::SystemTime;

use actix_web::{HttpMessage, HttpRequest, dev::ServiceRequest, http::header::HeaderMap};
use shared::trace::{Span, Stage, TRACEPARENT, TRACESTATE, TraceContext, Tracer};

/// Goes with the request: where its messages stand in a trace.
struct Traced(TraceContext);

/// A request that is under way and recorded.
pub(super) struct IngestSpan {
    context: TraceContext,
    parent: Option<TraceContext>,
    began: SystemTime,
}

impl IngestSpan {
    /// Finds or begins the request's trace, which goes with it from now on. Answers what is to be recorded.
    pub(super) fn begin(tracer: &Tracer, request: &ServiceRequest) -> Option<Self> {
        let parent = tracer.accepts().then(|| sent(request.headers())).flatten();
        let context = match &parent {
            Some(parent) => tracer.child(Some(parent)),
            None => tracer.root(),
        };
        if let Some(traced) = context.as_ref().or(parent.as_ref()) {
            request.extensions_mut().insert(Traced(traced.clone()));
        }
        context.map(|context| Self { context, parent, began: SystemTime::now() })
    }

    /// The request was answered so.
    pub(super) fn end(
        self,
        tracer: &Tracer,
        route: &str,
        status: u16,
        failure: Option<&'static str>,
    ) {
        let mut span = Span::until_now(Stage::Ingest, self.context, self.began);
        span.parent = self.parent;
        span.failure = failure;
        span.text("http.request.method", "POST");
        span.text("http.route", route);
        span.number("http.response.status_code", status);
        tracer.record(span);
    }
}

/// Where the messages of this request stand in a trace.
pub(crate) fn trace_of(request: &HttpRequest) -> Option<TraceContext> {
    request.extensions().get::<Traced>().map(|traced| traced.0.clone())
}

/// The context that the producer has sent. Only one `traceparent` is one.
fn sent(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT);
    let parent = parents.next().filter(|_| parents.next().is_none())?.to_str().ok()?;
    let states: Vec<_> =
        headers.get_all(TRACESTATE).filter_map(|state| state.to_str().ok()).collect();
    let state = (!states.is_empty()).then(|| states.join(","));
    TraceContext::from_headers(parent, state.as_deref())
}
