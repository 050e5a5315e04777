//! The node: keeps this process's lanes. It runs the rounds of [`Ownership`], starts an actor for each
//! lane gained, ends those of lanes lost, drains those that another node should have, and leads the
//! shutdown.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture,
    WrapFuture,
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use shared::{placement::Lane, store::Epoch};

use crate::{
    destinations::{SurveyAll, Surveyed},
    lane::{Drain, LaneActor, Lost, Reread, Stuck, Surroundings},
    mail::tell,
    metrics::Renewal,
    ownership::{Gained, Ownership, Round},
    parts::Parts,
    reader::{Reader, Unwatch},
    workers::{Stages, Worker},
};

/// How soon it looks again for lanes that it should hold and another node still does.
const SEEK: Duration = Duration::from_millis(100);

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

/// A lane has nothing in hand any more.
#[derive(Message)]
#[rtype(result = "()")]
struct Drained {
    lane: Lane,
    epoch: Epoch,
}

/// All lanes are drained: release them.
#[derive(Message)]
#[rtype(result = "()")]
struct Release;

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
    /// Drained: to be released when no round is under way.
    drained: Vec<(Lane, Epoch)>,
    /// It will soon look again for lanes that are free.
    seeking: bool,
    leaving: bool,
}

/// What is done with the ownership.
#[derive(Clone, Copy)]
enum Task {
    Round,
    /// Only what is held is kept.
    Keep,
    /// Only what is free is taken.
    Seek,
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
            drained: Vec::new(),
            seeking: false,
            leaving: false,
        }
    }

    /// Lanes whose actor died.
    pub(crate) fn dead_lanes(&self) -> Arc<Mutex<Vec<Lane>>> {
        Arc::clone(&self.dead)
    }

    fn round(&mut self, ctx: &mut Context<Self>) {
        // What is in flight while it leaves must not be sent by another owner: leases stay alive.
        let what = if self.leaving { Task::Keep } else { Task::Round };
        self.begin(what, ctx);
    }

    fn begin(&mut self, what: Task, ctx: &mut Context<Self>) {
        // The round before is still under way: the store is slow.
        let Some(mut ownership) = self.ownership.take() else { return };
        self.bury(&mut ownership);
        let round = async move {
            let mut round = Round::default();
            let result = match what {
                Task::Keep => ownership.keep(&mut round).await,
                Task::Round => ownership.round(&mut round).await,
                Task::Seek => ownership.seek(&mut round).await,
            };
            (ownership, round, result)
        };
        ctx.spawn(round.into_actor(self).map(move |(ownership, round, result), me, ctx| {
            let well = result.is_ok();
            if let Err(error) = result {
                me.parts.metrics.store_error(error.kind());
                if round.renewed == 0 && !matches!(what, Task::Seek) {
                    me.parts.metrics.renewed(Renewal::Failed, ownership.held());
                }
                tracing::warn!(%error, "keeping the lanes failed, trying again");
            }
            me.round_ended(ownership, round, ctx);
            me.seek_soon(well, ctx);
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

    fn round_ended(&mut self, mut ownership: Ownership, round: Round, ctx: &mut Context<Self>) {
        for LaneFenced { lane, epoch } in std::mem::take(&mut self.fenced) {
            ownership.forget(lane, epoch);
        }
        self.parts.metrics.renewed(Renewal::Renewed, round.renewed);
        self.parts.metrics.renewed(Renewal::Lost, round.lost.len());
        for lane in round.lost {
            self.lose(lane);
        }
        if round.store_changed {
            tracing::warn!("the store is another one than before: reading all lanes again");
            self.parts.routes.forget();
            self.lanes.values().for_each(|running| tell(&running.actor, Reread));
        }
        if !self.leaving {
            for gained in round.gained {
                self.start(gained, ctx);
            }
            for lane in round.surplus {
                self.drain(lane, ctx);
            }
        }
        self.parts.metrics.lanes.set(ownership.held() as i64);
        self.parts.metrics.nodes.set(ownership.nodes() as i64);
        self.ownership = Some(ownership);
        self.release_drained(ctx);
    }

    /// What another node hands over should not lie about until the next round.
    fn seek_soon(&mut self, well: bool, ctx: &mut Context<Self>) {
        let waiting = self.ownership.as_ref().is_some_and(Ownership::is_waiting);
        if self.leaving || self.seeking || !well || !waiting {
            return;
        }
        self.seeking = true;
        ctx.run_later(SEEK, |me, ctx| {
            me.seeking = false;
            if !me.leaving {
                me.begin(Task::Seek, ctx);
            }
        });
    }

    fn start(&mut self, Gained { tenure, unclean }: Gained, ctx: &mut Context<Self>) {
        let lane = tenure.lane();
        let Some(worker) = self.workers.get(usize::from(lane.index()) % self.workers.len()) else {
            return;
        };
        let around = Surroundings {
            unclean,
            fetcher: self.stages.fetcher(lane),
            settler: self.stages.settler(lane),
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
        self.parts.metrics.gained(unclean, 1);
        tracing::debug!(%lane, unclean, "lane gained");
    }

    fn lose(&mut self, lane: Lane) {
        if let Some(running) = self.lanes.remove(&lane) {
            self.parts.metrics.fenced.inc();
            tracing::warn!(%lane, "lane lost to another node");
            tell(&running.actor, Lost);
            self.unwatch(vec![(lane, running.epoch)]);
        }
    }

    fn unwatch(&self, lanes: Vec<(Lane, Epoch)>) {
        tell(&self.reader, Unwatch(lanes));
    }

    /// Hands a lane over: takes nothing new, finishes what is in flight, then releases the lease.
    fn drain(&mut self, lane: Lane, ctx: &mut Context<Self>) {
        let Some(running) = self.lanes.get_mut(&lane) else { return };
        if std::mem::replace(&mut running.draining, true) {
            return;
        }
        let (actor, epoch) = (running.actor.clone(), running.epoch);
        let me = ctx.address();
        actix_rt::spawn(async move {
            if drained(me.clone(), lane, epoch, actor, false).await {
                // A node that has gone asks no more.
                let _ = me.send(Drained { lane, epoch }).await;
            }
        });
    }

    /// Releases what is drained, unless a round is under way: it does so when it ends.
    fn release_drained(&mut self, ctx: &mut Context<Self>) {
        if self.drained.is_empty() {
            return;
        }
        let Some(mut ownership) = self.ownership.take() else { return };
        let drained = std::mem::take(&mut self.drained);
        // A lane that was lost meanwhile may be held once more.
        let still = |(lane, epoch): &(Lane, Epoch)| {
            self.lanes.get(lane).is_some_and(|running| running.epoch == *epoch)
        };
        let lanes: Vec<_> = drained.into_iter().filter(still).map(|(lane, _)| lane).collect();
        for lane in &lanes {
            if let Some(running) = self.lanes.remove(lane) {
                tell(&running.actor, Lost);
            }
        }
        self.parts.metrics.handed_over.inc_by(lanes.len() as u64);
        let release = async move {
            for lane in lanes {
                if let Err(error) = ownership.release(lane).await {
                    tracing::warn!(%lane, %error, "release failed: the lease will run out");
                }
            }
            ownership
        };
        ctx.spawn(release.into_actor(self).map(move |ownership, me, ctx| {
            me.parts.metrics.lanes.set(ownership.held() as i64);
            me.ownership = Some(ownership);
            me.release_drained(ctx);
        }));
    }
}

/// Drains a lane; answers whether nothing is in its hand. Where that cannot be, its lease is left to
/// run out: nobody would serve the lane while it is kept.
async fn drained(
    node: Addr<Node>,
    lane: Lane,
    epoch: Epoch,
    actor: Addr<LaneActor>,
    at_once: bool,
) -> bool {
    match actor.send(Drain { at_once }).await {
        Ok(Ok(())) => true,
        // One that died while it was drained is buried by the next round.
        Err(_) => false,
        Ok(Err(Stuck)) => {
            tracing::error!(%lane, "what the lane holds cannot be settled: its lease runs out");
            // The node ends with the process only.
            let _ = node.send(LaneFenced { lane, epoch }).await;
            tell(&actor, Lost);
            false
        }
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
        self.unwatch(vec![(lane, fenced.epoch)]);
        match &mut self.ownership {
            Some(ownership) => ownership.forget(lane, fenced.epoch),
            None => self.fenced.push(fenced),
        }
    }
}

impl Handler<Drained> for Node {
    type Result = ();

    fn handle(&mut self, Drained { lane, epoch }: Drained, ctx: &mut Self::Context) {
        self.drained.push((lane, epoch));
        self.release_drained(ctx);
    }
}

impl Handler<SurveyAll> for Node {
    type Result = ResponseFuture<Vec<Surveyed>>;

    fn handle(&mut self, SurveyAll(survey): SurveyAll, _: &mut Self::Context) -> Self::Result {
        let asked: Vec<_> = self.lanes.values().map(|lane| lane.actor.send(survey)).collect();
        Box::pin(async move { join_all(asked).await.into_iter().flatten().collect() })
    }
}

impl Handler<Leave> for Node {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) -> Self::Result {
        self.leaving = true;
        self.unwatch(self.lanes.iter().map(|(lane, running)| (*lane, running.epoch)).collect());
        let me = ctx.address();
        let drained = self.lanes.iter().map(|(lane, running)| {
            drained(me.clone(), *lane, running.epoch, running.actor.clone(), true)
        });
        let drained = join_all(drained.collect::<Vec<_>>());
        Box::pin(async move {
            drained.await;
            // The node ends with the process only.
            let _ = me.send(Release).await;
        })
    }
}

impl Handler<Release> for Node {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Release, ctx: &mut Self::Context) -> Self::Result {
        let Some(mut ownership) = self.ownership.take() else {
            // A round is under way: once more when it has ended.
            let me = ctx.address();
            return Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let _ = me.send(Release).await;
            });
        };
        // What a lane had in hand that died before it was drained is nobody's knowledge: its next owner
        // must see that in the lease.
        self.bury(&mut ownership);
        Box::pin(async move {
            if let Err(error) = ownership.leave().await {
                tracing::warn!(%error, "releasing the lanes failed: their leases will run out");
            }
        })
    }
}
