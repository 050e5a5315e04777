//! History: what was published, what was tried, what was given up.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::{
    domain::{Attempt, DeadLetter, Destination, MessageHeader, Queue, Tally},
    id::{AppId, AttemptId, MessageId},
    time::Millis,
};

/// Which end of a list comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// The latest.
    #[default]
    NewestFirst,
    /// The earliest.
    OldestFirst,
}

/// A place in a list. Opaque: it holds only for the list and the engine that gave it out. Visible
/// ASCII without commas. Any other text MUST be [`super::ErrorKind::NoPlace`], or a place between two
/// entries.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// Which part of a list is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PageRequest {
    /// Start behind this place, in the wanted order; `None`: at the beginning.
    pub after: Option<Cursor>,
    /// Which end first.
    pub order: Order,
    /// At most so many entries; at least 1.
    pub limit: usize,
}

/// Part of a list.
#[derive(Clone, PartialEq, Debug)]
pub struct Page<T> {
    /// Entries with their places.
    pub entries: Vec<(Cursor, T)>,
    /// Whether the list ends here.
    pub done: bool,
}

/// Which dead letters are removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purge {
    /// The one at this place.
    One(Cursor),
    /// Those that were written before this time of the store's clock.
    Before(Millis),
}

/// What the log of messages shows of one: its header.
pub type LogEntry = MessageHeader;

/// What was published, tried and given up.
///
/// All lists are per application or per endpoint, so that one tenant never sees another's.
#[async_trait::async_trait]
pub trait History: Send + Sync {
    /// A message's record, as long as its body lives. The caller checks whose it is.
    async fn message(&self, app: AppId, message: MessageId) -> Result<Option<Bytes>>;

    /// The records of these messages, in order, as [`History::message`] answers each.
    async fn records(&self, app: AppId, messages: &[MessageId]) -> Result<Vec<Option<Bytes>>> {
        let mut records = Vec::with_capacity(messages.len());
        for message in messages {
            records.push(self.message(app, *message).await?);
        }
        Ok(records)
    }

    /// The message that was published under this dedup key, while that lives.
    async fn find_key(&self, app: AppId, key: &str) -> Result<Option<MessageId>>;

    /// The messages of an application.
    async fn messages(&self, app: AppId, page: &PageRequest) -> Result<Page<LogEntry>>;

    /// The attempts at an endpoint.
    async fn endpoint_attempts(&self, queue: Queue, page: &PageRequest) -> Result<Page<Attempt>>;

    /// The attempts of a message, at all endpoints. Costs in proportion to the page.
    async fn message_attempts(
        &self,
        app: AppId,
        message: MessageId,
        page: &PageRequest,
    ) -> Result<Page<Attempt>>;

    /// Removes the bodies of responses from the attempts of a message, from all or from one; whether
    /// there was any. The attempts MUST stay listed, in both lists. It is not one write: repeated
    /// until it was answered, it has happened as a whole.
    async fn expunge_responses(
        &self,
        app: AppId,
        message: MessageId,
        attempt: Option<AttemptId>,
    ) -> Result<bool>;

    /// The dead letters of an endpoint.
    async fn dead_letters(&self, queue: Queue, page: &PageRequest) -> Result<Page<DeadLetter>>;

    /// The dead letter at this place; none where a list has no such place.
    async fn dead_letter(&self, queue: Queue, place: &Cursor) -> Result<Option<DeadLetter>>;

    /// Removes dead letters; how many there were. They MUST be out of the list when it answers, all
    /// others stay.
    async fn purge_dead_letters(&self, queue: Queue, which: &Purge) -> Result<u64>;

    /// How deliveries to an endpoint went in the hours from that of `from` to that of `to`, both with
    /// their whole hour, as far back as history lives. Each settlement that was done MUST count once, in
    /// the hour of the store's clock when it was written. Costs a read per day, however many deliveries
    /// that were.
    async fn tally(&self, of: Destination, from: Millis, to: Millis) -> Result<Tally>;

    /// A place in the list of an application's messages, or of an endpoint's dead letters or attempts,
    /// from which on, oldest first, all MUST come that were written at this time of the store's clock or
    /// later. Older ones may come too. Newest first, all MUST come that were written before it.
    fn since(&self, time: Millis) -> Cursor;
}
