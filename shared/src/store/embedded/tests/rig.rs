//! A store in a directory of its own, with one application and one endpoint.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use tempfile::TempDir;

use crate::{
    domain::{
        Application, Attempt, AttemptStatus, Delivery, Endpoint, Extra, Generation, MessageHeader,
        Queue, Trigger,
    },
    id::{AppId, AttemptId, EndpointId, MessageId},
    store::{
        Change, Dedup, Documents, Durability, Entry, EntryId, Fence, Lanes, Leases, Lifetimes,
        Owner, Park, Place, Publication, Published, Publisher, Settle, Settled, Settlement, Target,
        Verdict, Version,
        embedded::{Embedded, open},
    },
    time::Millis,
};

/// Lives that no test outlasts.
pub(super) const LONG: Lifetimes = Lifetimes {
    message: Duration::from_secs(3600),
    retention: Duration::from_secs(3600),
    history: Duration::from_secs(3600),
};

pub(super) struct Rig {
    pub(super) store: Arc<Embedded>,
    pub(super) directory: TempDir,
    pub(super) queue: Queue,
    pub(super) fence: Fence,
}

pub(super) fn open_at(directory: &Path, lifetimes: Lifetimes) -> Arc<Embedded> {
    open(directory, Durability::Process, lifetimes).unwrap()
}

pub(super) fn application(id: AppId) -> Application {
    Application {
        id,
        uid: None,
        name: "shop".into(),
        rate_limit: None,
        settings: Default::default(),
        metadata: Default::default(),
        created_at: Millis(1),
        updated_at: Millis(1),
        extra: Extra::new(),
    }
}

fn endpoint(id: EndpointId) -> Endpoint {
    let json = serde_json::json!({
        "id": id, "url": "https://example.com/", "version": 1, "secrets": [],
        "created_at": 1, "updated_at": 1,
    });
    serde_json::from_value(json).unwrap()
}

impl Rig {
    pub(super) async fn new(lifetimes: Lifetimes) -> Self {
        Self::with(Durability::Process, lifetimes).await
    }

    pub(super) async fn with(durability: Durability, lifetimes: Lifetimes) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), durability, lifetimes).unwrap();
        let queue = Queue::live(AppId::new(), EndpointId::new());
        let changes = [
            Change::PutApplication(application(queue.app)),
            Change::PutEndpoint(endpoint(queue.endpoint)),
        ];
        store.commit(queue.app, None, &changes).await.unwrap();
        let owner = Owner::new("node");
        let epoch = store.acquire(queue.lane(), &owner, None).await.unwrap().unwrap();
        let fence = Fence { lane: queue.lane(), owner, epoch };
        let nudges = store.page(fence.lane, EntryId::START, 10).await.unwrap();
        let nudges: Vec<_> = nudges.into_iter().map(|(id, _)| id).collect();
        store.forget(&fence, &nudges).await.unwrap().unwrap();
        Self { store, directory, queue, fence }
    }

    /// Closes the store and opens its directory again.
    pub(super) fn reopen(self, lifetimes: Lifetimes) -> Self {
        let Self { store, directory, queue, fence } = self;
        drop(store);
        let store = open_at(directory.path(), lifetimes);
        Self { store, directory, queue, fence }
    }

    pub(super) fn publication(&self, dedup: Vec<Dedup>) -> Publication {
        let header = MessageHeader {
            id: MessageId::new(),
            app: self.queue.app,
            event_type: "invoice.paid".into(),
            channels: vec![],
            tags: vec![],
            event_id: None,
            created_at: Millis::now(),
            options: Default::default(),
            trace: None,
            extra: Extra::new(),
        };
        let target =
            Target { endpoint: self.queue.endpoint, strand: self.queue.strand, not_before: None };
        Publication {
            header,
            record: Bytes::from(vec![7; 1024]),
            version: Version(1),
            targets: vec![target],
            fan_out: None,
            terms: Default::default(),
            dedup,
        }
    }

    /// Publishes one message; answers its delivery.
    pub(super) async fn publish(&self) -> Delivery {
        self.publish_with(vec![]).await
    }

    pub(super) async fn publish_with(&self, dedup: Vec<Dedup>) -> Delivery {
        let publication = self.publication(dedup);
        let message = publication.header.id;
        let published = self.store.publish(vec![publication]).await.unwrap();
        assert_eq!(published, [Published::Accepted]);
        let Queue { app, endpoint, strand } = self.queue;
        Delivery { app, endpoint, strand, message, generation: Generation(0) }
    }

    pub(super) async fn entries(&self) -> Vec<(EntryId, Entry)> {
        self.store.page(self.fence.lane, EntryId::START, 1000).await.unwrap()
    }

    pub(super) async fn park(&self, delivery: Delivery, delay: Option<Duration>) {
        let entries = self.entries().await;
        let carries = |entry: &Entry| match entry {
            Entry::Delivery { delivery: carried, .. } => *carried == delivery,
            _ => false,
        };
        let &(entry, _) = entries.iter().find(|(_, entry)| carries(entry)).unwrap();
        let park = Park { entry, delivery, delay };
        self.store.park(&self.fence, &[park]).await.unwrap().unwrap();
    }

    pub(super) async fn settle(&self, delivery: Delivery, place: Place, verdict: Verdict) {
        let settlement =
            Settlement { delivery, place, attempts: 1, verdict, record: Some(attempt(&delivery)) };
        let settle =
            Settle { fence: self.fence.clone(), settlements: vec![settlement], states: vec![] };
        let settled = self.store.settle(&[settle]).await.unwrap();
        assert_eq!(settled, [Some(vec![Settled::Done])]);
    }
}

pub(super) fn attempt(delivery: &Delivery) -> Attempt {
    Attempt {
        id: AttemptId::new(),
        endpoint: delivery.endpoint,
        message: delivery.message,
        generation: delivery.generation,
        number: 1,
        url: "https://example.com/".into(),
        status: AttemptStatus::Success,
        outcome: "delivered".into(),
        code: 200,
        response: String::new(),
        duration_ms: 3,
        at: Millis::now(),
        trigger: Trigger::Scheduled,
        next: None,
        extra: Extra::new(),
    }
}
