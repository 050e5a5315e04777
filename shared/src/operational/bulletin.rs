//! The bulletin: publishes occurrences to the operator's endpoints, if there are any.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{APPLICATION, Names, Occurrence};
use crate::{
    domain::{Message, MessageHeader, Payload},
    id::{AppId, MessageId},
    store::{
        Configuration, Dedup, ErrorKind, MAX_FAN_OUT, Publication, Published, Result, SharedStore,
        StoreError, Target,
    },
    time::Millis,
};

/// What is known of the operator's endpoints is asked for again after this time; where there are some,
/// the store says when it is stale.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// How often the operator's endpoints may change while one batch is published.
const MAX_STALE: usize = 8;
/// How long the key of an occurrence is remembered.
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Publishes occurrences. While the operator has no endpoint that costs a read a second, if anything
/// happens at all.
pub struct Bulletin {
    store: SharedStore,
    known: Mutex<Option<(Instant, Option<Arc<Configuration>>)>>,
}

impl Bulletin {
    /// A bulletin in this store.
    pub fn new(store: SharedStore) -> Self {
        Self { store, known: Mutex::new(None) }
    }

    /// Publishes what happened, as far as somebody wants to hear it; how many messages that were. What
    /// happened to the operator's own endpoints is left out. Safe to repeat.
    pub async fn publish(&self, occurrences: &[Occurrence]) -> Result<usize> {
        let others = occurrences.iter().filter(|one| one.destination.app != APPLICATION);
        let mut open: Vec<_> = others.map(|occurrence| (MessageId::new(), occurrence)).collect();
        let mut published = 0;
        for _ in 0..MAX_STALE {
            let Some(listening) = self.listening().await? else { return Ok(published) };
            open.retain(|(_, occurrence)| is_wanted(&listening, occurrence));
            if open.is_empty() {
                return Ok(published);
            }
            let mut batch = Vec::with_capacity(open.len());
            let mut applications = HashMap::new();
            for (id, occurrence) in &open {
                batch.push(self.publication(*id, occurrence, &listening, &mut applications).await?);
            }
            let answers = self.store.publish(batch).await?;
            let mut answers = answers.into_iter();
            open.retain(|_| match answers.next() {
                Some(Published::Accepted) => {
                    published += 1;
                    false
                }
                // Told before; or what cannot be, since nobody sets the operator a quota.
                Some(Published::Duplicate { .. } | Published::OverQuota) => false,
                Some(Published::Stale | Published::NoApplication) | None => true,
            });
            if open.is_empty() {
                return Ok(published);
            }
            *self.known.lock() = None;
        }
        Err(StoreError::new(ErrorKind::Unavailable, "the operator's endpoints change all the time"))
    }

    /// The operator's endpoints, if there are any that are enabled.
    async fn listening(&self) -> Result<Option<Arc<Configuration>>> {
        if let Some((at, known)) = &*self.known.lock()
            && at.elapsed() < KNOWN_FOR
        {
            return Ok(known.clone());
        }
        let found = self.store.configuration(APPLICATION).await?;
        let found = found
            .filter(|found| found.endpoints.values().any(|endpoint| !endpoint.disabled))
            .map(Arc::new);
        *self.known.lock() = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    async fn publication(
        &self,
        id: MessageId,
        occurrence: &Occurrence,
        listening: &Configuration,
        applications: &mut HashMap<AppId, Option<Configuration>>,
    ) -> Result<Publication> {
        let app = occurrence.destination.app;
        let configuration = match applications.entry(app) {
            Entry::Occupied(occupied) => occupied.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(self.store.configuration(app).await?),
        };
        let configuration = configuration.as_ref();
        let endpoint =
            configuration.and_then(|found| found.endpoints.get(&occurrence.destination.endpoint));
        let event_id = match occurrence.what.delivery() {
            Some((delivery, _)) => {
                let record = self.store.message(app, delivery.message).await?;
                let message = record.and_then(|record| Message::decode(&record).ok());
                message.and_then(|message| message.header.event_id)
            }
            None => None,
        };
        let names = Names {
            application: configuration.map(|found| &found.application),
            endpoint: endpoint.map(Arc::as_ref),
            event_id,
        };
        let header = header(id, occurrence);
        let payload = Bytes::from(occurrence.payload(&names).to_string());
        let message = Message { header: header.clone(), payload: payload.clone() };
        let record = message.encode().map_err(|error| {
            StoreError::caused_by(ErrorKind::Corrupt, "the event cannot be encoded", error)
        })?;
        let endpoints = listening.endpoints.values();
        let payload = Payload::new(&payload);
        Ok(Publication {
            targets: endpoints
                .filter_map(|endpoint| Target::choose(endpoint, &header, &payload, None))
                .take(MAX_FAN_OUT)
                .collect(),
            fan_out: None,
            terms: Default::default(),
            header,
            record,
            version: listening.version,
            dedup: vec![Dedup {
                key: occurrence.key(),
                fingerprint: Default::default(),
                lifetime: KEY_LIFETIME,
            }],
        })
    }
}

fn is_wanted(listening: &Configuration, occurrence: &Occurrence) -> bool {
    let event_type = occurrence.what.name();
    listening.endpoints.values().any(|endpoint| endpoint.listens(event_type, &[]))
}

fn header(id: MessageId, occurrence: &Occurrence) -> MessageHeader {
    MessageHeader {
        id,
        app: APPLICATION,
        event_type: occurrence.what.name().to_owned(),
        channels: vec![],
        tags: vec![],
        event_id: None,
        options: Default::default(),
        created_at: Millis(id.made_at_ms()),
        trace: None,
        extra: Default::default(),
    }
}
