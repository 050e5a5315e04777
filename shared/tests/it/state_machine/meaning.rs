//! What an operation means in a universe: the same call for both stores, each with its own entries,
//! epochs and versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use shared::{
    domain::{Delivery, Generation, Message, MessageHeader, Queue, Strand},
    id::AppId,
    placement::Lane,
    store::{
        Bucket, Change, Entry, EntryId, Expand, FanOut, Fence, Park, Place, Publication, Resend,
        Settle, Settlement, StateChange, Take, Target, Verdict, Version,
    },
};

use super::{
    HOUR,
    call::Call,
    operation::{Ending, Mistake, Operation, Outcome, Parking, Wish},
    universe::{STRANDS, Side, Universe, metered},
};
use crate::bench::{ALL, application, attempt, endpoint, header, key};

/// A generation that nothing has.
const STRANGE: Generation = Generation(1_000_000);

impl Universe {
    /// The calls, or nothing if the operation has no meaning here.
    pub(super) async fn calls_for(
        &self,
        operation: &Operation,
        earlier: &[[Call; 2]],
    ) -> Option<[Call; 2]> {
        match operation {
            Operation::Publish(wishes) => self.publish(wishes).await,
            Operation::Resend { message, endpoint, strand } => {
                let queue = Queue { strand: STRANDS[*strand], ..self.queues[*endpoint] };
                self.resend(*message, queue, earlier.len()).await
            }
            Operation::PutApplication { app } => {
                let app = self.apps[*app];
                self.commit(app, Change::PutApplication(application(app))).await
            }
            Operation::PutEndpoint { endpoint: nth } => {
                let queue = self.queues[*nth];
                self.commit_to(queue, Change::PutEndpoint(endpoint(queue.endpoint))).await
            }
            Operation::DeleteEndpoint { endpoint: nth } => {
                let queue = self.queues[*nth];
                self.commit_to(queue, Change::DeleteEndpoint(queue.endpoint)).await
            }
            Operation::DeleteApplication { app } => {
                self.commit(self.apps[*app], Change::DeleteApplication).await
            }
            Operation::Acquire { endpoint, owner } => self.acquire(*endpoint, *owner).await,
            Operation::Renew { endpoint, owner } => {
                Some(self.fences(*endpoint, *owner).map(Call::Renew))
            }
            Operation::Release { endpoint, owner } => {
                Some(self.fences(*endpoint, *owner).map(Call::Release))
            }
            Operation::Park { endpoint, owner, parks } => self.park(*endpoint, *owner, parks).await,
            Operation::Forget { endpoint, owner, nth } => {
                self.forget(*endpoint, *owner, *nth).await
            }
            Operation::Expand { owner, nth, targets, more, wrong } => {
                self.expand(*owner, *nth, *targets, *more, *wrong).await
            }
            Operation::Settle { owner, endings } => self.settle(*owner, endings).await,
            Operation::Remember { endpoint, owner, state, reopens } => {
                let change = StateChange {
                    queue: self.queues[*endpoint],
                    state: state.map(|n| Bytes::from(format!("{{\"n\":{n}}}"))),
                    reopens: reopens.map(|late| if late { HOUR } else { Duration::ZERO }),
                };
                Some(self.fences(*endpoint, *owner).map(|fence| {
                    let states = vec![change.clone()];
                    Call::Settle(vec![Settle { fence, settlements: vec![], states }])
                }))
            }
            Operation::BeginTask { endpoint } => self.begin_task(*endpoint),
            Operation::CancelTask { nth } => self.cancel_task(*nth),
            Operation::Advance(advance) => self.advance(advance, earlier.len()).await,
            Operation::Take { chosen, version, cells, spread } => {
                let mut chosen = *chosen;
                chosen[0] &= self.agree_on(&self.buckets[0]).await;
                let chosen = self.buckets.iter().zip(chosen).enumerate().filter(|(_, it)| it.1);
                let buckets: Vec<_> =
                    chosen.map(|(nth, (bucket, _))| metered(bucket, nth, *version)).collect();
                // Between two times at which a cell can be due.
                let spread = *spread * HOUR + HOUR / 2;
                let take = Take { buckets, cells: *cells, spread };
                (!take.buckets.is_empty()).then(|| [Call::Take(take.clone()), Call::Take(take)])
            }
            Operation::Again { nth } => {
                let pair = earlier.get(nth.checked_rem(earlier.len())?)?;
                match &pair[0] {
                    Call::Resend(_) => None,
                    Call::Advance(_, step) if self.may_differ(step).await => None,
                    Call::Take(take) => {
                        for metered in &take.buckets {
                            if !self.agree_on(&metered.bucket).await {
                                return None;
                            }
                        }
                        Some(pair.clone())
                    }
                    Call::Publish(batch) => {
                        for publication in batch {
                            if self.is_over(&publication.header).await {
                                return None;
                            }
                        }
                        Some(pair.clone())
                    }
                    _ => Some(pair.clone()),
                }
            }
        }
    }

