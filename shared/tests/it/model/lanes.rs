//! Lanes.

use std::time::Duration;

use bytes::Bytes;
use shared::{
    domain::{DeadLetter, Delivery, Destination, HOUR_MS, ORDERED_STRANDS, Queue, Strand, Tally},
    id::{AppId, EndpointId, MessageId},
    placement::Lane,
    store::{
        AgendaEntry, AgendaPage, Ask, Depth, Due, Entry, EntryId, Expand, Expanded, FanOut, Fence,
        Fetch, Fetched, Head, InFront, LONGEST_READ, LaneBatch, LaneRead, Lanes, Park, Parked,
        Place, Reader, Result, Settle, Settled, Settlement, StateChange, Verdict, Waiting,
    },
    time::Millis,
};
use tokio::time::Instant;

use super::{Model, Score, State, Wait};

struct ModelReader(Model);

#[async_trait::async_trait]
impl Reader for ModelReader {
    async fn read_within(
        &mut self,
        lanes: &[LaneRead],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<LaneBatch>> {
        let until = Instant::now() + wait.min(LONGEST_READ);
        loop {
            let appended = self.0.appended.notified();
            let batches = self.0.state().read(lanes, limit);
            let waited =
                !batches.is_empty() || tokio::time::timeout_at(until, appended).await.is_err();
            if waited {
                return Ok(batches);
            }
        }
    }
}

#[async_trait::async_trait]
impl Lanes for Model {
    async fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(ModelReader(self.clone())))
    }

    async fn page(
        &self,
        lane: Lane,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<(EntryId, Entry)>> {
        Ok(self.state().page(lane, after, limit))
    }

    async fn fetch(&self, fetches: &[Fetch]) -> Result<Vec<Fetched>> {
        let state = self.state();
        Ok(fetches.iter().map(|fetch| state.fetch(fetch)).collect())
    }

    async fn park(&self, fence: &Fence, parks: &[Park]) -> Result<Option<Vec<Parked>>> {
        let mut state = self.state();
        Ok(state.holds(fence).then(|| parks.iter().map(|park| state.park(park)).collect()))
    }

    async fn forget(&self, fence: &Fence, entries: &[EntryId]) -> Result<Option<()>> {
        let mut state = self.state();
        if !state.holds(fence) {
            return Ok(None);
        }
        let stream = state.streams.entry(fence.lane).or_default();
        let handled = |id: &EntryId, entry: &Entry| {
            matches!(entry, Entry::Nudge { .. }) && entries.contains(id)
        };
        stream.retain(|id, entry| !handled(id, entry));
        Ok(Some(()))
    }

    async fn expand(&self, fence: &Fence, expand: &Expand) -> Result<Option<Expanded>> {
        let mut state = self.state();
        let expanded = state.holds(fence).then(|| state.expand(fence.lane, expand));
        self.appended.notify_waiters();
        Ok(expanded)
    }

    async fn due(&self, fence: &Fence, asks: &[Ask]) -> Result<Option<Vec<Due>>> {
        let state = self.state();
        Ok(state.holds(fence).then(|| asks.iter().map(|ask| state.due(ask)).collect()))
    }

    async fn settle(&self, batch: &[Settle]) -> Result<Vec<Option<Vec<Settled>>>> {
        let mut state = self.state();
        let mut answers = Vec::new();
        for settle in batch {
            answers.push(state.holds(&settle.fence).then(|| {
                let settlements = settle.settlements.iter();
                let settled = settlements.map(|settlement| state.settle(settlement)).collect();
                settle.states.iter().for_each(|change| state.remember(change));
                settled
            }));
        }
        Ok(answers)
    }

    async fn agenda(&self, lane: Lane, from: Option<&str>, limit: usize) -> Result<AgendaPage> {
        let state = self.state();
        let mut entries = state
            .agenda
            .iter()
            .filter(|(queue, _)| {
                queue.lane() == lane && from.is_none_or(|from| queue.member().as_str() > from)
            })
            .collect::<Vec<_>>();
        entries.sort_by_key(|(queue, _)| queue.member());
        let next = entries.get(limit).and(entries.get(limit - 1));
        let next = next.map(|(queue, _)| queue.member());
        let entries = entries.into_iter().take(limit).map(|(queue, opens)| AgendaEntry {
            queue: *queue,
            opens_in: opens.saturating_duration_since(Instant::now()),
        });
        Ok(AgendaPage { entries: entries.collect(), next })
    }

    async fn states(&self, app: AppId, endpoints: &[EndpointId]) -> Result<Vec<Option<Bytes>>> {
        let state = self.state();
        let found = endpoints.iter().map(|&endpoint| Destination { app, endpoint });
        Ok(found.map(|found| state.endpoint_states.get(&found).cloned()).collect())
    }

    async fn heads(&self, of: Destination) -> Result<Vec<Head>> {
        let state = self.state();
        let queues = (0..ORDERED_STRANDS).map(|number| of.queue(Strand::Ordered(number)));
        let now = Instant::now();
        let heads = queues.filter_map(|queue| {
            let set = state.waiting.get(&queue)?;
            let (&delivery, wait) = set.iter().min_by_key(|(_, wait)| wait.score)?;
            let Wait { not_before, attempts, steps, .. } = *wait;
            Some(Head {
                first: Waiting { delivery, attempts, steps },
                opens_in: not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)),
                waiting: set.len() as u64,
            })
        });
        Ok(heads.collect())
    }

    async fn front(&self, queue: Queue, limit: usize) -> Result<Vec<InFront>> {
        let state = self.state();
        let mut set: Vec<_> = state.waiting.get(&queue).into_iter().flatten().collect();
        set.sort_by_key(|(delivery, wait)| (wait.score, **delivery));
        let in_front = |(delivery, wait): (&Delivery, &Wait)| InFront {
            waiting: Waiting { delivery: *delivery, attempts: wait.attempts, steps: wait.steps },
            lives: state.bodies.contains_key(&(delivery.app, delivery.message)),
        };
        Ok(set.into_iter().take(limit).map(in_front).collect())
    }

    async fn depths(&self, queues: &[Queue]) -> Result<Vec<Depth>> {
        let (state, now) = (self.state(), Instant::now());
        let depth = |queue: &Queue| {
            let set = state.waiting.get(queue).into_iter().flatten();
            let first = set.clone().min_by_key(|(_, wait)| wait.score);
            let parked = first.filter(|(_, wait)| matches!(wait.score, Score::Parked(_)));
            let due = |(_, wait): (&Delivery, &Wait)| match wait.score {
                Score::At(due) => now.checked_duration_since(due),
                Score::Parked(_) => None,
            };
            Depth {
                waiting: set.clone().count() as u64,
                parked: parked.map(|(delivery, _)| *delivery),
                overdue: set.filter_map(due).max(),
            }
        };
        Ok(queues.iter().map(depth).collect())
    }

    async fn waiting(&self, queue: Queue) -> Result<u64> {
        Ok(self.state().waiting.get(&queue).map_or(0, |set| set.len() as u64))
    }
}

