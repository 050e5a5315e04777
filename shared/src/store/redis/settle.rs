//! Settling: how the script's arguments are laid out, and its answer read.

use std::collections::BTreeMap;

use super::{
    Redis,
    entry::id_text,
    error::corrupt,
    keys,
    lanes::range,
    leases::fence_text,
    millis,
    scripts::{Call, SETTLE},
};
use crate::{
    domain::{DeadLetter, Extra, Queue},
    placement::Shard,
    store::{
        Fence, PARKED_BELOW, Place, Result, Settle, Settled, Settlement, StateChange, Verdict,
    },
    time::Millis,
};

/// Bound of one script, in settlements.
const MOST_SETTLEMENTS: usize = 512;

/// What one script settles of one lane.
pub(super) struct Piece<'a> {
    /// Which of the batch.
    settle: usize,
    fence: &'a Fence,
    settlements: &'a [Settlement],
    states: &'a [StateChange],
}

/// What is to be settled of one queue.
#[derive(Default)]
pub(super) struct Work<'a> {
    /// Positions in the piece, and what stands there.
    settlements: Vec<(usize, &'a Settlement)>,
    state: Option<&'a StateChange>,
}

pub(super) type Works<'a> = BTreeMap<Queue, Work<'a>>;

impl Redis {
    pub(super) async fn settle_all(&self, batch: &[Settle]) -> Result<Vec<Option<Vec<Settled>>>> {
        let mut results: Vec<Option<Vec<Settled>>> = vec![Some(Vec::new()); batch.len()];
        for part in parts(pieces(batch)) {
            for (piece, settled) in part.iter().zip(self.settle_part(&part).await?) {
                let result = &mut results[piece.settle];
                match (result.as_mut(), settled) {
                    (Some(before), Some(settled)) => before.extend(settled),
                    _ => *result = None,
                }
            }
        }
        Ok(results)
    }

