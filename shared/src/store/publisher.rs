//! Publishing: what a gateway writes.

use std::time::Duration;

use bytes::Bytes;

use super::{FanOut, Result, Version};
use crate::{
    domain::{Delivery, Endpoint, MessageHeader, Payload, Strand},
    id::{AppId, EndpointId, MessageId},
    time::Millis,
};

/// To how many endpoints one message can go in one atomic write.
pub const MAX_FAN_OUT: usize = 512;

/// A message with its fan-out, as one atomic write.
#[derive(Debug, Clone)]
pub struct Publication {
    /// What the log of messages shows; carries the ids of message and application.
    pub header: MessageHeader,
    /// [`crate::domain::Message::encode`] of the message.
    pub record: Bytes,
    /// The configuration from which `targets` were chosen.
    pub version: Version,
    /// Where it goes; at most [`MAX_FAN_OUT`].
    pub targets: Vec<Target>,
    /// Instead of `targets`: the owner of a lane chooses them later. `version` need not be the latest.
    pub fan_out: Option<FanOut>,
    /// What it asks of the store beyond the ordinary.
    pub terms: Terms,
    /// Keys under which this message must not be published again.
    pub dedup: Vec<Dedup>,
}

/// How a message is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Its targets are not to be sent before so long from now: so much longer its body lives.
    pub delay: Duration,
    /// How long its body lives once its last delivery is settled, in whole minutes, at least one and
    /// less than 2^20; [`super::Lifetimes::retention`] if nothing is said.
    pub retention: Option<Duration>,
    /// Most bytes of records that the application's messages with open deliveries may have, this one
    /// included. Where there is a quota, what this message has counts until its last delivery is
    /// settled, but no longer than its body lives.
    pub quota: Option<u64>,
}

impl Terms {
    /// The retention in whole minutes; 0: as all others.
    pub fn minutes(&self) -> u32 {
        let minutes = self.retention.map_or(0, |retention| retention.as_secs().div_ceil(60).max(1));
        u32::try_from(minutes).unwrap_or(u32::MAX).min((1 << 20) - 1)
    }
}

/// One destination of a new message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Which of its queues.
    pub strand: Strand,
    /// Not to be sent before this time; `None` means at once.
    pub not_before: Option<Millis>,
}

impl Target {
    /// The target that an endpoint makes of a message, if it wants it. Gateways and lanes choose with
    /// this and nothing else.
    pub fn choose(
        endpoint: &Endpoint,
        message: &MessageHeader,
        payload: &Payload<'_>,
        not_before: Option<Millis>,
    ) -> Option<Self> {
        endpoint.wants(message, payload).then(|| {
            let strand = endpoint.strand(payload);
            Self { endpoint: endpoint.id, strand, not_before }
        })
    }
}

/// First 16 bytes of a hash of the request that was made under a key.
pub type Fingerprint = [u8; 16];

/// A key that names a message for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// The key, unique in the application; made of visible ASCII by the gateway.
    pub key: String,
    /// What tells a repetition from another request under the same key.
    pub fingerprint: Fingerprint,
    /// How long it is remembered.
    pub lifetime: Duration,
}

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It is stored, as durably as [`super::Store::durability`] says. Also the answer to repeating a
    /// publication that had happened.
    Accepted,
    /// One of the keys is taken by another message.
    Duplicate {
        /// Which of [`Publication::dedup`].
        key: usize,
        /// The message that holds it.
        message: MessageId,
        /// Whether that message was published by the same request.
        same: bool,
    },
    /// The application's configuration has changed: load it and choose the targets again.
    Stale,
    /// There is no such application.
    NoApplication,
    /// The application's messages hold too many bytes: [`Terms::quota`].
    OverQuota,
}

/// A wish to send a message to an endpoint once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resend {
    /// The delivery with its new generation; its strand says with what it waits.
    pub delivery: Delivery,
}

/// What became of a resend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resent {
    /// It is on its way.
    Queued,
    /// The message's body is gone.
    NoMessage,
    /// There is no such endpoint.
    NoEndpoint,
}

/// What a gateway writes to the queue.
#[async_trait::async_trait]
pub trait Publisher: Send + Sync {
    /// Stores messages and appends one delivery per target to the lanes' streams.
    ///
    /// - One result per publication, in order. A publication MUST be judged on its own: a stale one
    ///   neither fails nor repeats the others of its batch.
    /// - Checks come first, in this order: message already stored → `Accepted`; no application →
    ///   `NoApplication`; `version` differs → `Stale`; first taken key → `Duplicate`; more bytes than
    ///   [`Terms::quota`] → `OverQuota`, unless nothing will be open. Whatever is not
    ///   accepted MUST leave no trace: in particular it takes no key.
    /// - Bytes that count MUST stop counting when the message's last delivery ends, or, should nobody
    ///   settle it, soon after its body is gone. They count in the same batch too.
    /// - A key is taken by at most one message while it lives, also among those of one batch.
    /// - `Accepted` MUST be answered only when the write is durable.
    /// - With [`Publication::fan_out`] the application MUST exist at any version, the entry is appended
    ///   to the stream of [`FanOut::lane`], and counts as one open delivery of the message.
    /// - A message without targets is stored and listed like all others, and lives for
    ///   [`super::Lifetimes::retention`]; one with targets for [`super::Lifetimes::message`], and
    ///   [`Terms::delay`] longer. Where [`Terms::retention`] is given, it MUST hold for this message
    ///   instead of the former, here and wherever its last delivery ends.
    ///
    /// The error of a whole batch is [`super::ErrorKind::Ambiguous`], unless nothing was written.
    async fn publish(&self, batch: Vec<Publication>) -> Result<Vec<Published>>;

    /// Appends a new generation of a delivery. Repeating the same one delivers it at most once more.
    ///
    /// The body MUST live at least [`super::Lifetimes::message`] from now. It may live so long even
    /// when all its deliveries are settled: an engine need not know whether one is still open.
    async fn resend(&self, resend: Resend) -> Result<Resent>;

    /// Replaces a message's record by one without content; whether there was such a message. Its life
    /// and its deliveries MUST stay as they are, and nothing of the record before can be read again.
    async fn expunge(&self, app: AppId, message: MessageId, record: Bytes) -> Result<bool>;
}
