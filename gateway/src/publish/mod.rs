//! Publish: from a valid message to one atomic write, and only then to a 202.
//!
//! The ids are made before the write, so repeating a write whose answer was lost is recognised by the
//! store. The targets are chosen from a cached configuration; the store refuses them if the
//! configuration has changed meanwhile, and they are chosen again.

mod configurations;
mod dedup;
mod writer;

use std::time::Duration;

use bytes::Bytes;
pub(crate) use configurations::Configurations;
pub(crate) use dedup::{event_key, idempotency_key};
use shared::{
    domain::{Message, MessageHeader, Payload},
    id::{AppId, MessageId},
    store::{
        Configuration, Dedup, ErrorKind, MAX_FAN_OUT, Publication, Published, StoreError, Target,
    },
    time::Millis,
};
use tokio::time::Instant;
pub(crate) use writer::Writer;

use crate::{
    error::{ApiError, Result},
    metrics::Metrics,
};

/// How long a request may be repeated while the store's answers are lost.
const DEADLINE: Duration = Duration::from_secs(10);
/// Pause before the first repetition; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How often the targets are chosen again for one message.
const MAX_STALE: usize = 8;
/// Where a message header carries the time before which it is not to be sent.
pub(crate) const DELIVER_AT: &str = "deliverAt";

/// A message that was not given an id yet.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) event_type: String,
    pub(crate) channels: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) event_id: Option<String>,
    pub(crate) deliver_at: Option<Millis>,
    /// The exact bytes to deliver.
    pub(crate) payload: Bytes,
    /// The request's idempotency key, if it has one.
    pub(crate) idempotency: Option<Dedup>,
}

impl Event {
    fn header(&self, id: MessageId, app: AppId) -> MessageHeader {
        let mut extra = serde_json::Map::new();
        if let Some(time) = self.deliver_at {
            extra.insert(DELIVER_AT.to_owned(), time.0.into());
        }
        MessageHeader {
            id,
            app,
            event_type: self.event_type.clone(),
            channels: self.channels.clone(),
            tags: self.tags.clone(),
            event_id: self.event_id.clone(),
            // The id's own time, so that a repeated request can be answered from the id alone.
            created_at: Millis(id.made_at_ms()),
            extra,
        }
    }

    /// The idempotency key comes first: a repeated request with an event id is answered again, not
    /// refused.
    fn dedup(&self) -> Vec<Dedup> {
        let event = self.event_id.as_deref().map(|id| event_key(id, &self.payload));
        self.idempotency.clone().into_iter().chain(event).collect()
    }
}

/// The stage, one per worker.
pub(crate) struct Publish {
    configurations: Configurations,
    writer: Writer,
    metrics: Metrics,
}

/// What became of one write.
enum Step {
    /// With so many deliveries.
    Accepted(MessageHeader, usize),
    /// The same request published it before.
    Known(MessageHeader),
    ChooseAgain,
}

impl Publish {
    pub(crate) fn new(configurations: Configurations, writer: Writer, metrics: Metrics) -> Self {
        Self { configurations, writer, metrics }
    }

    /// Stores a message of the application with this id or uid; answers what stands in the log.
    pub(crate) async fn publish(&self, application: &str, event: &Event) -> Result<MessageHeader> {
        let result = self.until_settled(application, event).await;
        if let Err(error) = &result {
            self.metrics.refused(error.code());
        }
        result
    }

