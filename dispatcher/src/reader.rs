//! The reader: the blocking read over all owned lanes. It gives what it reads to the lanes and goes
//! on when each has taken its part; it never waits for credits or receivers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture,
};
use futures_util::future::join_all;
use shared::{
    placement::Lane,
    store::{self, EntryId, LaneBatch, LaneRead, StoreError},
};

use crate::{
    lane::{Arrivals, LaneActor},
    parts::Parts,
};

/// Entries per lane in one read: references only, so this is little memory.
const PAGE: usize = 256;
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(200);

/// Reads these lanes too, from this place on. Interrupts a read under way.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Watch(pub(crate) Vec<(Lane, Addr<LaneActor>, EntryId)>);

/// Reads these lanes no more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unwatch(pub(crate) Vec<Lane>);

struct Watched {
    lane: Addr<LaneActor>,
    after: EntryId,
}

/// The actor.
pub(crate) struct Reader {
    parts: Arc<Parts>,
    watched: BTreeMap<Lane, Watched>,
    connection: Option<Box<dyn store::Reader>>,
    turn: Turn,
}

/// One thing at a time.
enum Turn {
    Idle,
    /// Can be interrupted: reading takes nothing.
    Reading(SpawnHandle),
    /// Cannot: the lanes must get what was read exactly once.
    Giving,
}

impl Reader {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        Self { parts, watched: BTreeMap::new(), connection: None, turn: Turn::Idle }
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        if self.watched.is_empty() {
            self.turn = Turn::Idle;
            return;
        }
        let lanes: Vec<_> = self
            .watched
            .iter()
            .map(|(lane, watched)| LaneRead { lane: *lane, after: watched.after })
            .collect();
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
        self.turn = Turn::Giving;
        let mut sends = Vec::with_capacity(batches.len());
        for batch in batches {
            let Some(watched) = self.watched.get_mut(&batch.lane) else { continue };
            if let Some((last, _)) = batch.entries.last() {
                watched.after = *last;
            }
            sends.push(watched.lane.send(Arrivals { entries: batch.entries, lease: batch.lease }));
        }
        // A lane that has ended is unwatched by whoever ended it.
        ctx.spawn(join_all(sends).into_actor(self).map(|_, me, ctx| me.read(ctx)));
    }

    fn restart(&mut self, ctx: &mut Context<Self>) {
        match self.turn {
            Turn::Giving => return,
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

    fn handle(&mut self, Watch(lanes): Watch, ctx: &mut Self::Context) {
        for (lane, address, after) in lanes {
            self.watched.insert(lane, Watched { lane: address, after });
        }
        self.restart(ctx);
    }
}

impl Handler<Unwatch> for Reader {
    type Result = ();

    fn handle(&mut self, Unwatch(lanes): Unwatch, _: &mut Self::Context) {
        for lane in lanes {
            self.watched.remove(&lane);
        }
    }
}
