//! A collector of traces that keeps what arrives by OTLP over HTTP.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    web::{self, Bytes, Data},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::{sync::mpsc, time::timeout};

use crate::process::PATIENCE;

/// A span that was exported.
#[derive(Debug, Clone)]
pub(crate) struct Exported {
    pub(crate) resource: HashMap<String, String>,
    pub(crate) attributes: HashMap<String, String>,
    pub(crate) span: Span,
}

impl Exported {
    /// Its id, as headers write it.
    pub(crate) fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    pub(crate) fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    pub(crate) fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }
}

/// Collects on a free port, in the test's own system.
pub(crate) struct Collector {
    address: SocketAddr,
    server: ServerHandle,
    arrivals: mpsc::UnboundedReceiver<Exported>,
}

struct Shared {
    arrivals: mpsc::UnboundedSender<Exported>,
    refusals_left: AtomicUsize,
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::refusing(0)
    }

    /// Answers 503 so many times.
    pub(crate) fn refusing(times: usize) -> Self {
        let (send, arrivals) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { arrivals: send, refusals_left: AtomicUsize::new(times) });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(Data::from(shared.clone()))
                .route("/v1/traces", web::post().to(collect))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Self { address, server: handle, arrivals }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until there are so many spans of one trace. None of another may come.
    pub(crate) async fn trace(&mut self, id: &str, count: usize) -> Vec<Exported> {
        let mut found = Vec::new();
        while found.len() < count {
            let arrival = timeout(PATIENCE, self.arrivals.recv()).await;
            let span = arrival.unwrap_or_else(|_| panic!("only {}: {found:#?}", found.len()));
            let span = span.expect("the collector runs");
            assert_eq!(span.trace(), id, "{span:#?}");
            found.push(span);
        }
        found
    }

    /// Waits for the next span, of whatever trace.
    pub(crate) async fn next(&mut self) -> Exported {
        let arrival = timeout(PATIENCE, self.arrivals.recv()).await;
        arrival.expect("no span arrives").expect("the collector runs")
    }

    /// What has arrived and was not asked for.
    pub(crate) fn rest(&mut self) -> Vec<Exported> {
        std::iter::from_fn(|| self.arrivals.try_recv().ok()).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn collect(shared: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    assert_eq!(request.headers().get("content-type").unwrap(), "application/x-protobuf");
    assert_eq!(request.headers().get("x-key").unwrap(), "k=1");
    let less = |left: usize| left.checked_sub(1);
    if shared.refusals_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    for spans in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let resource = texts(spans.resource.unwrap().attributes);
        for span in spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let (resource, attributes) = (resource.clone(), texts(span.attributes.clone()));
            // The test may have ended.
            let _ = shared.arrivals.send(Exported { resource, attributes, span });
        }
    }
    HttpResponse::Ok().content_type("application/x-protobuf").finish()
}

fn texts(attributes: Vec<KeyValue>) -> HashMap<String, String> {
    let text = |value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let pairs = attributes.into_iter();
    pairs.map(|it| (it.key, text(it.value.unwrap().value.unwrap()))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