impl State {
    fn page(&self, lane: Lane, after: EntryId, limit: usize) -> Vec<(EntryId, Entry)> {
        let stream = self.streams.get(&lane).into_iter().flatten();
        let behind = stream.filter(|(id, _)| **id > after).take(limit);
        behind.map(|(id, entry)| (*id, entry.clone())).collect()
    }

    fn read(&self, lanes: &[LaneRead], limit: usize) -> Vec<LaneBatch> {
        let batches = lanes.iter().map(|read| LaneBatch {
            lane: read.lane,
            entries: self.page(read.lane, read.after, limit),
            lease: self.leases.get(&read.lane).cloned(),
        });
        batches.filter(|batch| !batch.entries.is_empty()).collect()
    }

    fn fetch(&self, fetch: &Fetch) -> Fetched {
        if !self.holds(&fetch.fence) {
            return Fetched::Fenced;
        }
        let deliveries = fetch.deliveries.iter();
        let bodies = deliveries.clone().map(|of| self.bodies.get(&(of.app, of.message)));
        let records = bodies.map(|body| body.map(|body| body.record.clone())).collect();
        let versions = deliveries
            .filter_map(|of| Some((of.app, self.configurations.get(&of.app)?.version)))
            .collect();
        Fetched::Held { records, versions }
    }

