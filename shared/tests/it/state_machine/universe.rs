//! The few things that a sequence is about, and the two stores that hold them.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use shared::{
    domain::{Limit, Queue, Strand, Task},
    id::{AppId, EndpointId, MessageId},
    placement::Lane,
    store::{Begun, Bucket, Change, Epoch, Fence, Metered, Owner, Published, SharedStore},
};

use super::{
    HOUR,
    call::{Answer, Call},
};
use crate::{
    bench::{application, endpoint},
    model::Model,
};

/// The strands that are used of each endpoint.
pub(super) const STRANDS: [Strand; 4] =
    [Strand::Live, Strand::Replay, Strand::Ordered(0), Strand::Ordered(63)];

/// One of the two stores.
pub(super) struct Side {
    pub(super) store: SharedStore,
    /// The last fence that each owner had of each lane, by its place among the owners.
    fences: BTreeMap<(Lane, usize), Fence>,
}

impl Side {
    pub(super) fn new(store: SharedStore) -> Self {
        Self { store, fences: BTreeMap::new() }
    }

    /// What an owner believes to hold.
    pub(super) fn fence(&self, lane: Lane, nth: usize, owner: &Owner) -> Fence {
        let never = Fence { lane, owner: owner.clone(), epoch: Epoch(1) };
        self.fences.get(&(lane, nth)).cloned().unwrap_or(never)
    }
}

/// Ids of all there is, and the two stores, the model's first.
pub(super) struct Universe {
    pub(super) model: Arc<Model>,
    pub(super) sides: [Side; 2],
    pub(super) apps: Vec<AppId>,
    /// One of each endpoint, which stands for it.
    pub(super) queues: Vec<Queue>,
    pub(super) lanes: BTreeSet<Lane>,
    pub(super) owners: Vec<Owner>,
    pub(super) buckets: [Bucket; 3],
    pub(super) messages: Vec<(AppId, MessageId)>,
    pub(super) tasks: Vec<Task>,
    /// Messages that were accepted once. A repetition after the body's end would be a new message.
    pub(super) accepted: BTreeSet<MessageId>,
    /// Messages whose bodies the engine may keep longer than the model.
    pub(super) resent: BTreeSet<MessageId>,
}

impl Universe {
    pub(super) async fn new(model: Arc<Model>, sides: [Side; 2]) -> Self {
        let apps = vec![AppId::new(), AppId::new()];
        let queue = |app: usize| Queue::live(apps[app], EndpointId::new());
        let first = queue(0);
        // Two endpoints share a lane, so that one write is about both.
        let beside = loop {
            let other = queue(0);
            if other.lane() == first.lane() {
                break other;
            }
        };
        let queues = vec![first, beside, queue(1)];
        // Fan-outs flow in lanes that have endpoints, too.
        let message = |app: usize| loop {
            let message = MessageId::new();
            let lane = Lane::of_message(apps[app], message);
            if queues.iter().any(|queue: &Queue| queue.lane() == lane) {
                break (apps[app], message);
            }
        };
        let messages = (0..6).map(|n| message(n % 2)).collect();
        let owner = |name| Owner::new(&format!("{name}-{:032x}", rand::random::<u128>()));
        for side in &sides {
            for &app in &apps {
                let mut changes = vec![Change::PutApplication(application(app))];
                let endpoints = queues.iter().filter(|queue| queue.app == app);
                changes
                    .extend(endpoints.map(|queue| Change::PutEndpoint(endpoint(queue.endpoint))));
                side.store.commit(app, None, &changes).await.unwrap();
            }
        }
        Self {
            model,
            sides,
            lanes: queues.iter().map(Queue::lane).collect(),
            owners: vec![owner("here"), owner("there")],
            buckets: [
                Bucket::Application(apps[0]),
                Bucket::Named(format!("one-{:032x}", rand::random::<u128>())),
                Bucket::Named(format!("other-{:032x}", rand::random::<u128>())),
            ],
            apps,
            queues,
            messages,
            tasks: Vec::new(),
            accepted: BTreeSet::new(),
            resent: BTreeSet::new(),
        }
    }

    pub(super) fn key(nth: usize) -> String {
        format!("key-{nth}")
    }

    /// Whether an application is configured.
    pub(super) async fn is_configured(&self, app: AppId) -> bool {
        self.model_store().configuration(app).await.unwrap().is_some()
    }

    /// Whether an endpoint is configured.
    pub(super) async fn has(&self, queue: Queue) -> bool {
        let found = self.model_store().configuration(queue.app).await.unwrap();
        found.is_some_and(|found| found.endpoints.contains_key(&queue.endpoint))
    }

    fn model_store(&self) -> &SharedStore {
        &self.sides[0].store
    }

    pub(super) async fn lives(&self, side: usize, (app, message): (AppId, MessageId)) -> bool {
        self.sides[side].store.message(app, message).await.unwrap().is_some()
    }

    /// Waits until the bodies that are gone in the model are gone in the engine, too.
    pub(super) async fn until_bodies_agree(&self) {
        for &message in &self.messages {
            let expected = self.lives(0, message).await;
            for _ in 0..5_000 {
                let found = self.lives(1, message).await;
                if found == expected || (found && self.resent.contains(&message.1)) {
                    break;
                }
                assert!(found, "the engine lost the body of {}", message.1);
                self.sides[1].store.sweep().await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let kept = self.lives(1, message).await && !self.resent.contains(&message.1);
            assert!(expected || !kept, "the engine keeps the body of {}", message.1);
        }
    }

    /// Remembers what a call has brought about.
    pub(super) async fn learn(&mut self, pair: &[Call; 2], answer: &Answer) {
        match (&pair[0], answer) {
            (Call::Publish(batch), Answer::Published(answers)) => {
                let judged = batch.iter().zip(answers);
                let accepted = judged.filter(|(_, answer)| **answer == Published::Accepted);
                self.accepted.extend(accepted.map(|(publication, _)| publication.header.id));
            }
            (Call::Resend(resend), _) => {
                self.resent.insert(resend.delivery.message);
            }
            (Call::BeginTask(task), Answer::Begun(Begun::Begun)) => {
                if self.tasks.iter().all(|other| other.id != task.id) {
                    self.tasks.push(task.clone());
                }
            }
            (Call::Advance(_, step), _) => {
                self.resent.extend(step.again.iter().map(|again| again.message));
            }
            (Call::Acquire(lane, owner, _), Answer::Acquired(true)) => {
                let place = self.owners.iter().position(|other| other == owner).unwrap();
                for side in &mut self.sides {
                    let lease = side.store.leases(&[*lane]).await.unwrap().remove(0).unwrap();
                    let fence = Fence { lane: *lane, owner: owner.clone(), epoch: lease.epoch };
                    side.fences.insert((*lane, place), fence);
                }
            }
            _ => {}
        }
    }
}

/// What a bucket is to keep, by version. Its gaps are an hour or two.
pub(super) fn metered(bucket: &Bucket, nth: usize, version: u64) -> Metered {
    let hours = if (nth as u64 + version).is_multiple_of(2) { 1 } else { 2 };
    let limit = Limit { count: NonZeroU32::MIN, per: hours * HOUR, burst: None };
    Metered { bucket: bucket.clone(), version, limits: vec![limit] }
}
