//! Spans as OTLP writes them, with what they all have in common.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource as ProtoResource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span as ProtoSpan, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};
use shared::trace::{Span, Stage, TraceContext, Value};

use crate::{arguments::Role, config::TraceSettings};

/// The parent's place is told…
const KNOWS_REMOTE: u32 = 0x100;
/// …and it is another process.
const IS_REMOTE: u32 = 0x200;

/// What all spans of this process have in common.
pub(super) struct Resource(ProtoResource);

impl Resource {
    /// What the settings say of this process, and what it knows itself.
    pub(super) fn new(settings: &TraceSettings, role: Role) -> Self {
        let role = match role {
            Role::AllInOne => "all-in-one",
            Role::Gateway => "gateway",
            Role::Dispatcher => "dispatcher",
        };
        let own = [
            ("service.name", settings.service_name.clone()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", uuid::Uuid::now_v7().to_string()),
            ("sluicegate.role", role.to_owned()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let set: Vec<_> = settings.attributes().collect();
        let own = own.into_iter().filter(|(name, _)| set.iter().all(|(other, _)| other != name));
        let attributes = own.chain(set.clone()).map(|(name, value)| text(name, value)).collect();
        Self(ProtoResource { attributes, ..ProtoResource::default() })
    }

    /// The request that exports these spans.
    pub(super) fn request(&self, spans: impl Iterator<Item = Span>) -> ExportTraceServiceRequest {
        let scope = InstrumentationScope {
            name: "sluicegate".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = ScopeSpans {
            scope: Some(scope),
            spans: spans.map(span).collect(),
            ..ScopeSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.0.clone()),
                scope_spans: vec![spans],
                ..ResourceSpans::default()
            }],
        }
    }
}

fn span(span: Span) -> ProtoSpan {
    let kind = match span.stage {
        Stage::Ingest => SpanKind::Server,
        Stage::Publish => SpanKind::Producer,
        Stage::Pull => SpanKind::Consumer,
        Stage::Attempt => SpanKind::Client,
        Stage::Settle => SpanKind::Internal,
    };
    // The producer, and who published, are other processes; the others come after one another in one.
    let remote = matches!(span.stage, Stage::Ingest | Stage::Pull) && span.parent.is_some();
    let attributes = span.attributes.into_iter().map(|(name, value)| attribute(name, value));
    let failure = span.failure.map(|why| text("error.type".to_owned(), why.to_owned()));
    ProtoSpan {
        trace_id: span.context.trace_bytes().into(),
        span_id: span.context.span_bytes().into(),
        trace_state: span.context.state().unwrap_or_default().to_owned(),
        parent_span_id: span.parent.map_or_else(Vec::new, |parent| parent.span_bytes().into()),
        flags: flags(&span.context) | if remote { IS_REMOTE } else { 0 },
        name: span.stage.name().to_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(span.began),
        end_time_unix_nano: nanos(span.ended),
        attributes: attributes.chain(failure).collect(),
        links: span.link.iter().map(link).collect(),
        status: span
            .failure
            .map(|why| Status { message: why.to_owned(), code: StatusCode::Error.into() }),
        ..ProtoSpan::default()
    }
}

fn link(to: &TraceContext) -> Link {
    Link {
        trace_id: to.trace_bytes().into(),
        span_id: to.span_bytes().into(),
        trace_state: to.state().unwrap_or_default().to_owned(),
        flags: flags(to) | IS_REMOTE,
        ..Link::default()
    }
}

fn flags(context: &TraceContext) -> u32 {
    u32::from(context.flags()) | KNOWS_REMOTE
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn attribute(name: &str, value: Value) -> KeyValue {
    match value {
        Value::Text(value) => text(name.to_owned(), value),
        Value::Number(number) => keyed(name.to_owned(), any_value::Value::IntValue(number)),
    }
}

fn text(name: String, value: String) -> KeyValue {
    keyed(name, any_value::Value::StringValue(value))
}

fn keyed(key: String, value: any_value::Value) -> KeyValue {
    KeyValue { key, value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
