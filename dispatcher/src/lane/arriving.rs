//! What comes out of the stream: held if its endpoint will want it soon, parked if not. Nudges lead to
//! a fresh look at the configuration.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::Arc,
    time::Duration,
};

use actix::{AsyncContext, Context};
use bytes::Bytes;
use shared::{
    domain::{Delivery, Destination, ServingState, Strand},
    id::{AppId, EndpointId},
    store::{Entry, EntryId, NudgeKind, Place, StoreError},
    time::Millis,
};
use tokio::time::Instant;

use super::{Arrivals, Event, LaneActor, Stage, backlog::Ready, seat::Configuration};
use crate::{
    log::Line,
    metrics::Reason,
    parts::Parts,
    persist::{survived, until_answered},
    routes::{Route, Routes},
};

/// Before a configuration that could not be loaded is asked for again.
const LOAD_AGAIN: Duration = Duration::from_secs(1);

/// A wish to know an endpoint's configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    destination: Destination,
    /// The nudge that it follows: what is cached is too old then.
    nudge: Option<EntryId>,
}

/// What came of a wish.
pub(crate) enum Loaded {
    /// Its route, and what its last owner remembered, unless that was not asked for.
    Route(Arc<Route>, Option<Box<ServingState>>),
    /// There is no such endpoint any more.
    Deleted,
    /// The store did not answer, or with something that cannot be read.
    Failed,
}

/// What was loaded of an application.
struct Configured {
    /// `None`: it was deleted.
    routes: Option<Arc<Routes>>,
    states: HashMap<EndpointId, Box<ServingState>>,
}

/// Loads an application's configuration, and what is remembered of the endpoints that are new here.
async fn load(
    parts: &Parts,
    app: AppId,
    afresh: bool,
    new: Vec<EndpointId>,
) -> Result<Configured, StoreError> {
    // Who is nudged before this process served it is not heard of: that an endpoint is closed, which
    // nothing would ever ask again, is not believed.
    let is_open = |routes: &Routes, endpoint: &EndpointId| {
        routes.get(*endpoint).is_some_and(|route| route.open)
    };
    let routes = match parts.routes.cached(app) {
        Some(routes) if !afresh && new.iter().all(|one| is_open(&routes, one)) => Some(routes),
        _ => parts.routes.load(app).await?,
    };
    if let Some(routes) = routes.as_ref().filter(|routes| !routes.named_limits().is_empty()) {
        parts.named.ensure(&*parts.store, routes.named_limits()).await?;
    }
    let records = match new.as_slice() {
        [] => Vec::new(),
        new => parts.store.states(app, new).await?,
    };
    let read = |(endpoint, record): (EndpointId, Option<Bytes>)| {
        let state =
            record.map_or(Ok(ServingState::default()), |record| serde_json::from_slice(&record));
        let state = state.unwrap_or_else(|error| {
            if let Some(left_out) = parts.metrics.line(Line::Record) {
                tracing::error!(%app, %endpoint, %error, left_out, "state cannot be read, beginning without");
            }
            ServingState::default()
        });
        (endpoint, Box::new(state))
    };
    Ok(Configured { routes, states: new.into_iter().zip(records).map(read).collect() })
}

impl LaneActor {
    pub(super) fn arrived(&mut self, arrivals: Arrivals, ctx: &mut Context<Self>) {
        let fence = self.tenure.fence();
        let held = arrivals.lease.as_ref().is_some_and(|lease| {
            lease.epoch == fence.epoch && lease.owner.as_ref() == Some(&fence.owner)
        });
        if !held {
            return self.fenced(ctx);
        }
        // What lies between was asked for once more, and so comes this: all in its order.
        if self.draining || arrivals.after > self.position {
            return;
        }
        let mut touched = Vec::new();
        for (id, entry) in arrivals.entries {
            // A read that was interrupted comes again; what it brought is in hand, or settled.
            if id <= self.position {
                continue;
            }
            self.position = id;
            if !self.checks.is_stale(id, &entry) {
                touched.extend(self.take_up(id, entry));
            }
        }
        touched.dedup();
        let now = Instant::now();
        for destination in touched {
            self.pump(destination, now, ctx);
        }
    }

    /// Takes an entry of the stream in hand; answers whose it is.
    pub(super) fn take_up(&mut self, id: EntryId, entry: Entry) -> Option<Destination> {
        match entry {
            Entry::Delivery { delivery, not_before } => {
                if self.held.contains_key(&delivery) {
                    return None;
                }
                self.take_up_delivery(id, delivery, not_before);
                Some(delivery.destination())
            }
            Entry::Nudge { queue, kind } => {
                if self.nudges.insert(id) {
                    tracing::debug!(?queue, kind = kind.name(), "nudged");
                    match kind {
                        NudgeKind::Changed | NudgeKind::Deleted => {
                            let destination = queue.destination();
                            self.wishes.push(Wish { destination, nudge: Some(id) });
                        }
                        NudgeKind::Task => self.task_nudged(queue.destination(), id),
                    }
                }
                None
            }
            Entry::FanOut(fan_out) => {
                self.take_up_fan_out(id, fan_out);
                None
            }
            Entry::Unknown => None,
        }
    }