    async fn settle_part(&self, part: &[Piece<'_>]) -> Result<Vec<Option<Vec<Settled>>>> {
        let mut call = Call::new(&SETTLE);
        call.number(millis(self.lifetimes.retention))
            .number(millis(self.lifetimes.history))
            .number(PARKED_BELOW)
            .count(part.len());
        let works: Vec<Works<'_>> = part.iter().map(works).collect();
        for (piece, works) in part.iter().zip(&works) {
            add_lane(&mut call, piece, works)?;
        }
        let answers: Vec<Option<String>> = self.serving.call(&call).await?;
        if answers.len() != part.len() {
            return Err(corrupt("the script settle gave a wrong number of answers", ""));
        }
        answers
            .into_iter()
            .zip(works)
            .map(|(answer, works)| answer.map(|flags| settled(&flags, &works)).transpose())
            .collect()
    }
}

/// Cuts what is more than one script may settle; the states go with the last piece.
pub(super) fn pieces(batch: &[Settle]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::with_capacity(batch.len());
    for (settle, Settle { fence, settlements, states }) in batch.iter().enumerate() {
        let mut rest = settlements.as_slice();
        loop {
            let (now, later) = rest.split_at(rest.len().min(MOST_SETTLEMENTS));
            let states = if later.is_empty() { states.as_slice() } else { &[] };
            pieces.push(Piece { settle, fence, settlements: now, states });
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
    }
    pieces
}

/// What is settled by the same script. It checks all before it writes any, so a lane stands in it once.
fn parts(pieces: Vec<Piece<'_>>) -> Vec<Vec<Piece<'_>>> {
    let mut parts: Vec<Vec<Piece<'_>>> = Vec::new();
    let mut size = 0;
    for piece in pieces {
        size += piece.settlements.len() + piece.states.len();
        match parts.last_mut() {
            Some(part)
                if size <= MOST_SETTLEMENTS
                    && part.iter().all(|before| before.fence.lane != piece.fence.lane)
                    && keys::one_script(part[0].fence.lane.shard(), piece.fence.lane.shard()) =>
            {
                part.push(piece);
            }
            _ => {
                size = piece.settlements.len() + piece.states.len();
                parts.push(vec![piece]);
            }
        }
    }
    parts
}

pub(super) fn works<'a>(piece: &Piece<'a>) -> Works<'a> {
    let mut works = Works::new();
    for (position, settlement) in piece.settlements.iter().enumerate() {
        let work = works.entry(settlement.delivery.queue()).or_default();
        work.settlements.push((position, settlement));
    }
    for change in piece.states {
        works.entry(change.queue).or_default().state = Some(change);
    }
    works
}

pub(super) fn add_lane(call: &mut Call, piece: &Piece<'_>, works: &Works<'_>) -> Result<()> {
    let named = piece.settlements.iter().filter_map(|settlement| match settlement.place {
        Place::Stream(entry) => Some(entry),
        Place::Waiting => None,
    });
    let (first, last) = range(named.clone());
    let lane = piece.fence.lane;
    call.key(keys::lease(lane))
        .key(keys::lane(lane))
        .key(keys::agenda(lane))
        .arg(fence_text(piece.fence))
        .arg(first)
        .arg(last)
        .count(named.count())
        .count(works.len());
    for (queue, work) in works {
        add_queue(call, *queue, work);
        for (_, settlement) in &work.settlements {
            add_settlement(call, settlement)?;
        }
    }
    Ok(())
}

fn add_queue(call: &mut Call, queue: Queue, work: &Work<'_>) {
    let shard = Shard::of(queue.app);
    call.key(keys::app(queue.app))
        .key(keys::wait(queue))
        .key(keys::tries(queue))
        .key(keys::attempts(shard, queue.endpoint))
        .key(keys::tally(shard, queue.endpoint, Millis::now()))
        .arg(queue.member())
        .count(work.settlements.len());
    let Some(StateChange { state, reopens, .. }) = work.state else {
        call.arg("");
        return;
    };
    call.key(keys::state(shard, queue.endpoint))
        .arg("change")
        .arg(state.as_deref().unwrap_or_default());
    match reopens {
        None => call.arg(""),
        Some(reopens) => call.number(millis(*reopens)),
    };
}

fn add_settlement(call: &mut Call, settlement: &Settlement) -> Result<()> {
    let Settlement { delivery, place, attempts, verdict, record } = settlement;
    let shard = Shard::of(delivery.app);
    call.key(keys::body(shard, delivery.message))
        .key(keys::left(shard, delivery.message))
        .key(keys::message_attempts(shard, delivery.message))
        .key(keys::sole_attempts(shard, delivery.message));
    match place {
        Place::Stream(entry) => call.arg(id_text(*entry)),
        Place::Waiting => call.arg(""),
    };
    let before = i64::from(*attempts) - i64::from(record.is_some());
    call.arg(delivery.member()).arg(before.to_string());
    match record {
        None => call.arg(""),
        Some(attempt) => call.arg(json(attempt)?),
    };
    match verdict {
        Verdict::Delivered => call.arg("delivered"),
        Verdict::Deleted => call.arg("deleted"),
        Verdict::Retry { delay, steps } => {
            call.arg("retry").number(millis(*delay)).arg(format!("{attempts}:{steps}"))
        }
        Verdict::Dead(reason) => {
            let letter = DeadLetter {
                endpoint: delivery.endpoint,
                message: delivery.message,
                generation: delivery.generation,
                reason: *reason,
                attempts: *attempts,
                at: Millis::now(),
                extra: Extra::new(),
            };
            call.key(keys::dead(shard, delivery.endpoint)).arg("dead").arg(json(&letter)?)
        }
    };
    Ok(())
}

fn json(record: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| corrupt("a record cannot be written", error))
}

/// The script answers in the order of the queues.
fn settled(flags: &str, works: &Works<'_>) -> Result<Vec<Settled>> {
    let positions = works.values().flat_map(|work| work.settlements.iter().map(|(at, _)| *at));
    let mut settled: Vec<(usize, Settled)> = positions
        .zip(flags.bytes())
        .map(|(at, flag)| (at, if flag == b'1' { Settled::Done } else { Settled::NotThere }))
        .collect();
    if settled.len() != flags.len() {
        return Err(corrupt("the script settle gave a wrong number of answers", flags));
    }
    settled.sort_unstable_by_key(|(at, _)| *at);
    Ok(settled.into_iter().map(|(_, settled)| settled).collect())
}