    fn park(&mut self, park: &Park) -> Parked {
        if !self.take_from_stream(park.entry, &park.delivery) {
            return Parked::NotThere;
        }
        let (queue, now) = (park.delivery.queue(), Instant::now());
        let not_before = park.delay.map(|delay| now + delay);
        let score = match not_before {
            Some(at) if !queue.strand.is_ordered() => Score::At(at),
            _ => {
                self.last_park += 1;
                Score::Parked(self.last_park)
            }
        };
        let set = self.waiting.entry(queue).or_default();
        set.entry(park.delivery).or_insert(Wait { score, not_before, attempts: 0, steps: 0 });
        let opens = not_before.unwrap_or(now);
        if queue.strand.is_ordered() {
            self.agenda.entry(queue).or_insert(opens);
        } else {
            self.lower_agenda(queue, opens);
        }
        Parked::Moved
    }

    fn expand(&mut self, lane: Lane, expand: &Expand) -> Expanded {
        let stream = self.streams.entry(lane).or_default();
        if stream.get(&expand.entry) != Some(&Entry::FanOut(expand.fan_out)) {
            return Expanded::NotThere;
        }
        stream.remove(&expand.entry);
        let FanOut { app, message, .. } = expand.fan_out;
        self.append_targets(app, message, &expand.targets);
        if let Some(body) = self.bodies.get_mut(&(app, message)) {
            body.open += expand.targets.len();
        }
        match expand.rest() {
            Some(rest) => self.append(lane, Entry::FanOut(rest)),
            None => self.close(app, message, None),
        }
        Expanded::Done
    }

    fn due(&self, ask: &Ask) -> Due {
        let now = Instant::now();
        let set = self.waiting.get(&ask.queue).into_iter().flatten();
        let mut set: Vec<_> = set.map(|(delivery, wait)| (wait.score, *delivery, *wait)).collect();
        set.sort_by_key(|(score, delivery, _)| (*score, *delivery));
        if ask.queue.strand.is_ordered() {
            return due_in_order(&set, ask.parked);
        }
        let first = |limit: usize, wants: &dyn Fn(Score) -> bool| {
            let wanted = set.iter().filter(|(score, ..)| wants(*score)).take(limit);
            let waiting = wanted.map(|&(_, delivery, Wait { attempts, steps, .. })| Waiting {
                delivery,
                attempts,
                steps,
            });
            waiting.collect()
        };
        Due {
            parked: first(ask.parked, &|score| matches!(score, Score::Parked(_))),
            retries: first(ask.retries, &|score| matches!(score, Score::At(at) if at <= now)),
            next: set.iter().find_map(|(score, ..)| match score {
                Score::At(at) if *at > now => Some(*at - now),
                _ => None,
            }),
            waiting: set.len() as u64,
        }
    }

    fn settle(&mut self, settlement: &Settlement) -> Settled {
        let delivery = settlement.delivery;
        let queue = delivery.queue();
        let waits = self.waiting.get(&queue).and_then(|set| set.get(&delivery)).copied();
        let known = match (settlement.place, waits) {
            (Place::Waiting, None) => return Settled::NotThere,
            (Place::Waiting, Some(wait)) => wait.attempts,
            (Place::Stream(_), _) => 0,
        };
        if known + u32::from(settlement.record.is_some()) != settlement.attempts {
            return Settled::NotThere;
        }
        let is_retry = matches!(settlement.verdict, Verdict::Retry { .. });
        if settlement.place != Place::Waiting && queue.strand.is_ordered() && is_retry {
            return Settled::NotThere;
        }
        if let Place::Stream(entry) = settlement.place
            && !self.take_from_stream(entry, &delivery)
        {
            return Settled::NotThere;
        }

        let made = u64::from(settlement.record.is_some());
        match settlement.verdict {
            Verdict::Retry { delay, steps } if self.has_endpoint(queue) => {
                let at = Instant::now() + delay;
                let ordered = waits.filter(|_| queue.strand.is_ordered());
                let score = ordered.map_or(Score::At(at), |wait| wait.score);
                let (not_before, attempts) = (Some(at), settlement.attempts);
                let wait = Wait { score, not_before, attempts, steps };
                self.waiting.entry(queue).or_default().insert(delivery, wait);
                if queue.strand.is_ordered() {
                    self.agenda.insert(queue, at);
                } else {
                    self.lower_agenda(queue, at);
                }
                self.record(settlement);
                self.tally(settlement).failed += made;
            }
            Verdict::Retry { .. } | Verdict::Deleted => self.end(settlement, None),
            Verdict::Delivered => {
                self.record(settlement);
                self.tally(settlement).delivered += made;
                self.end(settlement, None);
            }
            Verdict::Dead(reason) => {
                self.record(settlement);
                self.tally(settlement).given_up += 1;
                self.tally(settlement).failed += made;
                let letter = DeadLetter {
                    endpoint: delivery.endpoint,
                    message: delivery.message,
                    generation: delivery.generation,
                    reason,
                    attempts: settlement.attempts,
                    at: Millis::now(),
                    extra: Default::default(),
                };
                self.dead.push((delivery.app, letter));
                self.end(settlement, Some(self.lifetimes.history));
            }
        }
        Settled::Done
    }

