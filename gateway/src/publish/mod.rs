//! Publish: from a valid message to one atomic write, and only then to a 202.
//!
//! The ids are made before the write, so repeating a write whose answer was lost is recognised by the
//! store. The targets are chosen from a cached configuration; the store refuses them if the
//! configuration has changed meanwhile, and they are chosen again. Where they are more than one write
//! takes, or the configuration changes again and again, the owner of a lane chooses them.

#[cfg(feature = "benchmarks")]
pub(crate) mod benchmarks;
mod configurations;
mod dedup;
mod event;
mod subscriptions;
mod writer;

use std::time::{Duration, SystemTime};

pub(crate) use configurations::Configurations;
pub(crate) use dedup::{event_key, idempotency_key};
pub(crate) use event::{Event, Expiry, Wishes};
use shared::{
    domain::{Message, MessageHeader, Payload},
    id::MessageId,
    store::{
        Configuration, ErrorKind, FanOut, MAX_FAN_OUT, MAX_FILTER_STEPS, Publication, Published,
        StoreError, Target,
    },
    time::Millis,
    trace::{Span, Stage, TraceContext, Tracer},
};
use tokio::time::Instant;
pub(crate) use writer::Writer;

use self::{configurations::Kept, subscriptions::Subscriptions};
use crate::{
    error::{ApiError, Result},
    metrics::Metrics,
};

/// How long a request may be repeated while the store's answers are lost.
const DEADLINE: Duration = Duration::from_secs(10);
/// Pause before the first repetition; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How often the targets are chosen for one message, before that is left to a lane's owner.
const MOST_CHOICES: usize = 2;
/// How often an application that was deleted is looked for again: another may have its uid.
const MOST_SEARCHES: usize = 8;

/// The stage, one per worker.
pub(crate) struct Publish {
    configurations: Configurations,
    writer: Writer,
    metrics: Metrics,
    /// The quota of applications that have none of their own; 0: none.
    quota_bytes: u64,
    tracer: Tracer,
}

/// What became of one write.
enum Step {
    /// With so many deliveries.
    Accepted(MessageHeader, usize),
    /// The same request published it before.
    Known(MessageHeader),
    ChooseAgain,
    SearchAgain,
}

impl Publish {
    pub(crate) fn new(
        configurations: Configurations,
        writer: Writer,
        metrics: Metrics,
        quota_bytes: u64,
        tracer: Tracer,
    ) -> Self {
        Self { configurations, writer, metrics, quota_bytes, tracer }
    }

    fn quota(&self, configuration: &Configuration) -> Option<u64> {
        let own = configuration.application.settings.quota_bytes;
        Some(own.unwrap_or(self.quota_bytes)).filter(|quota| *quota > 0)
    }

    /// Fails if there is no application with this id or uid.
    pub(crate) async fn find(&self, application: &str) -> Result<()> {
        self.configurations.resolve(application).await.map(|_| ())
    }

    /// Stores a message of the application with this id or uid; answers what stands in the log.
    /// It came in at `since`.
    pub(crate) async fn publish(
        &self,
        application: &str,
        event: &Event,
        since: Instant,
    ) -> Result<MessageHeader> {
        let started = Instant::now();
        self.metrics.ingested(started.duration_since(since));
        let span =
            self.tracer.child(event.trace.as_ref()).map(|context| (context, SystemTime::now()));
        let trace = span.as_ref().map(|(context, _)| context).or(event.trace.as_ref());
        let result = self.until_settled(application, event, trace).await;
        self.metrics.published(started.elapsed());
        if let Err(error) = &result {
            self.metrics.refused(error.code());
        }
        if let Some((context, began)) = span {
            self.record(event, context, began, &result);
        }
        result
    }

    fn record(
        &self,
        event: &Event,
        context: TraceContext,
        began: SystemTime,
        result: &Result<MessageHeader>,
    ) {
        let mut span = Span::until_now(Stage::Publish, context, began);
        span.parent = event.trace.clone();
        span.text("messaging.system", "sluicegate");
        span.text("messaging.operation.type", "send");
        span.text("messaging.operation.name", Stage::Publish.name());
        span.number("messaging.message.body.size", event.payload.len());
        span.text("sluicegate.event_type", &event.event_type);
        match result {
            Ok(header) => {
                span.text("messaging.message.id", header.id.to_string());
                span.text("messaging.destination.name", header.app.to_string());
            }
            Err(error) => span.failure = Some(error.code()),
        }
        self.tracer.record(span);
    }

