//! The bench on which an engine is tested: a store of its own for each test, and short words for what
//! tests do with it.

use std::{any::Any, time::Duration};

use bytes::Bytes;
use shared::{
    domain::{
        Application, Attempt, AttemptStatus, Delivery, Endpoint, Generation, Message,
        MessageHeader, Queue, Secret, SigningSecret, Strand, Trigger,
    },
    id::{AppId, AttemptId, EndpointId, MessageId},
    placement::Lane,
    store::{
        Ask, Change, Dedup, Due, Entry, EntryId, FanOut, Fence, Order, Owner, PageRequest, Park,
        Place, Publication, Published, Settle, Settled, Settlement, SharedStore, Target, Verdict,
        Version,
    },
    time::Millis,
};

/// A store under test.
pub(crate) struct Bench {
    pub(crate) store: SharedStore,
    /// Directory or server, kept as long as the store.
    _home: Box<dyn Any + Send>,
}

/// An application with endpoints that want everything.
pub(crate) struct Tenant {
    store: SharedStore,
    pub(crate) app: AppId,
    pub(crate) version: Version,
    pub(crate) endpoints: Vec<EndpointId>,
}

/// More than any list of a test holds.
pub(crate) const ALL: usize = 10_000;

/// How often something that takes a moment is looked for before a test gives up: for half a minute.
const POLLS: usize = 6_000;
const BETWEEN_POLLS: Duration = Duration::from_millis(5);

/// A list from its beginning, whole.
pub(crate) fn whole(order: Order) -> PageRequest {
    PageRequest { after: None, order, limit: ALL }
}

impl Bench {
    pub(crate) fn new(store: SharedStore, home: Box<dyn Any + Send>) -> Self {
        Self { store, _home: home }
    }

    /// A new application with so many endpoints.
    pub(crate) async fn tenant(&self, endpoints: usize) -> Tenant {
        let app = AppId::new();
        let endpoints: Vec<_> = (0..endpoints).map(|_| EndpointId::new()).collect();
        let mut changes = vec![Change::PutApplication(application(app))];
        changes.extend(endpoints.iter().map(|id| Change::PutEndpoint(endpoint(*id))));
        let version = self.store.commit(app, None, &changes).await.unwrap();
        Tenant { store: self.store.clone(), app, version, endpoints }
    }

    /// Takes a lane from whoever has it, as a new owner.
    pub(crate) async fn own(&self, lane: Lane) -> Fence {
        let owner = Owner::new(&format!("node-{:032x}", rand::random::<u128>()));
        let seen = self.store.leases(&[lane]).await.unwrap().remove(0);
        let epoch = self.store.acquire(lane, &owner, seen.as_ref()).await.unwrap();
        Fence { lane, owner, epoch: epoch.expect("nobody else wants it") }
    }

    /// All entries of a lane's stream.
    pub(crate) async fn stream(&self, lane: Lane) -> Vec<(EntryId, Entry)> {
        self.store.page(lane, EntryId::START, ALL).await.unwrap()
    }

    /// The deliveries of a lane's stream.
    pub(crate) async fn flowing(&self, lane: Lane) -> Vec<(EntryId, Delivery)> {
        let entries = self.stream(lane).await.into_iter();
        let deliveries = entries.filter_map(|(id, entry)| match entry {
            Entry::Delivery { delivery, .. } => Some((id, delivery)),
            Entry::Nudge { .. } | Entry::FanOut(_) | Entry::Unknown => None,
        });
        deliveries.collect()
    }

    /// Where a delivery is in its lane's stream.
    pub(crate) async fn entry_of(&self, delivery: Delivery) -> EntryId {
        let flowing = self.flowing(delivery.lane()).await;
        let found = flowing.iter().find(|(_, other)| *other == delivery);
        found.expect("the delivery is in its stream").0
    }

    /// Parks deliveries that are in the stream, in this order.
    pub(crate) async fn park(&self, fence: &Fence, deliveries: &[Delivery]) {
        let mut parks = Vec::new();
        for &delivery in deliveries {
            parks.push(Park { entry: self.entry_of(delivery).await, delivery, delay: None });
        }
        self.store.park(fence, &parks).await.unwrap().expect("the lane is held");
    }

    /// All that is due in a queue.
    pub(crate) async fn due(&self, fence: &Fence, queue: Queue) -> Due {
        let ask = Ask { queue, parked: ALL, retries: ALL };
        self.store.due(fence, &[ask]).await.unwrap().expect("the lane is held").remove(0)
    }

    /// Settles one delivery; its record is made up, with this many attempts.
    pub(crate) async fn settle(
        &self,
        fence: &Fence,
        delivery: Delivery,
        place: Place,
        attempts: u32,
        verdict: Verdict,
    ) -> Settled {
        let settlement = Settlement {
            delivery,
            place,
            attempts,
            verdict,
            record: Some(attempt(delivery, attempts)),
        };
        self.settle_all(fence, vec![settlement]).await.expect("the lane is held").remove(0)
    }

    /// Settles in one write.
    pub(crate) async fn settle_all(
        &self,
        fence: &Fence,
        settlements: Vec<Settlement>,
    ) -> Option<Vec<Settled>> {
        let settle = Settle { fence: fence.clone(), settlements, states: vec![] };
        self.store.settle(&[settle]).await.unwrap().remove(0)
    }

    /// The queues of a lane's agenda, each once.
    pub(crate) async fn agenda(&self, lane: Lane) -> Vec<Queue> {
        let page = self.store.agenda(lane, None, ALL).await.unwrap();
        assert_eq!(page.next, None, "the agenda of a test fits into one page");
        let mut queues: Vec<_> = page.entries.iter().map(|entry| entry.queue).collect();
        queues.sort();
        queues.dedup();
        queues
    }

