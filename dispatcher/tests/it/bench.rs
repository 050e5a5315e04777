//! The bench: a store, a receiver, and dispatchers between them.

use std::{any::Any, sync::Arc, time::Duration};

use dispatcher::{Config, Dispatcher};
use loadtests::{
    redis_server::{Fsync, RedisServer},
    sink::Sink,
};
use prometheus::Registry;
use shared::{
    domain::{
        Application, DeadLetter, Delivery, Endpoint, Generation, Message, MessageHeader,
        MessageOptions, Queue, Secret, SigningSecret,
    },
    id::{AppId, EndpointId, MessageId},
    operational::APPLICATION,
    placement::Lane,
    store::{
        Change, Durability, FanOut, Lifetimes, PageRequest, Publication, Published, SharedStore,
        Target, embedded, redis,
    },
    time::Millis,
};

use crate::scripted::Scripted;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const TTL: Duration = Duration::from_millis(1500);

/// Which engine a test runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    Embedded,
    Redis,
}

/// A store and a receiver.
pub(crate) struct Bench {
    pub(crate) store: SharedStore,
    pub(crate) sink: Sink,
    pub(crate) app: AppId,
    _home: Box<dyn Any>,
}

/// A dispatcher with its metrics.
pub(crate) struct Running {
    dispatcher: Dispatcher,
    metrics: Registry,
}

impl Bench {
    pub(crate) async fn new(engine: Engine) -> Self {
        Self::with_lifetimes(engine, Lifetimes::default()).await
    }

