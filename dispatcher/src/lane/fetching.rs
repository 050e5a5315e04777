//! Credits for those that wait for one, and the bodies of what was started.

use std::{mem, sync::Arc};

use actix::{AsyncContext, Context};
use shared::{
    domain::{Delivery, Message},
    store::{Fetch, Fetched},
    time::Millis,
};
use tokio::time::Instant;

use super::{Event, LaneActor, seat::Ready};
use crate::{
    credits::Permit, parts::Parts, persist::until_answered, routes::Route, tenure::Tenure,
};

/// Bodies in one call.
const FETCH_BATCH: usize = 64;
/// Calls for bodies under way at once.
const FETCHES: usize = 2;

/// A delivery that was started, with the right to hold it.
pub(crate) struct Taken {
    pub(super) ready: Ready,
    pub(super) permit: Permit,
    /// When the message was accepted: known once its body was read.
    pub(super) accepted_at: Option<Millis>,
}

/// A started delivery with what its attempt needs, or why there can be none.
pub(crate) struct Prepared {
    pub(super) taken: Taken,
    pub(super) found: Found,
}

pub(super) enum Found {
    Sendable(Message, Arc<Route>),
    /// The endpoint is disabled.
    Disabled,
    /// The endpoint or its application was deleted.
    Deleted,
    /// The body is gone.
    Expired,
    /// The body cannot be read.
    Corrupt,
}

impl LaneActor {
    /// Waits in line for a credit on behalf of the first hungry queue.
    pub(super) fn ask_for_credit(&mut self, ctx: &mut Context<Self>) {
        if self.credit_asked || self.draining {
            return;
        }
        let Some(queue) = self.hungry.front() else { return };
        let proven = self.seats.get(queue).is_some_and(|seat| seat.brain.is_proven());
        let (credits, me) = (self.parts.credits.clone(), ctx.address());
        self.credit_asked = true;
        actix_rt::spawn(async move {
            if let Some(permit) = credits.take(proven).await {
                // A lane that has ended drops the permit, which is what it should do.
                let _ = me.send(Event::Credit(permit)).await;
            }
        });
    }

    /// A credit came: the first hungry queue gets it.
    pub(super) fn feed(&mut self, permit: Permit, ctx: &mut Context<Self>) {
        self.credit_asked = false;
        let Some(queue) = self.hungry.pop_front() else { return };
        if let Some(seat) = self.seats.get_mut(&queue) {
            seat.hungry = false;
        }
        self.pump_with(queue, Some(permit), Instant::now(), ctx);
    }

    /// Reads the bodies of what was started.
    pub(super) fn fetch(&mut self, ctx: &mut Context<Self>) {
        while self.fetches < FETCHES && !self.to_fetch.is_empty() {
            self.fetches += 1;
            let rest = self.to_fetch.split_off(self.to_fetch.len().min(FETCH_BATCH));
            let taken = mem::replace(&mut self.to_fetch, rest);
            let (parts, tenure) = (Arc::clone(&self.parts), Arc::clone(&self.tenure));
            self.run(ctx, async move { Event::Prepared(prepare(taken, &parts, &tenure).await) });
        }
    }
}

/// Reads bodies and routes; `None`: the lane is fenced.
async fn prepare(taken: Vec<Taken>, parts: &Parts, tenure: &Tenure) -> Option<Vec<Prepared>> {
    let deliveries = taken.iter().map(|taken| taken.ready.delivery).collect();
    let fetch = [Fetch { fence: tenure.fence().clone(), deliveries }];
    let answers =
        until_answered(&parts.metrics, "fetch", async || parts.store.fetch(&fetch).await).await;
    let Some(Fetched::Held { records, versions }) = answers.into_iter().next() else {
        return None;
    };
    let mut prepared = Vec::with_capacity(taken.len());
    for (taken, record) in taken.into_iter().zip(records) {
        let Delivery { app, endpoint, .. } = taken.ready.delivery;
        let routes = match versions.get(&app) {
            None => None,
            Some(version) => {
                until_answered(&parts.metrics, "load configuration", async || {
                    parts.routes.at(app, *version).await
                })
                .await
            }
        };
        let found = match (routes.and_then(|routes| routes.get(endpoint)), record) {
            (None, _) => Found::Deleted,
            (Some(_), None) => Found::Expired,
            (Some(route), _) if route.endpoint.disabled => Found::Disabled,
            (Some(route), Some(record)) => match Message::decode(&record) {
                Ok(message) => Found::Sendable(message, route),
                Err(error) => {
                    tracing::error!(message = %taken.ready.delivery.message, %error, "corrupt record");
                    Found::Corrupt
                }
            },
        };
        prepared.push(Prepared { taken, found });
    }
    Some(prepared)
}