    /// Removes the entry, if it is this very delivery's.
    fn take_from_stream(&mut self, id: EntryId, wanted: &Delivery) -> bool {
        let stream = self.streams.entry(wanted.lane()).or_default();
        let found = stream.get(&id);
        let there = matches!(found, Some(Entry::Delivery { delivery, .. }) if delivery == wanted);
        if there {
            stream.remove(&id);
        }
        there
    }

    fn record(&mut self, settlement: &Settlement) {
        let attempts = settlement.record.iter().cloned();
        self.attempts.extend(attempts.map(|attempt| (settlement.delivery.app, attempt)));
    }

    fn tally(&mut self, settlement: &Settlement) -> &mut Tally {
        let hour = Millis::now().0 / HOUR_MS;
        self.tallies.entry((settlement.delivery.queue().destination(), hour)).or_default()
    }

    /// The delivery waits no more, and is no longer one for which the body is kept.
    fn end(&mut self, settlement: &Settlement, needed_for: Option<Duration>) {
        let Delivery { app, message, .. } = settlement.delivery;
        let queue = settlement.delivery.queue();
        if settlement.place == Place::Waiting
            && let Some(set) = self.waiting.get_mut(&queue)
        {
            set.remove(&settlement.delivery);
            if set.is_empty() {
                self.waiting.remove(&queue);
                self.agenda.remove(&queue);
            } else if queue.strand.is_ordered() {
                self.lower_agenda(queue, Instant::now());
            }
        }
        self.close(app, message, needed_for);
    }

    /// One open delivery of a message less.
    fn close(&mut self, app: AppId, message: MessageId, needed_for: Option<Duration>) {
        let now = Instant::now();
        if let Some(body) = self.bodies.get_mut(&(app, message)) {
            body.needed = body.needed.max(needed_for.map(|lifetime| now + lifetime));
            body.open = body.open.saturating_sub(1);
            body.charged &= body.open > 0;
            let least = if body.open == 0 { now + body.retention } else { body.expires };
            body.expires = body.needed.map_or(least, |needed| needed.max(least));
        }
    }

    pub(super) fn lower_agenda(&mut self, queue: Queue, opens: Instant) {
        let entry = self.agenda.entry(queue).or_insert(opens);
        *entry = opens.min(*entry);
    }

    fn remember(&mut self, change: &StateChange) {
        if let Some(state) = &change.state {
            self.endpoint_states.insert(change.queue.destination(), state.clone());
        }
        if let (Some(delay), Some(opens)) = (change.reopens, self.agenda.get_mut(&change.queue)) {
            *opens = Instant::now() + delay;
        }
    }
}

/// What an ordered queue has, of all that waits in it.
fn due_in_order(set: &[(Score, Delivery, Wait)], wanted: usize) -> Due {
    let now = Instant::now();
    let mut due = Due { waiting: set.len() as u64, ..Due::default() };
    for &(_, delivery, Wait { not_before, attempts, steps, .. }) in set.iter().take(wanted) {
        if let Some(at) = not_before.filter(|at| *at > now) {
            due.next = Some(at - now);
            break;
        }
        due.parked.push(Waiting { delivery, attempts, steps });
    }
    due
}
