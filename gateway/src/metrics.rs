//! What the gateway counts.

use std::{sync::Arc, time::Duration};

use actix_web::http::{Method, StatusCode};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};
use shared::{quota::Quota, store::ErrorKind};
use tokio::time::Instant;

use crate::access::{Credential, Rejection};

/// The gateway's metrics. Labels come from closed sets: route templates, error kinds, codes.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: HistogramVec,
    errors: IntCounterVec,
    denied: IntCounterVec,
    rejected: IntCounterVec,
    keys_read: IntCounterVec,
    accepted: IntCounter,
    replayed: IntCounter,
    refused: IntCounterVec,
    deliveries: IntCounter,
    filters_failed: IntCounter,
    ingest_duration: Histogram,
    publish_duration: Histogram,
    batch_messages: Histogram,
    batch_duration: Histogram,
    batch_errors: IntCounterVec,
    store_errors: IntCounterVec,
    /// Lines that were not logged because there were too many of their kind.
    left_out: IntCounterVec,
    quota: Arc<Quota<&'static str>>,
}

impl Metrics {
    /// Registers them. Fails if they are registered already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let requests = HistogramVec::new(
            HistogramOpts::new(
                "sluicegate_gateway_request_duration_seconds",
                "Requests by route, method and class of status, with their duration",
            )
            .buckets(seconds()),
            &["route", "method", "status"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        let metrics = Self {
            requests,
            errors: counters(
                registry,
                "errors_total",
                "Requests that were answered with an error, by its code",
                "code",
            )?,
            rejected: rejections(registry)?,
            ingest_duration: histogram(
                registry,
                "ingest_duration_seconds",
                "From a message's request to its publication",
                seconds(),
            )?,
            publish_duration: histogram(
                registry,
                "publish_duration_seconds",
                "Publication of a message, until it is stored",
                seconds(),
            )?,
            denied: counters(
                registry,
                "requests_denied_total",
                "Requests of callers who are not known or may not do this, by reason",
                "reason",
            )?,
            keys_read: counters(
                registry,
                "issuer_keys_read_total",
                "How often the keys of issuers of JWTs were asked for, by how it ended",
                "outcome",
            )?,
            accepted: counter(registry, "messages_accepted_total", "Messages answered with 202")?,
            replayed: counter(
                registry,
                "messages_replayed_total",
                "Messages answered again because their idempotency key was known",
            )?,
            refused: counters(
                registry,
                "messages_refused_total",
                "Messages that were not accepted, by reason",
                "reason",
            )?,
            deliveries: counter(
                registry,
                "deliveries_published_total",
                "Deliveries that accepted messages fanned out to",
            )?,
            filters_failed: counter(
                registry,
                "filters_failed_total",
                "Filters of endpoints that could not be evaluated for a message, which they do not get",
            )?,
            batch_messages: histogram(
                registry,
                "publish_batch_messages",
                "Messages per call that publishes",
                vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
            )?,
            batch_duration: histogram(
                registry,
                "publish_batch_duration_seconds",
                "Duration of a call that publishes",
                seconds(),
            )?,
            batch_errors: counters(
                registry,
                "publish_errors_total",
                "Calls that publish and failed, by kind",
                "kind",
            )?,
            store_errors: counters(
                registry,
                "store_errors_total",
                "Requests that failed because the store did, by kind",
                "kind",
            )?,
            left_out: counters(
                registry,
                "log_lines_left_out_total",
                "Lines about refused requests that were not written, by code",
                "code",
            )?,
            quota: Arc::default(),
        };
        for kind in ErrorKind::ALL {
            metrics.store_errors.with_label_values(&[kind.name()]).inc_by(0);
            metrics.batch_errors.with_label_values(&[kind.name()]).inc_by(0);
        }
        for outcome in ["done", "failed"] {
            metrics.keys_read.with_label_values(&[outcome]).inc_by(0);
        }
        Ok(metrics)
    }

    /// A request was answered with an error.
    pub(crate) fn error(&self, code: &str) {
        self.errors.with_label_values(&[code]).inc();
    }

    /// A token was refused.
    pub(crate) fn rejected(&self, credential: Credential, why: Rejection) {
        self.rejected.with_label_values(&[credential.name(), why.name()]).inc();
    }

    pub(crate) fn ingested(&self, took: Duration) {
        self.ingest_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn published(&self, took: Duration) {
        self.publish_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn request(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE => method.as_str(),
            _ => "other",
        };
        let class = match status.as_u16() / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.requests.with_label_values(&[route, method, class]).observe(took.as_secs_f64());
    }

    pub(crate) fn denied(&self, reason: &'static str) {
        self.denied.with_label_values(&[reason]).inc();
    }

    pub(crate) fn keys_read(&self, done: bool) {
        self.keys_read.with_label_values(&[if done { "done" } else { "failed" }]).inc();
    }

    pub(crate) fn accepted(&self, deliveries: usize) {
        self.accepted.inc();
        self.deliveries.inc_by(deliveries as u64);
    }

    pub(crate) fn filters_failed(&self, filters: u64) {
        self.filters_failed.inc_by(filters);
    }

    pub(crate) fn replayed(&self) {
        self.replayed.inc();
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn batch(&self, messages: usize, took: Duration) {
        self.batch_messages.observe(messages as f64);
        self.batch_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn batch_error(&self, kind: ErrorKind) {
        self.batch_errors.with_label_values(&[kind.name()]).inc();
    }

    /// Whether a line about a request that was refused so may be logged now, and then how many were left
    /// out before it.
    pub(crate) fn line(&self, code: &'static str) -> Option<u64> {
        let taken = self.quota.take(code, Instant::now());
        self.left_out.with_label_values(&[code]).inc_by(u64::from(taken.is_none()));
        taken
    }

    pub(crate) fn store_error(&self, kind: ErrorKind) {
        self.store_errors.with_label_values(&[kind.name()]).inc();
    }
}

fn seconds() -> Vec<f64> {
    vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
}

fn named(name: &str) -> String {
    format!("sluicegate_gateway_{name}")
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::new(named(name), help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(named(name), help), &[label])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

/// With all that can happen, so that they start at zero.
fn rejections(registry: &Registry) -> prometheus::Result<IntCounterVec> {
    let opts = Opts::new(
        named("authentication_failures_total"),
        "Tokens that were refused, by what was shown and why",
    );
    let counters = IntCounterVec::new(opts, &["credential", "reason"])?;
    for credential in Credential::ALL {
        for why in credential.rejections() {
            counters.with_label_values(&[credential.name(), why.name()]).inc_by(0);
        }
    }
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: Vec<f64>,
) -> prometheus::Result<Histogram> {
    let histogram = Histogram::with_opts(HistogramOpts::new(named(name), help).buckets(buckets))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}