    /// Whether both sides must know the same of a bucket: whether a deleted application's is
    /// remembered is left open.
    async fn agree_on(&self, bucket: &Bucket) -> bool {
        match bucket {
            Bucket::Application(app) => self.is_configured(*app).await,
            Bucket::Named(_) => true,
        }
    }

    /// Whether a message was accepted and its body is gone.
    async fn is_over(&self, header: &MessageHeader) -> bool {
        self.accepted.contains(&header.id) && !self.lives(0, (header.app, header.id)).await
    }

    async fn publish(&self, wishes: &[Wish]) -> Option<[Call; 2]> {
        let mut batches = [vec![], vec![]];
        for wish in wishes {
            let (app, id) = self.messages[wish.message % self.messages.len()];
            let header = MessageHeader { id, ..header(app) };
            if self.is_over(&header).await {
                continue;
            }
            let mut targets = Vec::new();
            let fan_out = FanOut {
                app,
                message: id,
                version: Version(1),
                until: header.created_at,
                after: None,
                not_before: None,
            };
            if !wish.later {
                targets = self.targets(app, wish.targets).await;
            }
            let message = Message { header: header.clone(), payload: Bytes::from_static(b"{}") };
            let record = message.encode().unwrap();
            let keys = wish.keys.iter();
            let dedup: Vec<_> = keys.map(|nth| key(&Self::key(*nth), wish.fingerprint)).collect();
            for (side, batch) in self.sides.iter().zip(&mut batches) {
                let Version(version) = side.version(app).await.unwrap_or(Version(1));
                batch.push(Publication {
                    header: header.clone(),
                    record: record.clone(),
                    version: Version(if wish.stale { version + 1000 } else { version }),
                    targets: targets.clone(),
                    fan_out: wish.later.then_some(fan_out),
                    terms: Default::default(),
                    dedup: dedup.clone(),
                });
            }
        }
        (!batches[0].is_empty()).then(|| batches.map(Call::Publish))
    }

    async fn targets(&self, app: AppId, wanted: [Option<usize>; 2]) -> Vec<Target> {
        let mut targets = Vec::new();
        let queues = self.queues.iter().filter(|queue| queue.app == app);
        for (queue, wanted) in queues.zip(wanted) {
            if let Some(strand) = wanted
                && self.has(*queue).await
            {
                let (endpoint, strand) = (queue.endpoint, STRANDS[strand]);
                targets.push(Target { endpoint, strand, not_before: None });
            }
        }
        targets
    }

    async fn expand(
        &self,
        owner: usize,
        nth: usize,
        targets: [Option<usize>; 2],
        more: bool,
        wrong: bool,
    ) -> Option<[Call; 2]> {
        // Each lane of the universe has fan-outs of its own.
        let lane = *self.lanes.iter().nth(nth % self.lanes.len())?;
        let [ours, theirs] = self.streams(lane).await;
        let flowing = ours.iter().filter(|(_, entry)| matches!(entry, Entry::FanOut(_)));
        let flowing: Vec<_> = flowing.collect();
        let (_, entry) = flowing.get(nth.checked_rem(flowing.len())?)?;
        let Entry::FanOut(mut fan_out) = *entry else { return None };
        let entries = [first_of(&ours, entry)?, first_of(&theirs, entry)?];
        let targets = self.targets(fan_out.app, targets).await;
        let next = more.then_some(self.queues[0].endpoint);
        if wrong {
            fan_out.version = Version(fan_out.version.0 + 1);
        }
        let mut sides = self.sides.iter().zip(entries);
        let mut call = || {
            let (side, entry) = sides.next()?;
            let fence = side.fence(lane, owner, &self.owners[owner]);
            let expand = Expand { entry, fan_out, targets: targets.clone(), next };
            Some(Call::Expand(fence, expand))
        };
        Some([call()?, call()?])
    }