    /// Whether a message's body still lives.
    pub(crate) async fn lives(&self, app: AppId, message: MessageId) -> bool {
        self.store.message(app, message).await.unwrap().is_some()
    }

    /// Waits until a message's body is gone. There is no event for it: the store's clock decides.
    pub(crate) async fn until_gone(&self, app: AppId, message: MessageId) {
        for _ in 0..POLLS {
            if !self.lives(app, message).await {
                return;
            }
            self.store.sweep().await.unwrap();
            tokio::time::sleep(BETWEEN_POLLS).await;
        }
        panic!("the body of {message} stays");
    }
}

impl Tenant {
    /// A new message to all endpoints.
    pub(crate) fn publication(&self) -> Publication {
        self.publication_to(&self.endpoints)
    }

    /// A new message to these endpoints.
    pub(crate) fn publication_to(&self, endpoints: &[EndpointId]) -> Publication {
        let header = header(self.app);
        let message = Message { header: header.clone(), payload: Bytes::from_static(b"{}") };
        let targets = endpoints.iter();
        Publication {
            header,
            record: message.encode().unwrap(),
            version: self.version,
            targets: targets
                .map(|&endpoint| Target { endpoint, strand: Strand::Live, not_before: None })
                .collect(),
            fan_out: None,
            terms: Default::default(),
            dedup: vec![],
        }
    }

    /// A new message whose targets are to be chosen.
    pub(crate) fn fan_out(&self) -> (Publication, FanOut) {
        let publication = self.publication_to(&[]);
        let fan_out = FanOut {
            app: self.app,
            message: publication.header.id,
            version: self.version,
            until: publication.header.created_at,
            after: None,
            not_before: None,
        };
        (Publication { fan_out: Some(fan_out), ..publication }, fan_out)
    }

    /// Publishes a new message to all endpoints.
    pub(crate) async fn publish(&self) -> MessageId {
        let publication = self.publication();
        let message = publication.header.id;
        assert_eq!(self.store.publish(vec![publication]).await.unwrap(), [Published::Accepted]);
        message
    }

    /// Publishes a new message to all endpoints; its delivery to the first.
    pub(crate) async fn deliver(&self) -> Delivery {
        let message = self.publish().await;
        self.delivery(message, 0)
    }

    /// The first delivery of a message to the nth endpoint, without order.
    pub(crate) fn delivery(&self, message: MessageId, nth: usize) -> Delivery {
        let Queue { app, endpoint, strand } = self.queue(nth);
        Delivery { app, endpoint, strand, message, generation: Generation(0) }
    }

    /// The queue of the nth endpoint.
    pub(crate) fn queue(&self, nth: usize) -> Queue {
        Queue::live(self.app, self.endpoints[nth])
    }

    /// The lane of the first endpoint.
    pub(crate) fn lane(&self) -> Lane {
        self.queue(0).lane()
    }

    /// Changes the configuration.
    pub(crate) async fn commit(&mut self, changes: &[Change]) {
        self.version = self.store.commit(self.app, Some(self.version), changes).await.unwrap();
    }
}

/// A key that lives for an hour, of a request with this fingerprint.
pub(crate) fn key(key: &str, fingerprint: u8) -> Dedup {
    let lifetime = Duration::from_secs(3600);
    Dedup { key: key.into(), fingerprint: [fingerprint; 16], lifetime }
}

/// The header of a new message.
pub(crate) fn header(app: AppId) -> MessageHeader {
    MessageHeader {
        id: MessageId::new(),
        app,
        event_type: "invoice.paid".into(),
        channels: vec!["north".into()],
        tags: vec![],
        event_id: Some("évènement".into()),
        created_at: Millis::now(),
        options: Default::default(),
        trace: None,
        extra: serde_json::Map::from_iter([("from".into(), "the future".into())]),
    }
}

/// An application without limits.
pub(crate) fn application(id: AppId) -> Application {
    let now = Millis::now();
    Application {
        id,
        uid: None,
        name: "Tenant".into(),
        rate_limit: None,
        settings: Default::default(),
        metadata: Default::default(),
        created_at: now,
        updated_at: now,
        extra: Default::default(),
    }
}

/// An endpoint that wants everything.
pub(crate) fn endpoint(id: EndpointId) -> Endpoint {
    let now = Millis::now();
    Endpoint {
        id,
        uid: None,
        url: "https://receiver.example/hook".into(),
        description: String::new(),
        version: 1,
        disabled: false,
        switched: None,
        filter_types: vec![],
        channels: vec![],
        rate_limit: None,
        settings: Default::default(),
        headers: Default::default(),
        secrets: vec![SigningSecret { secret: Secret::generate().into(), expires_at: None }],
        metadata: Default::default(),
        created_at: now,
        updated_at: now,
        extra: Default::default(),
    }
}

/// The record of a failed attempt.
pub(crate) fn attempt(delivery: Delivery, number: u32) -> Attempt {
    Attempt {
        id: AttemptId::new(),
        endpoint: delivery.endpoint,
        message: delivery.message,
        generation: delivery.generation,
        number,
        url: "https://receiver.example/hook".into(),
        status: AttemptStatus::Fail,
        outcome: "server_error".into(),
        code: 500,
        response: "später".into(),
        duration_ms: 12,
        at: Millis::now(),
        trigger: Trigger::of(&delivery),
        next: None,
        extra: Default::default(),
    }
}
