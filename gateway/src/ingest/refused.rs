//! The line about a request whose messages were not accepted. What the request carries does not show:
//! fields are named, never quoted.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest,
    http::{
        StatusCode,
        header::{CONTENT_LENGTH, HeaderMap},
    },
};
use shared::trace::TraceContext;

use super::observe::REQUEST_ID;
use crate::{access::Caller, config::Config, error::ApiError, metrics::Metrics};

/// Of a batch only a part was accepted. Goes with the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Partly {
    pub(crate) accepted: usize,
    pub(crate) failed: usize,
    /// Why, of the first that was not.
    pub(crate) code: &'static str,
}

/// How a request ended.
pub(super) struct Refusal<'a> {
    pub(super) status: StatusCode,
    pub(super) error: Option<&'a ApiError>,
    pub(super) route: &'a str,
    pub(super) took: Duration,
    pub(super) trace: Option<TraceContext>,
}

impl Refusal<'_> {
    /// Writes the line, if something was refused and there is room for it.
    pub(super) fn tell(&self, request: &HttpRequest, config: &Config, metrics: &Metrics) {
        let partly = request.extensions().get::<Partly>().copied();
        let Some(code) = self.error.map(ApiError::code).or(partly.map(|partly| partly.code)) else {
            return;
        };
        let Some(left_out) = metrics.line(code) else { return };
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let caller = request.extensions().get::<Caller>().map(|caller| caller.name.clone());
        let fields = self.error.map(fields).filter(|fields| !fields.is_empty());
        let store = match self.error {
            Some(ApiError::Store(error)) => Some(tracing::field::display(error)),
            _ => None,
        };
        tracing::info!(
            request_id = text(REQUEST_ID.as_str()),
            app = request.match_info().get("app"),
            caller = caller.as_deref(),
            peer = request.peer_addr().map(|peer| tracing::field::display(peer.ip())),
            route = self.route,
            status = self.status.as_u16(),
            code,
            fields,
            error = store,
            accepted = partly.map(|partly| partly.accepted),
            failed = partly.map(|partly| partly.failed),
            bytes = text(CONTENT_LENGTH.as_str()),
            took_ms = self.took.as_secs_f64() * 1000.0,
            trace_id = self.trace.as_ref().map(|trace| tracing::field::display(trace.trace_id())),
            headers = allowed(headers, &config.logged_headers),
            left_out,
            "request.refused"
        );
    }
}

/// Where the faults lie.
fn fields(error: &ApiError) -> String {
    let ApiError::Invalid(faults) = error else { return String::new() };
    let places: Vec<_> = faults.iter().map(|fault| fault.loc.join(".")).collect();
    places.join(" ")
}

/// The headers that may appear, as `name: value` with `; ` between them.
fn allowed(headers: &HeaderMap, names: &[String]) -> Option<String> {
    let shown = names.iter().filter_map(|name| {
        let value = headers.get(name.as_str())?.to_str().ok()?;
        Some(format!("{}: {value}", name.to_ascii_lowercase()))
    });
    let shown: Vec<_> = shown.collect();
    (!shown.is_empty()).then(|| shown.join("; "))
}
