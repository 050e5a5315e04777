//! Gives each request an id, counts it and times it, and tells of what was refused. What failed is written in the form that the client
//! wants, with that id.

use std::time::Instant;

use actix_web::{
    Error,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use super::{
    refused::Refusal,
    span::{IngestSpan, trace_of},
};
use crate::{
    access::publishes,
    config::Config,
    error::{ApiError, Form},
    metrics::Metrics,
};

/// What the SDKs name a request with.
const SENT_ID: HeaderName = HeaderName::from_static("svix-req-id");
/// What the response names it with; further in, every request has it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_ID_LEN: usize = 64;

/// Sees every response, and writes the last word of each body.
pub(crate) async fn observe<B: MessageBody>(
    metrics: web::Data<Metrics>,
    config: web::Data<Config>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let started = Instant::now();
    let id = sent_id(request.headers()).unwrap_or_else(new_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let brings = publishes(request.method(), request.path());
    let span = brings.then(|| IngestSpan::begin(&config.tracer, &request)).flatten();
    let response = next.call(request).await?;

    let took = started.elapsed();
    let pattern = response.request().match_pattern();
    let route = pattern.as_deref().unwrap_or("none");
    let method = response.request().method();
    metrics.request(method, route, response.status(), took);
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    if let Some(error) = error {
        metrics.error(error.code());
    }
    let status = response.status();
    if let Some(ApiError::Store(error)) = error {
        metrics.store_error(error.kind());
    }
    // What somebody sends whom nobody knows fills no collector.
    if let Some(span) = span.filter(|_| status != StatusCode::UNAUTHORIZED) {
        span.end(&config.tracer, route, status.as_u16(), error.map(ApiError::code));
    }
    if brings {
        let trace = trace_of(response.request());
        Refusal { status, error, route, took, trace }.tell(response.request(), &config, &metrics);
    } else if let Some(ApiError::Store(error)) = error {
        tracing::warn!(
            request_id = id.to_str().unwrap_or_default(),
            %method,
            route,
            %error,
            "request.failed"
        );
    }
    tracing::debug!(
        request_id = id.to_str().unwrap_or_default(),
        %method,
        route,
        status = response.status().as_u16(),
        took_us = took.as_micros() as u64,
        "request.answered"
    );
    let mut response = in_form(response, &id);
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response)
}

/// Writes an error as the client wants it.
fn in_form<B>(response: ServiceResponse<B>, id: &HeaderValue) -> ServiceResponse<EitherBody<B>> {
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let Some(error) = error else { return response.map_into_left_body() };
    let form = wanted_form(response.request().headers());
    let body = error.body(form, id.to_str().ok());
    response.map_body(|head, _| {
        head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.media()));
        EitherBody::right(BoxBody::new(body))
    })
}

fn wanted_form(headers: &HeaderMap) -> Form {
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok());
    let wants = accepted.is_some_and(|it| it.to_ascii_lowercase().contains(Form::Problem.media()));
    if wants { Form::Problem } else { Form::Plain }
}

/// The client's own id, if it is short and made of visible ASCII.
fn sent_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID).or_else(|| headers.get(SENT_ID))?;
    let fits = id.len() <= MAX_ID_LEN && id.as_bytes().iter().all(u8::is_ascii_graphic);
    (fits && !id.is_empty()).then(|| id.clone())
}

fn new_id() -> HeaderValue {
    HeaderValue::from(rand::random::<u64>())
}