    async fn resend(&self, message: usize, queue: Queue, step: usize) -> Option<[Call; 2]> {
        let ours: Vec<_> = self.messages.iter().filter(|(app, _)| *app == queue.app).collect();
        let &&(app, message) = ours.get(message.checked_rem(ours.len())?)?;
        let lives = self.lives(0, (app, message)).await;
        // Nothing says which of the two is named if both are missing, and a body may live longer.
        if !lives && (self.resent.contains(&message) || !self.has(queue).await) {
            return None;
        }
        let generation = Generation(step as u64 + 1);
        let Queue { endpoint, strand, .. } = queue;
        let delivery = Delivery { app, endpoint, strand, message, generation };
        Some([Call::Resend(Resend { delivery }), Call::Resend(Resend { delivery })])
    }

    async fn commit_to(&self, queue: Queue, change: Change) -> Option<[Call; 2]> {
        // An id that was deleted never comes back.
        if self.has(queue).await { self.commit(queue.app, change).await } else { None }
    }

    async fn commit(&self, app: AppId, change: Change) -> Option<[Call; 2]> {
        let versions = [self.sides[0].version(app).await?, self.sides[1].version(app).await?];
        Some(versions.map(|version| Call::Commit(app, version, Box::new(change.clone()))))
    }

    async fn acquire(&self, endpoint: usize, owner: usize) -> Option<[Call; 2]> {
        let lane = self.queues[endpoint].lane();
        let owner = self.owners[owner].clone();
        let mut seen = Vec::new();
        for side in &self.sides {
            seen.push(side.store.leases(&[lane]).await.unwrap().remove(0));
        }
        // Who has it does not take it.
        if seen[0].as_ref().is_some_and(|lease| lease.owner.as_ref() == Some(&owner)) {
            return None;
        }
        let mut seen = seen.into_iter();
        Some([(); 2].map(|()| Call::Acquire(lane, owner.clone(), seen.next().flatten())))
    }

    pub(super) fn fences(&self, endpoint: usize, owner: usize) -> [Fence; 2] {
        let lane = self.queues[endpoint].lane();
        [0, 1].map(|side: usize| self.sides[side].fence(lane, owner, &self.owners[owner]))
    }

    /// The entries of a lane's stream that are this universe's, in both stores.
    async fn streams(&self, lane: Lane) -> [Vec<(EntryId, Entry)>; 2] {
        let mut streams = [vec![], vec![]];
        for (side, stream) in self.sides.iter().zip(&mut streams) {
            *stream = side.store.page(lane, EntryId::START, ALL).await.unwrap();
            stream.retain(|(_, entry)| self.owns(entry));
        }
        streams
    }

    async fn park(&self, endpoint: usize, owner: usize, parks: &[Parking]) -> Option<[Call; 2]> {
        let queue = self.queues[endpoint];
        let [ours, theirs] = self.streams(queue.lane()).await;
        let mut calls = [vec![], vec![]];
        for parking in parks {
            let place = parking.nth.checked_rem(ours.len())?;
            let entry = &ours[place].1;
            let mut delivery = match entry {
                Entry::Delivery { delivery, .. } => *delivery,
                Entry::Nudge { .. } | Entry::FanOut(_) | Entry::Unknown => {
                    let Queue { app, endpoint, strand } = queue;
                    let message = self.messages[0].1;
                    Delivery { app, endpoint, strand, message, generation: STRANGE }
                }
            };
            match parking.wrong {
                None => {}
                Some(Mistake::AnotherStrand) => delivery.strand = another(delivery.strand),
                Some(_) => delivery.generation = STRANGE,
            }
            let delay = parking.delayed.map(|late| if late { HOUR } else { Duration::ZERO });
            let entries = [first_of(&ours, entry)?, first_of(&theirs, entry)?];
            for (entry, call) in entries.into_iter().zip(&mut calls) {
                call.push(Park { entry, delivery, delay });
            }
        }
        let [first, second] = self.fences(endpoint, owner);
        let [ours, theirs] = calls;
        Some([Call::Park(first, ours), Call::Park(second, theirs)])
    }

