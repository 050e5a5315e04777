//! Publishing: what a gateway writes.

use std::time::Duration;

use bytes::Bytes;

use super::{Result, Version};
use crate::{
    domain::{Delivery, MessageHeader, Strand},
    id::{EndpointId, MessageId},
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
    /// Keys under which this message must not be published again.
    pub dedup: Vec<Dedup>,
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
    ///   `NoApplication`; `version` differs → `Stale`; first taken key → `Duplicate`. Whatever is not
    ///   accepted MUST leave no trace: in particular it takes no key.
    /// - A key is taken by at most one message while it lives, also among those of one batch.
    /// - `Accepted` MUST be answered only when the write is durable.
    /// - A message without targets is stored and listed like all others, and lives for
    ///   [`super::Lifetimes::retention`]; one with targets for [`super::Lifetimes::message`].
    ///
    /// The error of a whole batch is [`super::ErrorKind::Ambiguous`], unless nothing was written.
    async fn publish(&self, batch: Vec<Publication>) -> Result<Vec<Published>>;

    /// Appends a new generation of a delivery. Repeating the same one delivers it at most once more.
    ///
    /// The body MUST live at least [`super::Lifetimes::message`] from now. It may live so long even
    /// when all its deliveries are settled: an engine need not know whether one is still open.
    async fn resend(&self, resend: Resend) -> Result<Resent>;
}