    async fn until_settled(&self, application: &str, event: &Event) -> Result<MessageHeader> {
        let id = MessageId::new();
        let deadline = Instant::now() + DEADLINE;
        let mut pause = FIRST_PAUSE;
        let mut stale = 0;
        let mut in_doubt = false;
        loop {
            match self.once(application, event, id).await {
                Ok(Step::Accepted(header, deliveries)) => {
                    self.metrics.accepted(deliveries);
                    return Ok(header);
                }
                Ok(Step::Known(header)) => {
                    self.metrics.replayed();
                    return Ok(header);
                }
                Ok(Step::ChooseAgain) if stale < MAX_STALE => stale += 1,
                Ok(Step::ChooseAgain) => return Err(changes_all_the_time().into()),
                // Another message holds one of its keys: so this one was not stored, then or now.
                Err(error @ (ApiError::Conflict(_) | ApiError::Invalid(_))) => return Err(error),
                // It may have happened: the same message again, which the store recognises. Once in
                // doubt, a later no tells nothing of the first try.
                Err(error) if in_doubt || is_ambiguous(&error) => {
                    in_doubt = true;
                    if Instant::now() + pause >= deadline {
                        return Err(unknown_outcome(error).into());
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One try, with the targets as the configuration has them now.
    async fn once(&self, application: &str, event: &Event, id: MessageId) -> Result<Step> {
        let configuration = self.configurations.resolve(application).await?;
        let header = event.header(id, configuration.application.id);
        self.write(application, event, header, &configuration).await
    }

    async fn write(
        &self,
        application: &str,
        event: &Event,
        header: MessageHeader,
        configuration: &Configuration,
    ) -> Result<Step> {
        let targets = targets(configuration, &header, &event.payload, event.deliver_at)?;
        let deliveries = targets.len();
        let message = Message { header: header.clone(), payload: event.payload.clone() };
        let record = message.encode().map_err(|error| {
            StoreError::caused_by(ErrorKind::Corrupt, "the message cannot be encoded", error)
        })?;
        let app = message.header.app;
        let publication = Publication {
            header: message.header,
            record,
            version: configuration.version,
            targets,
            dedup: event.dedup(),
        };
        Ok(match self.writer.write(publication).await? {
            Published::Accepted => Step::Accepted(header, deliveries),
            Published::Stale => {
                self.configurations.reload(app, configuration.version).await;
                Step::ChooseAgain
            }
            Published::NoApplication => {
                self.configurations.forget(app, application).await;
                Step::ChooseAgain
            }
            Published::Duplicate { key, message, same } => {
                match (event.idempotency.is_some() && key == 0, same) {
                    (true, true) => Step::Known(event.header(message, app)),
                    (true, false) => return Err(other_body()),
                    (false, _) => {
                        let detail = "a message with this eventId was already published";
                        return Err(ApiError::Conflict(detail.to_owned()));
                    }
                }
            }
        })
    }
}

/// Where a message goes.
fn targets(
    configuration: &Configuration,
    header: &MessageHeader,
    payload: &[u8],
    not_before: Option<Millis>,
) -> Result<Vec<Target>> {
    let payload = Payload::new(payload);
    let targets: Vec<_> = configuration
        .endpoints
        .values()
        .filter(|endpoint| endpoint.wants(header))
        .map(|endpoint| {
            let strand = endpoint.strand(&payload);
            Target { endpoint: endpoint.id, strand, not_before }
        })
        .collect();
    if targets.len() > MAX_FAN_OUT {
        let msg = format!("{} endpoints want it, more than {MAX_FAN_OUT}", targets.len());
        return Err(ApiError::field("eventType", msg));
    }
    Ok(targets)
}

fn other_body() -> ApiError {
    let msg = "this idempotency key was used for a request with another body";
    ApiError::Invalid(vec![crate::error::Fault {
        loc: vec!["header".into(), "idempotency-key".into()],
        msg: msg.to_owned(),
        kind: "value_error",
    }])
}

fn is_ambiguous(error: &ApiError) -> bool {
    matches!(error, ApiError::Store(error) if error.kind() == ErrorKind::Ambiguous)
}

fn unknown_outcome(last: ApiError) -> StoreError {
    StoreError::new(ErrorKind::Ambiguous, format!("the message may have been stored; then: {last}"))
}

fn changes_all_the_time() -> StoreError {
    StoreError::new(ErrorKind::Unavailable, "the configuration changed during each try")
}