    async fn forget(&self, endpoint: usize, owner: usize, nth: usize) -> Option<[Call; 2]> {
        let [ours, theirs] = self.streams(self.queues[endpoint].lane()).await;
        let (_, entry) = ours.get(nth.checked_rem(ours.len())?)?;
        let entries = [first_of(&ours, entry)?, first_of(&theirs, entry)?];
        let [first, second] = self.fences(endpoint, owner);
        Some([Call::Forget(first, entries[0]), Call::Forget(second, entries[1])])
    }

    async fn settle(&self, owner: usize, endings: &[Ending]) -> Option<[Call; 2]> {
        let mut batches: [BTreeMap<Lane, Vec<Settlement>>; 2] = Default::default();
        let mut named = BTreeSet::new();
        for ending in endings {
            let Some(pair) = self.settlements(ending).await else { continue };
            if named.insert(pair[0].delivery) {
                for (settlement, batch) in pair.into_iter().zip(&mut batches) {
                    batch.entry(settlement.delivery.lane()).or_default().push(settlement);
                }
            }
        }
        let mut sides = self.sides.iter();
        let calls = batches.map(|batch| {
            let side = sides.next();
            let settle = batch.into_iter().filter_map(|(lane, settlements)| {
                let fence = side?.fence(lane, owner, &self.owners[owner]);
                Some(Settle { fence, settlements, states: vec![] })
            });
            Call::Settle(settle.collect())
        });
        (!named.is_empty()).then_some(calls)
    }

    /// What an ending means: the same in both stores, but for the place.
    async fn settlements(&self, ending: &Ending) -> Option<[Settlement; 2]> {
        let queue = self.queues[ending.endpoint];
        let [ours, theirs] = self.streams(queue.lane()).await;
        let (mut delivery, known, mut places) = if ending.waits {
            let waiting = self.model.waiting_for(queue.destination());
            let (delivery, known) = *waiting.get(ending.nth.checked_rem(waiting.len())?)?;
            (delivery, known, [Place::Waiting; 2])
        } else {
            let flowing = ours.iter().map(|(_, entry)| entry).filter_map(|entry| match entry {
                Entry::Delivery { delivery, .. }
                    if delivery.destination() == queue.destination() =>
                {
                    Some((entry, *delivery))
                }
                _ => None,
            });
            let flowing: Vec<_> = flowing.collect();
            let (entry, delivery) = *flowing.get(ending.nth.checked_rem(flowing.len())?)?;
            let entries = [first_of(&ours, entry)?, first_of(&theirs, entry)?];
            (delivery, 0, entries.map(Place::Stream))
        };
        let mut attempts = known + u32::from(ending.attempted);
        match ending.wrong {
            None => {}
            Some(Mistake::OneAttemptMore) => attempts += 1,
            Some(Mistake::OneAttemptLess) => attempts = attempts.checked_sub(1)?,
            Some(Mistake::AnotherGeneration) => delivery.generation = STRANGE,
            Some(Mistake::AnotherStrand) => delivery.strand = another(delivery.strand),
            Some(Mistake::AnotherPlace) if ending.waits => {
                places = [Place::Stream(ours.first()?.0), Place::Stream(theirs.first()?.0)];
            }
            Some(Mistake::AnotherPlace) => places = [Place::Waiting; 2],
        }
        let verdict = match ending.verdict {
            Outcome::Delivered => Verdict::Delivered,
            Outcome::RetryNow => Verdict::Retry { delay: Duration::ZERO, steps: attempts },
            Outcome::RetryLater => Verdict::Retry { delay: HOUR, steps: attempts / 2 },
            Outcome::Dead(reason) => Verdict::Dead(reason),
            Outcome::Deleted => Verdict::Deleted,
        };
        let record = ending.attempted.then(|| attempt(delivery, attempts));
        Some(places.map(|place| Settlement {
            delivery,
            place,
            attempts,
            verdict: verdict.clone(),
            record: record.clone(),
        }))
    }
}

/// The strand after this one.
fn another(strand: Strand) -> Strand {
    let place = STRANDS.iter().position(|other| *other == strand).unwrap();
    STRANDS[(place + 1) % STRANDS.len()]
}

/// Where a stream has this entry first: the nudges of one commit are not at the same place in both.
fn first_of(stream: &[(EntryId, Entry)], wanted: &Entry) -> Option<EntryId> {
    stream.iter().find(|(_, entry)| entry == wanted).map(|(id, _)| *id)
}

impl Side {
    async fn version(&self, app: AppId) -> Option<Version> {
        let found = self.store.configuration(app).await.unwrap();
        found.map(|configuration| configuration.version)
    }
}
