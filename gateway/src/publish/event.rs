//! An event, as it comes out of ingest: a message that was not given an id yet.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use shared::{
    domain::{MessageHeader, MessageOptions},
    id::{AppId, EndpointId, MessageId},
    store::{Dedup, Terms},
    time::Millis,
    trace::TraceContext,
};

use super::event_key;

/// A message that was not given an id yet.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) event_type: String,
    pub(crate) channels: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) event_id: Option<String>,
    pub(crate) wishes: Wishes,
    /// The exact bytes to deliver.
    pub(crate) payload: Bytes,
    /// The request's idempotency key, if it has one.
    pub(crate) idempotency: Option<Dedup>,
    /// Where the request stands in a trace.
    pub(crate) trace: Option<TraceContext>,
}

impl Event {
    pub(super) fn header(&self, id: MessageId, app: AppId) -> MessageHeader {
        // The id's own time, so that a repeated request can be answered from the id alone.
        let created_at = Millis(id.made_at_ms());
        MessageHeader {
            id,
            app,
            event_type: self.event_type.clone(),
            channels: self.channels.clone(),
            tags: self.tags.clone(),
            event_id: self.event_id.clone(),
            created_at,
            options: self.wishes.options(created_at),
            trace: None,
            extra: serde_json::Map::new(),
        }
    }

    /// The idempotency key comes first: a repeated request with an event id is answered again, not
    /// refused.
    pub(super) fn dedup(&self) -> Vec<Dedup> {
        let event = self.event_id.as_deref().map(|id| event_key(id, &self.payload));
        self.idempotency.clone().into_iter().chain(event).collect()
    }
}

/// What a message asks for beyond the ordinary.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) deliver_at: Option<Millis>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) retention: Option<Duration>,
    /// It goes to this endpoint alone, whatever that one asks for.
    pub(crate) only: Option<EndpointId>,
}

/// When no attempt is to start any more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expiry {
    At(Millis),
    /// So long after it was accepted.
    After(Duration),
}

impl Wishes {
    pub(super) fn options(&self, created_at: Millis) -> MessageOptions {
        MessageOptions {
            deliver_at: self.deliver_at,
            expires_at: self.expiry.map(|expiry| match expiry {
                Expiry::At(time) => time,
                Expiry::After(duration) => created_at.after(duration),
            }),
            headers: self.headers.clone(),
            only: self.only,
            ..MessageOptions::default()
        }
    }

    pub(super) fn terms(&self, now: Millis, quota: Option<u64>) -> Terms {
        let delay = self.deliver_at.map_or(Duration::ZERO, |time| time.since(now));
        Terms { delay, retention: self.retention, quota }
    }
}