    async fn until_settled(
        &self,
        application: &str,
        event: &Event,
        trace: Option<&TraceContext>,
    ) -> Result<MessageHeader> {
        let id = MessageId::new();
        let deadline = Instant::now() + DEADLINE;
        let mut pause = FIRST_PAUSE;
        let (mut choices, mut searches) = (1, 1);
        let mut in_doubt = false;
        loop {
            let later = choices > MOST_CHOICES;
            match self.once(application, event, trace, id, later).await {
                Ok(Step::Accepted(header, deliveries)) => {
                    self.metrics.accepted(deliveries);
                    return Ok(header);
                }
                Ok(Step::Known(header)) => {
                    self.metrics.replayed();
                    return Ok(header);
                }
                Ok(Step::ChooseAgain) => choices += 1,
                Ok(Step::SearchAgain) if searches < MOST_SEARCHES => searches += 1,
                Ok(Step::SearchAgain) => return Err(changes_all_the_time().into()),
                // Another message holds one of its keys: so this one was not stored, then or now.
                Err(error @ (ApiError::Conflict(_) | ApiError::Invalid(_))) => return Err(error),
                // A stored message is known before its application's quota is asked.
                Err(ApiError::OverQuota) => return Err(ApiError::OverQuota),
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

    /// One try, with the targets as the configuration has them now, or without if a lane's owner is to
    /// choose them `later`.
    async fn once(
        &self,
        application: &str,
        event: &Event,
        trace: Option<&TraceContext>,
        id: MessageId,
        later: bool,
    ) -> Result<Step> {
        let kept = self.configurations.resolve(application).await?;
        let mut header = event.header(id, kept.configuration.application.id);
        header.trace = trace.cloned().map(Box::new);
        self.write(application, event, header, &kept, later).await
    }

    /// Where a message goes; `None` where these are more than one write takes, or where it takes filters
    /// too long to say, so that a lane's owner chooses them by and by. The payload is parsed if an
    /// endpoint must look into it, and once for all of them.
    fn targets(
        &self,
        subscriptions: &Subscriptions,
        header: &MessageHeader,
        event: &Event,
    ) -> Option<Vec<Target>> {
        let (payload, not_before) = (Payload::new(&event.payload), event.wishes.deliver_at);
        let targets = subscriptions
            .candidates(header)
            .filter_map(|endpoint| {
                let target = Target::choose(endpoint, header, &payload, not_before);
                let is_long = payload.filter_steps() > MAX_FILTER_STEPS;
                if is_long { Some(None) } else { target.map(Some) }
            })
            .take(MAX_FAN_OUT + 1)
            .collect::<Option<Vec<_>>>()
            .filter(|targets| targets.len() <= MAX_FAN_OUT);
        if payload.filter_failures() > 0 {
            self.metrics.filters_failed(payload.filter_failures());
        }
        targets
    }

    async fn write(
        &self,
        application: &str,
        event: &Event,
        header: MessageHeader,
        Kept { configuration, subscriptions }: &Kept,
        later: bool,
    ) -> Result<Step> {
        let chosen = match later {
            true => None,
            false => self.targets(subscriptions, &header, event),
        };
        let fan_out = match chosen {
            Some(_) => None,
            None => Some(self::fan_out(configuration, &header, event.wishes.deliver_at)),
        };
        let targets = chosen.unwrap_or_default();
        let deliveries = targets.len();
        let message = Message { header: header.clone(), payload: event.payload.clone() };
        let record = message.encode().map_err(|error| {
            StoreError::caused_by(ErrorKind::Corrupt, "the message cannot be encoded", error)
        })?;
        let app = message.header.app;
        let terms = event.wishes.terms(message.header.created_at, self.quota(configuration));
        // The log shows no headers, which may hold secrets, and needs no trace.
        let mut log = message.header;
        log.options.headers.clear();
        log.trace = None;
        let publication = Publication {
            header: log,
            record,
            version: configuration.version,
            targets,
            fan_out,
            terms,
            dedup: event.dedup(),
        };
        Ok(match self.writer.write(publication).await? {
            Published::Accepted => Step::Accepted(header, deliveries),
            Published::OverQuota => return Err(ApiError::OverQuota),
            Published::Stale => {
                self.configurations.reload(app, configuration.version).await;
                Step::ChooseAgain
            }
            Published::NoApplication => {
                self.configurations.forget(app, application).await;
                Step::SearchAgain
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

/// What the owner of a lane needs to choose the targets.
fn fan_out(
    configuration: &Configuration,
    header: &MessageHeader,
    not_before: Option<Millis>,
) -> FanOut {
    let newest = configuration.endpoints.values().map(|endpoint| endpoint.created_at).max();
    FanOut {
        app: header.app,
        message: header.id,
        version: configuration.version,
        until: newest.unwrap_or_default().max(header.created_at),
        after: None,
        not_before,
    }
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
