//! Fan-outs: messages whose targets are chosen here, a chunk at a time. Each chunk is one write, which
//! also puts what is left of the fan-out behind everything else that the lane has.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use actix::{AsyncContext, Context};
use shared::{
    domain::{Message, Payload},
    store::{EntryId, ErrorKind, Expand, Expanded, FanOut, Result, StoreError},
};

use super::{Event, LaneActor};
use crate::parts::Parts;

/// More are left where they are; the lane's check of itself finds them later.
const MOST_WAITING: usize = 1024;
/// Before a chunk that could not be written is tried again. Others go first.
const AGAIN: Duration = Duration::from_secs(1);

/// Fan-outs that were read and are not done.
#[derive(Default)]
pub(super) struct FanOuts {
    known: HashSet<EntryId>,
    waiting: VecDeque<(EntryId, FanOut)>,
    pub(super) under_way: bool,
}

/// What became of a chunk.
pub(crate) enum Chunk {
    /// So many deliveries are in their streams.
    Written(usize),
    /// The entry was another owner's, or another call's, already.
    NotThere,
    /// The store did not do it, or has something that cannot be read.
    Failed(FanOut),
}

/// The deliveries of the next chunk. None where nobody can say any more whom the message is for: the
/// application was deleted, or the message waited longer than messages live.
async fn choose(parts: &Parts, entry: EntryId, fan_out: FanOut) -> Result<Expand> {
    let routes = parts.routes.at(fan_out.app, fan_out.version).await?;
    let record = parts.store.message(fan_out.app, fan_out.message).await?;
    let (targets, next) = match (routes, record) {
        (Some(routes), Some(record)) => {
            let message = Message::decode(&record).map_err(|error| {
                StoreError::caused_by(ErrorKind::Corrupt, "a message cannot be read", error)
            })?;
            let payload = Payload::new(&message.payload);
            let chosen = fan_out.choose(&message.header, &payload, routes.behind(fan_out.after));
            parts.metrics.filters_failed.inc_by(payload.filter_failures());
            chosen
        }
        (Some(_), None) => {
            parts.metrics.fan_outs_expired.inc();
            tracing::warn!(app = %fan_out.app, message_id = %fan_out.message, "fan-out expired");
            (Vec::new(), None)
        }
        (None, _) => (Vec::new(), None),
    };
    Ok(Expand { entry, fan_out, targets, next })
}

impl LaneActor {
    pub(super) fn take_up_fan_out(&mut self, entry: EntryId, fan_out: FanOut) {
        let fan_outs = &mut self.fan_outs;
        if fan_outs.waiting.len() < MOST_WAITING && fan_outs.known.insert(entry) {
            fan_outs.waiting.push_back((entry, fan_out));
        }
    }

    /// Writes the next chunk; one at a time, so that what a chunk is about does not crowd out the rest.
    pub(super) fn fan_out(&mut self, ctx: &mut Context<Self>) {
        if self.fan_outs.under_way || self.draining {
            return;
        }
        let Some((entry, fan_out)) = self.fan_outs.waiting.pop_front() else { return };
        self.fan_outs.under_way = true;
        let (parts, tenure) = (Arc::clone(&self.parts), Arc::clone(&self.tenure));
        self.run(ctx, async move {
            let chunk = async {
                let expand = choose(&parts, entry, fan_out).await?;
                let expanded = parts.store.expand(tenure.fence(), &expand).await?;
                Result::Ok(expanded.map(|expanded| match expanded {
                    Expanded::Done => Chunk::Written(expand.targets.len()),
                    Expanded::NotThere => Chunk::NotThere,
                }))
            };
            let chunk = chunk.await.unwrap_or_else(|error| {
                parts.metrics.store_error(error.kind());
                tracing::warn!(message_id = %fan_out.message, %error, "fan-out failed, trying again");
                Some(Chunk::Failed(fan_out))
            });
            Event::FannedOut(entry, chunk)
        });
    }

    pub(super) fn fanned_out(&mut self, entry: EntryId, chunk: Chunk, ctx: &mut Context<Self>) {
        self.fan_outs.under_way = false;
        match chunk {
            Chunk::Written(deliveries) => {
                self.fan_outs.known.remove(&entry);
                self.parts.metrics.fanned_out.inc_by(deliveries as u64);
            }
            Chunk::NotThere => {
                self.fan_outs.known.remove(&entry);
                self.parts.metrics.unmatched.inc();
            }
            Chunk::Failed(fan_out) => {
                ctx.run_later(AGAIN, move |me, ctx| {
                    me.fan_outs.waiting.push_back((entry, fan_out));
                    me.finish(ctx);
                });
            }
        }
    }
}
