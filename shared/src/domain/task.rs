//! A task: many deliveries of one endpoint that are sent again, a few at a time.

use serde::{Deserialize, Serialize};

use super::{AttemptStatus, DeadReason, Delivery, Destination, Extra, Generation, Queue, Strand};
use crate::{
    id::{AppId, EndpointId, MessageId, TaskId},
    time::Millis,
};

/// What was asked for. It never changes; how far it got stands in [`Progress`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The tenant.
    pub app: AppId,
    /// Whose deliveries.
    #[serde(rename = "ep")]
    pub endpoint: EndpointId,
    /// Which of its messages are looked at.
    pub kind: TaskKind,
    /// Which of those are sent.
    pub selection: Selection,
    /// When it was asked for.
    #[serde(rename = "at")]
    pub created_at: Millis,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Task {
    /// Whose deliveries.
    pub fn destination(&self) -> Destination {
        Destination { app: self.app, endpoint: self.endpoint }
    }

    /// The queue that it adds to.
    pub fn queue(&self) -> Queue {
        self.destination().queue(Strand::Replay)
    }

    /// The delivery of a message that it sends.
    pub fn delivery(&self, message: MessageId, generation: Generation) -> Delivery {
        Delivery {
            app: self.app,
            endpoint: self.endpoint,
            strand: Strand::Replay,
            message,
            generation,
        }
    }
}

/// Which messages a task looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// Those that were given up. They leave the dead letters when they are sent.
    Recover,
    /// Those that the endpoint wants and that were never meant for it.
    ReplayMissing,
    /// Those that were sent to it and ended, well or badly.
    BulkReplay,
}

impl TaskKind {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recover => "endpoint.recover",
            Self::ReplayMissing => "endpoint.replay",
            Self::BulkReplay => "endpoint.bulk-replay",
        }
    }
}

/// What must hold of a message, or of its dead letter, for a task to send it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Selection {
    /// Accepted, or given up, at this time or later…
    pub since: Millis,
    /// …and before this one.
    pub until: Millis,
    /// Of one of these types; of any, if none are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// In this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// With this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Given up for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeadReason>,
    /// Its last attempt ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AttemptStatus>,
    /// Its last attempt was answered with a status of this class: 0 for no answer, 200 for 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_class: Option<u16>,
}

impl Selection {
    /// Whether it asks for what stands in a message's header.
    pub fn asks_header(&self) -> bool {
        !self.event_types.is_empty() || self.channel.is_some() || self.tag.is_some()
    }
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Whether it goes on.
    pub status: TaskStatus,
    /// How many steps were made.
    pub steps: u64,
    /// How many messages there are to look at: known after the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// How many were looked at.
    pub looked_at: u64,
    /// How many are sent again.
    pub sent: u64,
    /// How many cannot be, because their bodies are gone.
    pub gone: u64,
    /// Where the next step begins; text of a cursor, empty before the first step.
    #[serde(default)]
    pub place: String,
    /// When the last step was made.
    pub updated_at: Millis,
}

impl Progress {
    /// Of a task that has just begun.
    pub fn begun(at: Millis) -> Self {
        Self {
            status: TaskStatus::Running,
            steps: 0,
            total: None,
            looked_at: 0,
            sent: 0,
            gone: 0,
            place: String::new(),
            updated_at: at,
        }
    }
}

/// Whether a task goes on, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskStatus {
    /// It goes on.
    Running,
    /// All was looked at.
    Finished,
    /// Somebody ended it before that.
    Cancelled,
    /// Its endpoint was deleted.
    EndpointDeleted,
}

impl TaskStatus {
    const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Cancelled, Self::EndpointDeleted];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::EndpointDeleted => "endpoint-deleted",
        }
    }

    /// Reads [`TaskStatus::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// A task and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackedTask {
    /// What was asked for.
    pub task: Task,
    /// How far it is.
    pub progress: Progress,
}
