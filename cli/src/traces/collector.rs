//! The collector, as [OTLP over HTTP](https://opentelemetry.io/docs/specs/otlp/#otlphttp) speaks to it.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use reqwest::{
    Client, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect::Policy,
};
use url::Url;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses between the tries of one batch.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Where spans go.
pub(super) struct Collector {
    client: Client,
    url: Url,
}

/// Why it did not take a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the collector cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the collector answered {0}")]
    Status(StatusCode),
}

impl Refusal {
    /// Whether the standard lets us try the same again.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

impl Collector {
    pub(super) fn new(url: Url, headers: HeaderMap) -> reqwest::Result<Self> {
        let client = Client::builder()
            .default_headers(headers)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, url })
    }

    /// Sends a batch; answers how many of its spans were rejected.
    pub(super) async fn send(&self, request: ExportTraceServiceRequest) -> Result<u64, Refusal> {
        let body = bytes::Bytes::from(request.encode_to_vec());
        let mut pauses = PAUSES.iter();
        loop {
            let result = self.once(body.clone()).await;
            match (&result, pauses.next()) {
                (Err(refusal), Some(pause)) if refusal.is_passing() => {
                    tokio::time::sleep(*pause).await;
                }
                _ => return result,
            }
        }
    }

    async fn once(&self, body: bytes::Bytes) -> Result<u64, Refusal> {
        // The address of a collector may hold what is secret.
        let unreachable = |error: reqwest::Error| Refusal::Unreachable(error.without_url());
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, protobuf).body(body);
        let answer = request.send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(Refusal::Status(answer.status()));
        }
        // Whatever else the answer says, the batch was taken.
        let text = answer.bytes().await.unwrap_or_default();
        let partial =
            ExportTraceServiceResponse::decode(text).ok().and_then(|it| it.partial_success);
        Ok(partial.map_or(0, |partial| partial.rejected_spans.max(0) as u64))
    }
}
