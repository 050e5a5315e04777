//! A span: one stage of a message's path, and how long it took.

use std::time::SystemTime;

use super::TraceContext;

/// Which stage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A request that brings messages, from its head to its answer.
    Ingest,
    /// One message, until it is stored.
    Publish,
    /// One delivery, from the decision to send it to the start of the attempt.
    Pull,
    /// One request to a receiver.
    Attempt,
    /// What became of it, until the store has agreed.
    Settle,
}

impl Stage {
    /// The span's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Publish => "publish",
            Self::Pull => "pull",
            Self::Attempt => "attempt",
            Self::Settle => "settle",
        }
    }
}

/// What an attribute is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// A stage that has ended.
#[derive(Debug, Clone)]
pub struct Span {
    /// Itself.
    pub context: TraceContext,
    /// The span before it, of the same trace; none for a root.
    pub parent: Option<TraceContext>,
    /// Where the message comes from that it took out of the queue.
    pub link: Option<TraceContext>,
    /// Which stage.
    pub stage: Stage,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Why it did not do what it should, by a name of a closed set.
    pub failure: Option<&'static str>,
    /// What more is known of it, by the names of OpenTelemetry's conventions where these have some.
    pub attributes: Vec<(&'static str, Value)>,
}

impl Span {
    /// A stage that began then and ends now.
    pub fn until_now(stage: Stage, context: TraceContext, began: SystemTime) -> Self {
        Self {
            context,
            parent: None,
            link: None,
            stage,
            began,
            ended: SystemTime::now().max(began),
            failure: None,
            attributes: Vec::new(),
        }
    }

    /// Adds a text.
    pub fn text(&mut self, name: &'static str, text: impl Into<String>) {
        self.attributes.push((name, Value::Text(text.into())));
    }

    /// Adds a number.
    pub fn number(&mut self, name: &'static str, number: impl TryInto<i64>) {
        self.attributes.push((name, Value::Number(number.try_into().unwrap_or(i64::MAX))));
    }
}
