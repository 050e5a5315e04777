//! Fan-out: a message whose targets are not chosen when it is published, because they are more than
//! one write takes, or change too fast.
//!
//! Its publication writes an entry into the stream of a lane of the application's shard. The lane's
//! owner visits the endpoints in the order of their ids, a chunk at a time: one write appends the
//! chunk's deliveries to their lanes and replaces the entry by one with a later cursor. So a crash
//! neither loses an endpoint nor visits one twice.
//!
//! Endpoints are chosen as the configuration is when they are visited. One that was created after the
//! message gets nothing: later than [`FanOut::until`], which is the time of the message, or that of the
//! newest endpoint that its gateway knew. The latter so that what a producer created first gets the
//! message, however the clocks of two gateways differ.

use super::{MAX_FAN_OUT, Target, Version};
use crate::{
    domain::{Endpoint, MessageHeader, Payload},
    id::{AppId, EndpointId, MessageId},
    placement::Lane,
    store::EntryId,
    time::Millis,
};

/// How many endpoints are looked at for one chunk, wanted or not: bounds how long it takes.
const MOST_VISITED: usize = 16_384;

/// How many steps filters may take to choose the targets of one message at a time: some milliseconds.
pub const MAX_FILTER_STEPS: usize = 200_000;

/// What the entry carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FanOut {
    /// The tenant.
    pub app: AppId,
    /// What is sent.
    pub message: MessageId,
    /// The configuration must be at least this one.
    pub version: Version,
    /// Endpoints that were created after this time get nothing.
    pub until: Millis,
    /// Endpoints up to this one were visited.
    pub after: Option<EndpointId>,
    /// The message is not to be sent before this time.
    pub not_before: Option<Millis>,
}

/// One step of a fan-out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expand {
    /// Where the entry is.
    pub entry: EntryId,
    /// What it carries.
    pub fan_out: FanOut,
    /// The next deliveries; at most [`MAX_FAN_OUT`].
    pub targets: Vec<Target>,
    /// Endpoints up to this one are visited with this step; `None`: all.
    pub next: Option<EndpointId>,
}

/// What became of an [`Expand`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expanded {
    /// The deliveries are in their streams.
    Done,
    /// The entry is not there any more, or carries something else: nothing was changed. Also the
    /// answer to repeating a step that had happened.
    NotThere,
}

impl FanOut {
    /// The lane whose owner chooses the targets.
    pub fn lane(&self) -> Lane {
        Lane::of_message(self.app, self.message)
    }

    /// Chooses the next targets among the endpoints behind the cursor, which come in the order of
    /// their ids; and says where to go on. `payload` is the message's, and nobody has looked into it.
    pub fn choose<'a>(
        &self,
        message: &MessageHeader,
        payload: &Payload<'_>,
        endpoints: impl Iterator<Item = &'a Endpoint>,
    ) -> (Vec<Target>, Option<EndpointId>) {
        let mut targets = Vec::new();
        for (visited, endpoint) in endpoints.enumerate() {
            if endpoint.created_at <= self.until {
                targets.extend(Target::choose(endpoint, message, payload, self.not_before));
            }
            let is_full = targets.len() == MAX_FAN_OUT || visited + 1 == MOST_VISITED;
            if is_full || payload.filter_steps() > MAX_FILTER_STEPS {
                return (targets, Some(endpoint.id));
            }
        }
        (targets, None)
    }
}

impl Expand {
    /// What the entry carries after this step, unless it was the last.
    pub fn rest(&self) -> Option<FanOut> {
        self.next.map(|after| FanOut { after: Some(after), ..self.fan_out })
    }
}
