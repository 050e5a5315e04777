//! The node: keeps this process's lanes. It runs the rounds of [`Ownership`], starts an actor for each
//! lane gained, ends those of lanes lost, drains those that another node should have, and leads the
//! shutdown.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, ArbiterHandle, AsyncContext, Context, Handler, Message,
    ResponseFuture, WrapFuture,
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use shared::{
    placement::Lane,
    store::{Epoch, StoreError},
};

use crate::{
    connector::Connector,
    fetcher::Fetcher,
    lane::{Drain, LaneActor, Lost, Reread, Surroundings},
    mail::tell,
    ownership::{Gained, Ownership, Round},
    parts::Parts,
    reader::{Reader, Unwatch},
    settler::Settler,
};

/// A lane was told by the store that it belongs to another node.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct LaneFenced {
    pub(crate) lane: Lane,
    pub(crate) epoch: Epoch,
}

/// Give everything up; answered when that is done.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Leave;

#[derive(Message)]
#[rtype(result = "()")]
struct Drained(Lane);

/// A thread that serves lanes, with what lives on it.
pub(crate) struct Worker {
    pub(crate) arbiter: ArbiterHandle,
    pub(crate) connector: Arc<Connector>,
}

/// The stages that lanes share: one of each where the store's calls can span all shards, otherwise
/// one a shard.
pub(crate) struct Stages {
    pub(crate) fetchers: Vec<Addr<Fetcher>>,
    pub(crate) settlers: Vec<Addr<Settler>>,
}

fn stage<A: Actor>(stages: &[Addr<A>], lane: Lane) -> Addr<A> {
    stages[lane.shard().index() % stages.len()].clone()
}

/// The actor.
pub(crate) struct Node {
    parts: Arc<Parts>,
    /// Away while a round is under way.
    ownership: Option<Ownership>,
    lanes: HashMap<Lane, Running>,
    workers: Vec<Worker>,
    stages: Stages,
    reader: Addr<Reader>,
    /// Fenced while a round was under way.
    fenced: Vec<LaneFenced>,
    dead: Arc<Mutex<Vec<Lane>>>,
    leaving: bool,
}

struct Running {
    actor: Addr<LaneActor>,
    epoch: Epoch,
    draining: bool,
}

impl Node {
    pub(crate) fn new(
        parts: Arc<Parts>,
        ownership: Ownership,
        workers: Vec<Worker>,
        stages: Stages,
        reader: Addr<Reader>,
    ) -> Self {
        Self {
            parts,
            ownership: Some(ownership),
            lanes: HashMap::new(),
            workers,
            stages,
            reader,
            fenced: Vec::new(),
            dead: Arc::default(),
            leaving: false,
        }
    }

    /// Lanes whose actor died.
    pub(crate) fn dead_lanes(&self) -> Arc<Mutex<Vec<Lane>>> {
        Arc::clone(&self.dead)
    }

    fn round(&mut self, ctx: &mut Context<Self>) {
        if self.leaving {
            return;
        }
        // The round before is still under way: the store is slow.
        let Some(mut ownership) = self.ownership.take() else { return };
        self.bury(&mut ownership);
        let round = async move {
            let result = ownership.round().await;
            (ownership, result)
        };
        ctx.spawn(round.into_actor(self).map(|(ownership, result), me, ctx| {
            me.round_ended(ownership, result, ctx);
        }));
    }

    /// Finds lanes whose actor died: their lease runs out, and readiness fails.
    fn bury(&mut self, ownership: &mut Ownership) {
        let dead = &self.dead;
        self.lanes.retain(|lane, running| {
            let alive = running.actor.connected();
            if !alive {
                tracing::error!(%lane, "the lane's actor died");
                ownership.abandon(*lane);
                dead.lock().push(*lane);
            }
            alive
        });
    }

    fn round_ended(
        &mut self,
        mut ownership: Ownership,
        result: Result<Round, StoreError>,
        ctx: &mut Context<Self>,
    ) {
        for fenced in std::mem::take(&mut self.fenced) {
            ownership.forget(fenced.lane);
        }
        match result {
            Err(error) => {
                self.parts.metrics.store_error(error.kind());
                tracing::warn!(%error, "keeping the lanes failed, trying again");
            }
            Ok(round) => {
                for lane in round.lost {
                    self.lose(lane);
                }
                if round.store_changed {
                    tracing::warn!("the store is another one than before: reading all lanes again");
                    self.lanes.values().for_each(|running| tell(&running.actor, Reread));
                }
                for gained in round.gained {
                    self.start(gained, ctx);
                }
                for lane in round.surplus {
                    self.drain(lane, ctx);
                }
            }
        }
        self.parts.metrics.lanes.set(ownership.held() as i64);
        self.ownership = Some(ownership);
    }

