//! The batcher: an actor that makes calls of what is waiting, one or two at a time. A batch is what came
//! while the calls before it were under way. Where nobody waits for the answers, calls also keep a
//! [distance](Stage::distance), so that batches are larger still.
//!
//! A call that the store refuses may fail because of what a single lane holds. Each lane's part of it
//! then goes on by itself, beside the shared calls, and its lane starts nothing before that is over:
//! what it sends could not be settled.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use prometheus::IntGauge;

use crate::{
    distance::Distance,
    lane::{Event, LaneActor},
    mail::{Resident, tell},
    metrics::{Mailbox, Metrics},
    parts::Parts,
    persist::Pauses,
};

const SOUND_EVERY: Duration = Duration::from_secs(1);

/// What a batcher gathers, and the call that it makes of it.
pub(crate) trait Stage: Unpin + 'static {
    /// What a lane sends.
    type Wish: Send + 'static;
    /// One lane's part of a call.
    type Part: 'static;
    /// Calls under way at once: with one the batches are larger, with two nobody waits for the end of
    /// the call before.
    const CALLS: usize;

    /// The distance that calls keep, if they do.
    fn distance() -> Option<Distance>;

    /// Takes note of a wish.
    fn add(&mut self, wish: Self::Wish);

    /// Whether what waits fills a call, or somebody waits for it: then the distance does not count.
    fn is_urgent(&self) -> bool;

    /// What the next call takes; `None` if nothing waits.
    fn take(&mut self) -> Option<Vec<Self::Part>>;

    /// Whether there is nothing to call for.
    fn is_empty(&self) -> bool;

    /// How many deliveries wait for a call.
    fn depth(&self) -> usize;

    /// Where that is shown, and as whose mailbox this one is measured.
    fn shown(metrics: &Metrics) -> (&IntGauge, Mailbox);

    /// Whose part it is.
    fn lane(part: &Self::Part) -> &Resident<LaneActor>;

    /// Makes the call and answers the lanes, or gives back what the store refused.
    fn call(
        batch: Vec<Self::Part>,
        parts: Arc<Parts>,
    ) -> impl Future<Output = Result<(), Refused<Self::Part>>> + 'static;
}

/// The batch of a call that the store refused.
pub(crate) struct Refused<P>(pub(crate) Vec<P>);

/// A lane's wish.
pub(crate) struct Enqueue<S: Stage>(pub(crate) S::Wish);

impl<S: Stage> Message for Enqueue<S> {
    type Result = ();
}

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

#[derive(Message)]
#[rtype(result = "()")]
struct CallEnded;

/// Sent to oneself, to see how long the mailbox is.
#[derive(Message)]
#[rtype(result = "()")]
struct Sound(Instant);

/// The actor.
pub(crate) struct Batcher<S> {
    parts: Arc<Parts>,
    stage: S,
    calls: usize,
    flush: NextFlush,
    distance: Option<Distance>,
    /// What it shows of its depth.
    shown: i64,
}

/// When a call will be made, if one may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NextFlush {
    NotAsked,
    /// Once the distance is kept.
    Later,
    Soon,
}

impl<S: Stage> Batcher<S> {
    pub(crate) fn new(stage: S, parts: Arc<Parts>) -> Self {
        let (flush, distance) = (NextFlush::NotAsked, S::distance());
        Self { parts, stage, calls: 0, flush, distance, shown: 0 }
    }

    /// After what is in the mailbox already, so that it joins the batch, or when the distance is kept.
    fn flush_soon(&mut self, ctx: &mut Context<Self>) {
        if self.calls == S::CALLS || self.flush == NextFlush::Soon {
            return;
        }
        if self.stage.is_urgent() {
            return self.flush_now(ctx);
        }
        if self.flush == NextFlush::Later || self.stage.is_empty() {
            return;
        }
        match self.distance.as_ref().map_or(Ok(()), Distance::check) {
            Ok(()) => self.flush_now(ctx),
            Err(pause) => {
                self.flush = NextFlush::Later;
                ctx.run_later(pause, |me, ctx| {
                    // Something urgent may have come before.
                    if me.flush == NextFlush::Later {
                        me.flush = NextFlush::NotAsked;
                        me.flush_soon(ctx);
                    }
                });
            }
        }
    }

    fn flush_now(&mut self, ctx: &mut Context<Self>) {
        self.flush = NextFlush::Soon;
        ctx.notify(Flush);
    }
}

impl<S: Stage> Actor for Batcher<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Nearly each wish comes with a permit, so there are never many more than permits.
        ctx.set_mailbox_capacity(self.parts.config.max_in_flight);
        ctx.run_interval(SOUND_EVERY, |_, ctx| tell(&ctx.address(), Sound(Instant::now())));
    }
}

impl<S: Stage> Handler<Enqueue<S>> for Batcher<S> {
    type Result = ();

    fn handle(&mut self, Enqueue(wish): Enqueue<S>, ctx: &mut Self::Context) {
        self.stage.add(wish);
        self.flush_soon(ctx);
    }
}

impl<S: Stage> Handler<Flush> for Batcher<S> {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) {
        self.flush = NextFlush::NotAsked;
        while self.calls < S::CALLS
            && let Some(batch) = self.stage.take()
        {
            self.calls += 1;
            let (call, me) = (S::call(batch, Arc::clone(&self.parts)), ctx.address());
            let parts = Arc::clone(&self.parts);
            actix_rt::spawn(async move {
                if let Err(Refused(batch)) = call.await {
                    for part in batch {
                        actix_rt::spawn(alone::<S>(part, Arc::clone(&parts)));
                    }
                }
                // The mailbox is closed only when the process ends.
                let _ = me.send(CallEnded).await;
            });
        }
    }
}

impl<S: Stage> Handler<CallEnded> for Batcher<S> {
    type Result = ();

    fn handle(&mut self, _: CallEnded, ctx: &mut Self::Context) {
        self.calls -= 1;
        self.flush_soon(ctx);
    }
}

impl<S: Stage> Handler<Sound> for Batcher<S> {
    type Result = ();

    fn handle(&mut self, Sound(sent): Sound, _: &mut Self::Context) {
        let (gauge, mailbox) = S::shown(&self.parts.metrics);
        self.parts.metrics.heard(mailbox, sent.elapsed());
        // There may be several of them, which share the gauge.
        let depth = self.stage.depth() as i64;
        gauge.add(depth - self.shown);
        self.shown = depth;
    }
}

/// Repeats one lane's part until the store has answered it, or the lane has ended.
async fn alone<S: Stage>(part: S::Part, parts: Arc<Parts>) {
    let lane = S::lane(&part).clone();
    lane.tell(Event::Refused);
    let (mut batch, mut pauses) = (vec![part], Pauses::new());
    while let Err(Refused(again)) = S::call(batch, Arc::clone(&parts)).await
        && lane.connected()
    {
        batch = again;
        pauses.pause().await;
    }
    lane.tell(Event::Accepted);
}