    fn take_up_delivery(&mut self, id: EntryId, delivery: Delivery, not_before: Option<Millis>) {
        let now = Instant::now();
        let place = Place::Stream(id);
        let delay = not_before.map(|time| time.since(Millis::now())).filter(|d| !d.is_zero());
        self.count_after_takeover(&delivery, now);
        let seat = self.seat(delivery.destination(), now);
        let ready = Ready { delivery, place, attempts: 0, steps: 0 };
        if delay.is_none() && seat.takes_arrivals(delivery.strand, now) {
            seat.push(ready, now);
            self.hold(delivery, place, Stage::Ready);
        } else {
            let reason = match (delay, delivery.strand) {
                (Some(_), _) => Reason::Delayed,
                (None, Strand::Live) => seat.reason(now),
                (None, Strand::Replay | Strand::Ordered(_)) => Reason::Order,
            };
            seat.backlog(delivery.strand).held += 1;
            self.parts.metrics.deferred(reason, 1);
            self.hold(delivery, place, Stage::Ready);
            self.park(id, delivery, delay);
        }
    }

    /// Asks for an endpoint's configuration, unless that is under way.
    pub(super) fn wish(&mut self, destination: Destination) {
        if let Some(seat) = self.seats.get_mut(&destination)
            && seat.configuration == Configuration::Unknown
        {
            seat.configuration = Configuration::Asked;
            self.wishes.push(Wish { destination, nudge: None });
        }
    }

    /// One load at a time for an application: many nudges of it load it once. Applications do not
    /// wait for each other.
    pub(super) fn configure_wished(&mut self, ctx: &mut Context<Self>) {
        if self.wishes.is_empty() {
            return;
        }
        let mut apps = BTreeMap::<AppId, Vec<Wish>>::new();
        for wish in mem::take(&mut self.wishes) {
            match self.configuring.contains(&wish.destination.app) {
                true => self.wishes.push(wish),
                false => apps.entry(wish.destination.app).or_default().push(wish),
            }
        }
        for (app, wishes) in apps {
            self.configuring.insert(app);
            let parts = Arc::clone(&self.parts);
            self.run(ctx, async move {
                let nudged = wishes.iter().any(|wish| wish.nudge.is_some());
                let new = wishes.iter().filter(|wish| wish.nudge.is_none());
                let new = new.map(|wish| wish.destination.endpoint).collect();
                let loaded = survived(load(&parts, app, nudged, new)).await.inspect_err(|error| {
                    parts.metrics.store_error(error.kind());
                    if let Some(left_out) = parts.metrics.line(Line::Configuration) {
                        tracing::warn!(%app, %error, left_out, "configuration cannot be loaded");
                    }
                });
                let loaded = |wish: Wish| {
                    let Ok(Configured { routes, states }) = &loaded else {
                        return (wish, Loaded::Failed);
                    };
                    let endpoint = wish.destination.endpoint;
                    let route = routes.as_ref().and_then(|routes| routes.get(endpoint));
                    let state = match wish.nudge {
                        None => states.get(&endpoint).cloned(),
                        Some(_) => None,
                    };
                    let loaded = route.map(|route| Loaded::Route(route, state));
                    (wish, loaded.unwrap_or(Loaded::Deleted))
                };
                Event::Configured(app, wishes.into_iter().map(loaded).collect())
            });
        }
    }

    pub(super) fn configured(
        &mut self,
        app: AppId,
        loaded: Vec<(Wish, Loaded)>,
        ctx: &mut Context<Self>,
    ) {
        self.configuring.remove(&app);
        let now = Instant::now();
        let mut failed = Vec::new();
        for (wish, loaded) in loaded {
            let route = match loaded {
                Loaded::Route(route, state) => Some((route, state)),
                Loaded::Deleted => None,
                Loaded::Failed => {
                    failed.push(wish);
                    continue;
                }
            };
            self.to_forget.extend(wish.nudge);
            let Some(seat) = self.seats.get_mut(&wish.destination) else { continue };
            // One whose own wish is not answered yet must not be served without its state.
            if wish.nudge.is_some() && !seat.is_configured() {
                continue;
            }
            seat.configure(route.as_ref().map(|(route, _)| route.as_ref()), now);
            if let Some((route, _)) = &route {
                seat.take_over(route, self.parts.named.known().as_ref());
            }
            if let Some((_, Some(state))) = &route {
                self.restore(wish.destination, state);
            }
            // What is prepared was prepared for the configuration before.
            self.put_back_primed(wish.destination);
            self.pump(wish.destination, now, ctx);
        }
        if !failed.is_empty() {
            // Not at once.
            ctx.run_later(LOAD_AGAIN, move |me, ctx| {
                me.wishes.append(&mut failed);
                me.finish(ctx);
            });
        }
    }

    pub(super) fn forget_nudges(&mut self, ctx: &mut Context<Self>) {
        if self.forgetting || self.to_forget.is_empty() {
            return;
        }
        self.forgetting = true;
        let entries = mem::take(&mut self.to_forget);
        let (parts, tenure) = (Arc::clone(&self.parts), Arc::clone(&self.tenure));
        self.run(ctx, async move {
            let answer = until_answered(&parts.metrics, "forget nudges", async || {
                parts.store.forget(tenure.fence(), &entries).await
            })
            .await;
            Event::Forgotten(entries, answer)
        });
    }

    pub(super) fn forgotten(&mut self, entries: &[EntryId]) {
        self.forgetting = false;
        for entry in entries {
            self.nudges.remove(entry);
        }
    }
}