    fn start(&mut self, Gained { tenure, unclean }: Gained, ctx: &mut Context<Self>) {
        let lane = tenure.lane();
        let Some(worker) = self.workers.get(usize::from(lane.index()) % self.workers.len()) else {
            return;
        };
        let around = Surroundings {
            unclean,
            fetcher: stage(&self.stages.fetchers, lane),
            settler: stage(&self.stages.settlers, lane),
            reader: self.reader.clone(),
            node: ctx.address(),
            tenure: Arc::clone(&tenure),
        };
        let (parts, connector) = (Arc::clone(&self.parts), Arc::clone(&worker.connector));
        let actor = LaneActor::start_in_arbiter(&worker.arbiter, move |_| {
            LaneActor::new(around, parts, connector)
        });
        let running = Running { actor, epoch: tenure.fence().epoch, draining: false };
        if let Some(before) = self.lanes.insert(lane, running) {
            tell(&before.actor, Lost);
        }
        tracing::debug!(%lane, unclean, "lane gained");
    }

    fn lose(&mut self, lane: Lane) {
        if let Some(running) = self.lanes.remove(&lane) {
            self.parts.metrics.fenced.inc();
            tracing::warn!(%lane, "lane lost to another node");
            tell(&running.actor, Lost);
            self.unwatch(vec![lane]);
        }
    }

    fn unwatch(&self, lanes: Vec<Lane>) {
        tell(&self.reader, Unwatch(lanes));
    }

    /// Hands a lane over: takes nothing new, finishes what is in flight, then releases the lease.
    fn drain(&mut self, lane: Lane, ctx: &mut Context<Self>) {
        let Some(running) = self.lanes.get_mut(&lane) else { return };
        if std::mem::replace(&mut running.draining, true) {
            return;
        }
        let actor = running.actor.clone();
        self.unwatch(vec![lane]);
        let me = ctx.address();
        actix_rt::spawn(async move {
            // One that died while it was drained is buried by the next round.
            if actor.send(Drain).await.is_ok() {
                // A node that has gone asks no more.
                let _ = me.send(Drained(lane)).await;
            }
        });
    }
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.round(ctx);
        ctx.run_interval(self.parts.config.lease_renewal, Self::round);
    }
}

impl Handler<LaneFenced> for Node {
    type Result = ();

    fn handle(&mut self, fenced: LaneFenced, _: &mut Self::Context) {
        let lane = fenced.lane;
        if self.lanes.get(&lane).is_none_or(|running| running.epoch != fenced.epoch) {
            return;
        }
        self.lanes.remove(&lane);
        self.unwatch(vec![lane]);
        match &mut self.ownership {
            Some(ownership) => ownership.forget(lane),
            None => self.fenced.push(fenced),
        }
    }
}

impl Handler<Drained> for Node {
    type Result = ();

    fn handle(&mut self, Drained(lane): Drained, ctx: &mut Self::Context) {
        if self.leaving {
            return;
        }
        // After the round that is under way: only one thing at a time may touch the ownership.
        let Some(mut ownership) = self.ownership.take() else {
            ctx.notify_later(Drained(lane), Duration::from_millis(20));
            return;
        };
        if let Some(running) = self.lanes.remove(&lane) {
            tell(&running.actor, Lost);
        }
        let release = async move {
            let result = ownership.release(lane).await;
            (ownership, result)
        };
        ctx.spawn(release.into_actor(self).map(move |(ownership, result), me, _| {
            if let Err(error) = result {
                tracing::warn!(%lane, %error, "release failed: the lease will run out");
            }
            me.ownership = Some(ownership);
        }));
    }
}

impl Handler<Leave> for Node {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) -> Self::Result {
        self.leaving = true;
        let Some(mut ownership) = self.ownership.take() else {
            // A round is under way: once more when it has ended.
            self.leaving = false;
            let me = ctx.address();
            return Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let _ = me.send(Leave).await;
            });
        };
        self.unwatch(self.lanes.keys().copied().collect());
        let drains: Vec<_> =
            self.lanes.iter().map(|(lane, running)| (*lane, running.actor.send(Drain))).collect();
        Box::pin(async move {
            let drained =
                join_all(drains.into_iter().map(async |(lane, drain)| (lane, drain.await)));
            for (lane, drained) in drained.await {
                // What it had in hand is nobody's knowledge: its next owner must see that in the lease.
                if drained.is_err() {
                    ownership.abandon(lane);
                }
            }
            if let Err(error) = ownership.leave().await {
                tracing::warn!(%error, "releasing the lanes failed: their leases will run out");
            }
        })
    }
}
