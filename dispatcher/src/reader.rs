//! The reader: the blocking read over all owned lanes. It gives what it reads to the lanes and goes
//! on when each has taken its part; it never waits for credits or receivers, and not for long for a
//! lane: one that has no room is left out until it has.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture,
};
use shared::{
    placement::Lane,
    store::{self, EntryId, Epoch, LaneBatch, LaneRead, StoreError},
};

use crate::{
    lane::{Arrivals, LaneActor},
    parts::Parts,
};

/// Entries per lane in one read: references only, so this is little memory.
const PAGE: usize = 256;
/// How long the other lanes wait for those that have not taken their part.
const GRACE: Duration = Duration::from_millis(50);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(200);

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
}

/// The actor.
pub(crate) struct Reader {
    parts: Arc<Parts>,
    watched: BTreeMap<Lane, Watched>,
    connection: Option<Box<dyn store::Reader>>,
    turn: Turn,
    /// How often something was given.
    given: u64,
}

/// One thing at a time.
enum Turn {
    Idle,
    /// Can be interrupted: reading takes nothing.
    Reading(SpawnHandle),
    /// Cannot: so many lanes must still get what was read, or the grace is over.
    Giving {
        left: usize,
        grace: SpawnHandle,
    },
}

impl Reader {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        Self { parts, watched: BTreeMap::new(), connection: None, turn: Turn::Idle, given: 0 }
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        let lanes: Vec<_> = self
            .watched
            .iter()
            .filter(|(_, watched)| !watched.taking)
            .map(|(lane, watched)| LaneRead { lane: *lane, after: watched.after })
            .collect();
        if lanes.is_empty() {
            self.turn = Turn::Idle;
            return;
        }
        let (parts, connection) = (Arc::clone(&self.parts), self.connection.take());
        let reading = async move {
            let result = read_once(&parts, connection, &lanes).await;
            if let Err(error) = &result {
                parts.metrics.store_error(error.kind());
                tracing::warn!(%error, "reading lanes failed");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
            result
        };
        let handle = ctx.spawn(reading.into_actor(self).map(|result, me, ctx| match result {
            Ok((connection, batches)) => {
                me.connection = Some(connection);
                me.give(batches, ctx);
            }
            Err(_) => me.read(ctx),
        }));
        self.turn = Turn::Reading(handle);
    }

    fn give(&mut self, batches: Vec<LaneBatch>, ctx: &mut Context<Self>) {
        self.given += 1;
        let (turn, mut left) = (self.given, 0);
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
        let grace = ctx.run_later(GRACE, Self::read);
        self.turn = Turn::Giving { left, grace };
    }

    /// A lane has taken what it was given at this turn.
    fn taken(&mut self, lane: Lane, epoch: Epoch, turn: u64, ctx: &mut Context<Self>) {
        if let Some(watched) = self.watched.get_mut(&lane)
            && watched.epoch == epoch
        {
            watched.taking = false;
        }
        match &mut self.turn {
            Turn::Giving { left, grace } if turn == self.given => {
                *left -= 1;
                if *left == 0 {
                    ctx.cancel_future(*grace);
                    self.read(ctx);
                }
            }
            // It was late: the next read, or the one under way once more, includes it again.
            Turn::Giving { .. } => {}
            Turn::Reading(_) | Turn::Idle => self.restart(ctx),
        }
    }

    fn restart(&mut self, ctx: &mut Context<Self>) {
        match self.turn {
            Turn::Giving { .. } => return,
            Turn::Reading(handle) => {
                ctx.cancel_future(handle);
            }
            Turn::Idle => {}
        }
        self.read(ctx);
    }
}

async fn read_once(
    parts: &Parts,
    connection: Option<Box<dyn store::Reader>>,
    lanes: &[LaneRead],
) -> Result<(Box<dyn store::Reader>, Vec<LaneBatch>), StoreError> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => parts.store.reader().await?,
    };
    let batches = connection.read(lanes, PAGE).await?;
    Ok((connection, batches))
}

impl Actor for Reader {
    type Context = Context<Self>;
}

impl Handler<Watch> for Reader {
    type Result = ();

    fn handle(&mut self, watch: Watch, ctx: &mut Self::Context) {
        let Watch { lane, epoch, actor, after } = watch;
        self.watched.insert(lane, Watched { actor, epoch, after, taking: false });
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