    pub(crate) async fn with_lifetimes(engine: Engine, lifetimes: Lifetimes) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, home): (SharedStore, Box<dyn Any>) = match engine {
            Engine::Embedded => {
                let store = embedded::open(directory.path(), Durability::Process, lifetimes);
                (store.unwrap(), Box::new(directory))
            }
            Engine::Redis => {
                let server = RedisServer::start(directory.path(), Fsync::EverySecond).unwrap();
                let store = redis::open(&server.url(), Durability::Process, lifetimes).await;
                (store.unwrap(), Box::new((server, directory)))
            }
        };
        let app = AppId::new();
        store.commit(app, None, &[Change::PutApplication(application(app))]).await.unwrap();
        Self { store, sink: Sink::start_local().unwrap(), app, _home: home }
    }

    /// From now on, new endpoints are another application's.
    pub(crate) async fn next_application(&mut self) {
        self.app = AppId::new();
        let new = Change::PutApplication(application(self.app));
        self.store.commit(self.app, None, &[new]).await.unwrap();
    }

    /// A bench whose store fails as it is told.
    pub(crate) async fn scripted(engine: Engine) -> (Self, Arc<Scripted>) {
        let mut bench = Self::new(engine).await;
        let store = Scripted::new(Arc::clone(&bench.store));
        bench.store = Arc::clone(&store) as SharedStore;
        (bench, store)
    }

    /// Starts a dispatcher with these delays between attempts.
    pub(crate) async fn dispatch(&self, schedule: &[Duration]) -> Running {
        self.dispatch_with(schedule, |_| {}).await
    }

    /// As [`Bench::dispatch`], with other settings.
    pub(crate) async fn dispatch_with(
        &self,
        schedule: &[Duration],
        change: impl FnOnce(&mut Config),
    ) -> Running {
        let mut config = Config {
            workers: 2,
            max_in_flight: 256,
            max_body_bytes: 16 << 20,
            max_window: 64,
            request_timeout: 2 * PATIENCE,
            retry_schedule: schedule.into(),
            disable_after: Duration::ZERO,
            lease_ttl: TTL,
            lease_renewal: TTL / 4,
            allow_cidr: vec!["127.0.0.0/8".parse().unwrap()],
            keys: Default::default(),
            worst_endpoints: 10,
            pinned_endpoints: Vec::new(),
            tracer: Default::default(),
            log: Default::default(),
        };
        change(&mut config);
        let metrics = Registry::new();
        let store = Arc::clone(&self.store);
        let dispatcher = Dispatcher::start(config, store, &metrics).await.unwrap();
        Running { dispatcher, metrics }
    }

    /// An endpoint at a path of the receiver.
    pub(crate) async fn endpoint(&self, path: &str) -> Queue {
        self.endpoint_with_id(EndpointId::new(), path).await
    }

    /// An endpoint in the same lane as another.
    pub(crate) async fn neighbour(&self, other: Queue, path: &str) -> Queue {
        let id = std::iter::repeat_with(EndpointId::new)
            .find(|id| Lane::of(self.app, *id) == other.lane())
            .unwrap();
        self.endpoint_with_id(id, path).await
    }

    async fn endpoint_with_id(&self, id: EndpointId, path: &str) -> Queue {
        self.commit(Change::PutEndpoint(self.document(id, path))).await;
        Queue::live(self.app, id)
    }

    /// An endpoint of the operator, who has none yet, at a path of the receiver.
    pub(crate) async fn operator(&self, path: &str) -> Queue {
        let configuration = self.store.configuration(self.app).await.unwrap().unwrap();
        let application = Application { id: APPLICATION, ..configuration.application };
        let endpoint = self.document(EndpointId::new(), path);
        let queue = Queue::live(APPLICATION, endpoint.id);
        let changes = [Change::PutApplication(application), Change::PutEndpoint(endpoint)];
        self.store.commit(APPLICATION, None, &changes).await.unwrap();
        queue
    }

    pub(crate) fn document(&self, id: EndpointId, path: &str) -> Endpoint {
        Endpoint {
            id,
            uid: None,
            url: self.sink.url(path),
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
            created_at: Millis::now(),
            updated_at: Millis::now(),
            extra: Default::default(),
        }
    }

    /// Changes an endpoint's configuration.
    pub(crate) async fn change(&self, queue: Queue, change: impl FnOnce(&mut Endpoint)) {
        let configuration = self.store.configuration(self.app).await.unwrap().unwrap();
        let mut endpoint = configuration.endpoints[&queue.endpoint].as_ref().clone();
        change(&mut endpoint);
        self.commit(Change::PutEndpoint(endpoint)).await;
    }

    /// Changes the application.
    pub(crate) async fn change_application(&self, change: impl FnOnce(&mut Application)) {
        let configuration = self.store.configuration(self.app).await.unwrap().unwrap();
        let mut application = configuration.application;
        change(&mut application);
        self.commit(Change::PutApplication(application)).await;
    }

    pub(crate) async fn commit(&self, change: Change) {
        let before = self.store.configuration(self.app).await.unwrap().unwrap();
        self.store.commit(self.app, Some(before.version), &[change]).await.unwrap();
    }

    /// An endpoint in another lane.
    pub(crate) async fn stranger(&self, other: Queue, path: &str) -> Queue {
        let id = std::iter::repeat_with(EndpointId::new)
            .find(|id| Lane::of(self.app, *id) != other.lane())
            .unwrap();
        self.endpoint_with_id(id, path).await
    }

    /// Publishes messages to one endpoint.
    pub(crate) async fn publish(&self, queue: Queue, count: usize) -> Vec<MessageId> {
        self.publish_body(queue, count, r#"{"a":1}"#).await
    }

    /// The same, with this payload.
    pub(crate) async fn publish_body(
        &self,
        queue: Queue,
        count: usize,
        payload: &str,
    ) -> Vec<MessageId> {
        let version = self.store.configuration(queue.app).await.unwrap().unwrap().version;
        let mut batch = Vec::new();
        for _ in 0..count {
            let header = MessageHeader { app: queue.app, ..self.header() };
            let message = Message { header: header.clone(), payload: payload.to_owned().into() };
            batch.push(Publication {
                header,
                record: message.encode().unwrap(),
                version,
                targets: vec![Target {
                    endpoint: queue.endpoint,
                    strand: queue.strand,
                    not_before: None,
                }],
                fan_out: None,
                terms: Default::default(),
                dedup: vec![],
            });
        }
        let ids = batch.iter().map(|publication| publication.header.id).collect();
        let published = self.store.publish(batch).await.unwrap();
        assert!(published.iter().all(|one| *one == Published::Accepted));
        ids
    }

    /// Publishes a message with these options to one endpoint.
    pub(crate) async fn publish_with(
        &self,
        queue: Queue,
        options: MessageOptions,
        not_before: Option<Millis>,
    ) -> MessageId {
        let mut publication = self.fan_out().await;
        let header = MessageHeader { options, ..publication.header };
        let message = Message { header: header.clone(), payload: r#"{"a":1}"#.into() };
        publication.record = message.encode().unwrap();
        publication.fan_out = None;
        let Queue { endpoint, strand, .. } = queue;
        publication.targets = vec![Target { endpoint, strand, not_before }];
        let id = header.id;
        publication.header = header;
        assert_eq!(self.store.publish(vec![publication]).await.unwrap(), [Published::Accepted]);
        id
    }

    /// A message whose targets the dispatcher is to choose.
    pub(crate) async fn fan_out(&self) -> Publication {
        let version = self.store.configuration(self.app).await.unwrap().unwrap().version;
        let header = self.header();
        let message = Message { header: header.clone(), payload: r#"{"a":1}"#.into() };
        let fan_out = FanOut {
            app: self.app,
            message: header.id,
            version,
            until: header.created_at,
            after: None,
            not_before: None,
        };
        Publication {
            record: message.encode().unwrap(),
            header,
            version,
            targets: vec![],
            fan_out: Some(fan_out),
            terms: Default::default(),
            dedup: vec![],
        }
    }

    pub(crate) fn header(&self) -> MessageHeader {
        MessageHeader {
            id: MessageId::new(),
            app: self.app,
            event_type: "tested".into(),
            channels: vec![],
            tags: vec![],
            event_id: None,
            created_at: Millis::now(),
            options: Default::default(),
            trace: None,
            extra: Default::default(),
        }
    }

    pub(crate) fn delivery(&self, queue: Queue, message: MessageId) -> Delivery {
        let Queue { app, endpoint, strand } = queue;
        Delivery { app, endpoint, strand, message, generation: Generation(0) }
    }

    pub(crate) async fn dead_letters(&self, queue: Queue) -> Vec<DeadLetter> {
        let page = PageRequest { limit: 1000, ..PageRequest::default() };
        let page = self.store.dead_letters(queue, &page).await.unwrap();
        page.entries.into_iter().map(|(_, letter)| letter).collect()
    }

    /// Waits until the store is as wanted; there is no event for that, so it is asked again.
    pub(crate) async fn until(&self, what: &str, wanted: impl AsyncFn() -> bool) {
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        while !wanted().await {
            tokio::select! {
                () = &mut patience => panic!("never {what}"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    }

    /// Whether nothing is left to do in any lane.
    pub(crate) async fn is_at_rest(&self) -> bool {
        for lane in Lane::all() {
            let stream = self.store.page(lane, Default::default(), 1).await.unwrap();
            let agenda = self.store.agenda(lane, None, 1).await.unwrap();
            if !stream.is_empty() || !agenda.entries.is_empty() {
                return false;
            }
        }
        true
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.dispatcher.stop(PATIENCE).await;
    }

    /// Dies without finishing anything: its leases run out.
    pub(crate) async fn abandon(self) {
        self.dispatcher.stop(Duration::ZERO).await;
    }

    /// The sum of a metric over its labels; 0 while it has none.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.metrics.gather();
        let Some(family) = families.iter().find(|family| family.name().ends_with(name)) else {
            return 0.0;
        };
        let value = |metric: &prometheus::proto::Metric| {
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        family.get_metric().iter().map(value).sum()
    }

    /// What this metric says of one endpoint, if that is among those that it shows.
    pub(crate) fn of_endpoint(&self, name: &str, endpoint: &str) -> Option<f64> {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == name)?;
        let is_it = |metric: &&prometheus::proto::Metric| {
            metric.get_label().iter().any(|label| label.value() == endpoint)
        };
        Some(family.get_metric().iter().find(is_it)?.get_gauge().get_value())
    }

    /// All metrics as they are scraped.
    pub(crate) fn scrape(&self) -> String {
        prometheus::TextEncoder::new().encode_to_string(&self.metrics.gather()).unwrap()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.dispatcher.probes().iter().all(|probe| probe.check().is_ok())
    }
}

fn application(id: AppId) -> Application {
    Application {
        id,
        uid: None,
        name: "test".into(),
        rate_limit: None,
        settings: Default::default(),
        metadata: Default::default(),
        created_at: Millis::now(),
        updated_at: Millis::now(),
        extra: Default::default(),
    }
}
