//! The reader: the blocking read over all owned lanes. It gives what it reads to the lanes and goes
//! on when each has taken its part; it never waits for credits or receivers, and not for long for a
//! lane: one that has no room is left out until it has, and so is one that cannot be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture,
};
use shared::{
    placement::Lane,
    store::{self, EntryId, Epoch, LONGEST_READ, LaneBatch, LaneRead, StoreError},
};
use tokio::time::Instant;

use crate::{
    distance::Distance,
    lane::{Arrivals, LaneActor},
    parts::Parts,
    persist::survived,
};

/// Entries per lane in one read, at most…
const PAGE: usize = 64;
/// …and in all. They are references only, so it is not for their memory: it is what Redis, this thread,
/// and then the lanes are busy with at one go while everybody else waits.
const MOST_ENTRIES: usize = 2048;
/// How long the other lanes wait for those that have not taken their part…
const GRACE: Duration = Duration::from_millis(2);
/// …and the latter for the end of a read without them: it is not interrupted, because that costs
/// a connection.
const SHORT_READ: Duration = Duration::from_millis(5);
/// A read costs the same for one entry as for twenty, because it names every lane. So reads follow
/// each other at this distance, and what came meanwhile shares one…
const PACE: Duration = Duration::from_millis(2);
/// …unless there were few of them lately: so many may follow each other at once.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(8).unwrap();
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(200);
/// How long a lane that cannot be read is left out.
const LEFT_OUT: Duration = Duration::from_secs(5);

/// Reads these lanes too, from this place on. Interrupts a read under way.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Watch {
    pub(crate) lane: Lane,
    pub(crate) epoch: Epoch,
    pub(crate) actor: Addr<LaneActor>,
    pub(crate) after: EntryId,
}

/// Reads these lanes no more, unless they were gained again.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unwatch(pub(crate) Vec<(Lane, Epoch)>);

struct Watched {
    actor: Addr<LaneActor>,
    epoch: Epoch,
    after: EntryId,
    /// It has not taken yet what was read last.
    taking: bool,
    /// It cannot be read, and is not tried again before this time.
    left_out: Option<Instant>,
}

/// The actor.
pub(crate) struct Reader {
    parts: Arc<Parts>,
    watched: BTreeMap<Lane, Watched>,
    connection: Option<Box<dyn store::Reader>>,
    turn: Turn,
    pace: Distance,
    /// How many turns there were. What belongs to one that is over comes too late: actix may still run
    /// what was cancelled in the same moment.
    turns: u64,
}

/// One thing at a time.
enum Turn {
    Idle,
    /// Until the next read may begin.
    Resting,
    /// Can be interrupted: reading takes nothing.
    Reading(SpawnHandle),
    /// Cannot: so many lanes must still get what was read, or the grace is over.
    Giving {
        left: usize,
    },
}

impl Reader {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        Self {
            parts,
            watched: BTreeMap::new(),
            connection: None,
            turn: Turn::Idle,
            pace: Distance::new(PACE, AT_ONCE),
            turns: 0,
        }
    }

    /// Reads as soon as the pace allows.
    fn read_next(&mut self, ctx: &mut Context<Self>) {
        match self.pace.check() {
            Ok(()) => self.read(ctx),
            Err(pause) => self.rest(pause, ctx),
        }
    }

    fn rest(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        self.begin(Turn::Resting);
        self.read_later(pause, ctx);
    }

    /// Ends the turn and reads, unless the turn has ended by then.
    fn read_later(&self, pause: Duration, ctx: &mut Context<Self>) {
        let turn = self.turns;
        ctx.run_later(pause, move |me, ctx| {
            if me.turns == turn {
                me.read_next(ctx);
            }
        });
    }

    fn begin(&mut self, turn: Turn) {
        self.turns += 1;
        self.turn = turn;
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let lanes: Vec<_> = self
            .watched
            .iter()
            .filter(|(_, watched)| {
                !watched.taking && watched.left_out.is_none_or(|until| until <= now)
            })
            .map(|(lane, watched)| LaneRead { lane: *lane, after: watched.after })
            .collect();
        if lanes.is_empty() && self.watched.values().all(|watched| watched.taking) {
            return self.begin(Turn::Idle);
        }
        let late = self.watched.values().any(|watched| watched.taking);
        let wait = if late { SHORT_READ } else { LONGEST_READ };
        let (parts, connection) = (Arc::clone(&self.parts), self.connection.take());
        let reading = async move {
            let result = survived(read_once(&parts, connection, &lanes, wait)).await;
            let Err(error) = result else { return result.map_err(|_| BTreeSet::new()) };
            parts.metrics.store_error(error.kind());
            tracing::warn!(%error, "reading lanes failed");
            let unreadable = match error.kind().is_transient() {
                true => BTreeSet::new(),
                false => unreadable(&parts, &lanes).await,
            };
            if unreadable.is_empty() {
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
            Err(unreadable)
        };
        let turn = self.turns + 1;
        let handle = ctx.spawn(reading.into_actor(self).map(move |result, me, ctx| match result {
            Ok((connection, batches)) => {
                me.connection = Some(connection);
                if me.turns == turn {
                    me.give(batches, ctx);
                }
            }
            Err(unreadable) => {
                me.leave_out(&unreadable);
                if me.turns == turn {
                    me.read(ctx);
                }
            }
        }));
        self.begin(Turn::Reading(handle));
    }

    fn leave_out(&mut self, lanes: &BTreeSet<Lane>) {
        let until = Instant::now() + LEFT_OUT;
        for lane in lanes {
            tracing::error!(%lane, "the lane cannot be read: going on without it for a while");
            if let Some(watched) = self.watched.get_mut(lane) {
                watched.left_out = Some(until);
            }
        }
    }

    fn give(&mut self, batches: Vec<LaneBatch>, ctx: &mut Context<Self>) {
        let (turn, mut left) = (self.turns + 1, 0);
        for LaneBatch { lane, entries, lease } in batches {
            let Some(watched) = self.watched.get_mut(&lane) else { continue };
            let (epoch, after) = (watched.epoch, watched.after);
            if let Some((last, _)) = entries.last() {
                watched.after = *last;
            }
            watched.taking = true;
            left += 1;
            let giving = watched.actor.send(Arrivals { after, entries, lease });
            // A lane that has ended is unwatched by whoever ended it.
            ctx.spawn(giving.into_actor(self).map(move |_, me, ctx| {
                me.taken(lane, epoch, turn, ctx);
            }));
        }
        if left == 0 {
            return self.read(ctx);
        }
        self.begin(Turn::Giving { left });
        self.read_later(GRACE, ctx);
    }

    /// A lane has taken what it was given at this turn.
    fn taken(&mut self, lane: Lane, epoch: Epoch, turn: u64, ctx: &mut Context<Self>) {
        if let Some(watched) = self.watched.get_mut(&lane)
            && watched.epoch == epoch
        {
            watched.taking = false;
        }
        match &mut self.turn {
            Turn::Giving { left } if turn == self.turns => {
                *left -= 1;
                if *left == 0 {
                    self.read_next(ctx);
                }
            }
            // It was late: the next read includes it again, and the one under way is a short one.
            Turn::Giving { .. } | Turn::Resting | Turn::Reading(_) => {}
            Turn::Idle => self.read_next(ctx),
        }
    }

    /// Not at once: lanes are gained many at a time, and what is interrupted costs a connection.
    fn restart(&mut self, ctx: &mut Context<Self>) {
        match self.turn {
            Turn::Giving { .. } | Turn::Resting => return,
            Turn::Reading(handle) => {
                ctx.cancel_future(handle);
            }
            Turn::Idle => {}
        }
        self.rest(PACE, ctx);
    }
}

async fn read_once(
    parts: &Parts,
    connection: Option<Box<dyn store::Reader>>,
    lanes: &[LaneRead],
    wait: Duration,
) -> Result<(Box<dyn store::Reader>, Vec<LaneBatch>), StoreError> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => parts.store.reader().await?,
    };
    let limit = (MOST_ENTRIES / lanes.len().max(1)).min(PAGE);
    let batches = connection.read_within(lanes, limit, wait).await?;
    Ok((connection, batches))
}

/// Which of the lanes cannot be read; none if it is all of them: then it is not for what they hold.
async fn unreadable(parts: &Parts, lanes: &[LaneRead]) -> BTreeSet<Lane> {
    let mut unreadable = BTreeSet::new();
    for LaneRead { lane, after } in lanes {
        let alone = async {
            parts.store.page(*lane, *after, PAGE).await?;
            parts.store.leases(&[*lane]).await
        };
        if survived(alone).await.is_err_and(|error| !error.kind().is_transient()) {
            unreadable.insert(*lane);
        }
    }
    if unreadable.len() == lanes.len() && lanes.len() > 1 {
        unreadable.clear();
    }
    unreadable
}

impl Actor for Reader {
    type Context = Context<Self>;
}

impl Handler<Watch> for Reader {
    type Result = ();

    fn handle(&mut self, watch: Watch, ctx: &mut Self::Context) {
        let Watch { lane, epoch, actor, after } = watch;
        self.watched.insert(lane, Watched { actor, epoch, after, taking: false, left_out: None });
        self.restart(ctx);
    }
}

impl Handler<Unwatch> for Reader {
    type Result = ();

    fn handle(&mut self, Unwatch(lanes): Unwatch, _: &mut Self::Context) {
        for (lane, epoch) in lanes {
            if self.watched.get(&lane).is_some_and(|watched| watched.epoch == epoch) {
                self.watched.remove(&lane);
            }
        }
    }
}
