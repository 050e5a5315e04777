//! What a lane's owner writes: parked, handled and settled entries.

use std::collections::BTreeMap;

use super::{
    corrupt,
    draft::Draft,
    keys::{self, Score},
    records::{self, Member},
    tables::Table,
    view::Lookup,
};
use crate::{
    domain::{DeadLetter, Delivery, Tally},
    placement::Lane,
    store::{
        Entry, EntryId, Fence, Park, Parked, Place, Result, Settle, Settled, Settlement,
        StateChange, Verdict,
    },
    time::Millis,
};

/// A lane's settlements, with what can be prepared outside of the writer.
pub(super) struct Prepared {
    settle: Settle,
    /// One for each settlement.
    records: Vec<Records>,
}

/// What a settlement leaves in the history, as JSON.
struct Records {
    attempt: Option<Vec<u8>>,
    letter: Option<Vec<u8>>,
}

impl Prepared {
    pub(super) fn new(settle: &Settle, now: Millis) -> Result<Self> {
        let encode = |settlement: &Settlement| {
            let attempt = settlement.record.as_ref().map(serde_json::to_vec).transpose()?;
            let letter = dead_letter(settlement, now);
            let letter = letter.as_ref().map(serde_json::to_vec).transpose()?;
            Ok(Records { attempt, letter })
        };
        let records = settle.settlements.iter().map(encode).collect::<serde_json::Result<_>>();
        let records = records.map_err(|_| corrupt("an attempt"))?;
        Ok(Self { settle: settle.clone(), records })
    }
}

fn dead_letter(settlement: &Settlement, at: Millis) -> Option<DeadLetter> {
    let Settlement { delivery, attempts, ref verdict, .. } = *settlement;
    let Verdict::Dead(reason) = *verdict else { return None };
    let Delivery { endpoint, message, generation, .. } = delivery;
    let extra = Default::default();
    Some(DeadLetter { endpoint, message, generation, reason, attempts, at, extra })
}

/// Whether the entry is there and carries this very delivery.
fn carries(draft: &Draft<'_>, lane: Lane, id: EntryId, wanted: &Delivery) -> Result<bool> {
    let found = draft.get(Table::Streams, keys::entry(lane, id))?;
    Ok(match found.map(|record| records::decode_entry(&record)) {
        Some(Entry::Delivery { delivery, .. }) => delivery == *wanted,
        _ => false,
    })
}

pub(super) fn holds(draft: &Draft<'_>, fence: &Fence) -> bool {
    draft.core.leases.lock().holds(fence)
}

pub(super) fn park(
    draft: &mut Draft<'_>,
    fence: &Fence,
    parks: &[Park],
) -> Result<Option<Vec<Parked>>> {
    if !holds(draft, fence) {
        return Ok(None);
    }
    let mut answers = Vec::with_capacity(parks.len());
    for Park { entry, delivery, delay } in parks {
        if delivery.lane() != fence.lane || !carries(draft, fence.lane, *entry, delivery)? {
            answers.push(Parked::NotThere);
            continue;
        }
        let waits = draft.member(delivery)?.is_some();
        draft.remove(Table::Streams, keys::entry(fence.lane, *entry));
        if !waits {
            let due = delay.map(|delay| draft.now.after(delay));
            let score = match due {
                Some(due) if !delivery.strand.is_ordered() => Score::At(due),
                Some(_) | None => Score::Parked(draft.stamp()),
            };
            let not_before = due.unwrap_or_default();
            draft.wait(delivery, &Member { score, attempts: 0, steps: 0, not_before });
        }
        answers.push(Parked::Moved);
    }
    Ok(Some(answers))
}

pub(super) fn forget(
    draft: &mut Draft<'_>,
    fence: &Fence,
    entries: &[EntryId],
) -> Result<Option<()>> {
    if !holds(draft, fence) {
        return Ok(None);
    }
    for entry in entries {
        let key = keys::entry(fence.lane, *entry);
        let found = draft.get(Table::Streams, &key)?;
        if let Some(Entry::Nudge { .. }) = found.map(|record| records::decode_entry(&record)) {
            draft.remove(Table::Streams, key);
        }
    }
    Ok(Some(()))
}

pub(super) fn settle(draft: &mut Draft<'_>, prepared: &Prepared) -> Result<Option<Vec<Settled>>> {
    let Prepared { settle: Settle { fence, settlements, states }, records } = prepared;
    if !holds(draft, fence) {
        return Ok(None);
    }
    let mut answers = Vec::with_capacity(settlements.len());
    let mut tallies = BTreeMap::new();
    for (settlement, records) in settlements.iter().zip(records) {
        let (settled, counts) = settle_one(draft, fence.lane, settlement, records)?;
        answers.push(settled);
        *tallies.entry(settlement.delivery.queue().destination()).or_default() += counts;
    }
    for (destination, counts) in tallies {
        if counts != Tally::default() {
            draft.tally(destination, counts)?;
        }
    }
    for state in states {
        remember(draft, fence.lane, state)?;
    }
    Ok(Some(answers))
}

/// Where a delivery was found.
enum Found {
    Stream(EntryId),
    Waiting(Member),
}

/// Finds the delivery at its place, with the attempts that the settlement implies.
fn find(draft: &Draft<'_>, lane: Lane, settlement: &Settlement) -> Result<Option<Found>> {
    let Settlement { delivery, place, attempts, verdict, record } = settlement;
    let made = u32::from(record.is_some());
    if delivery.lane() != lane {
        return Ok(None);
    }
    Ok(match *place {
        Place::Stream(id) => {
            // It has no place in the order that it could keep.
            let lost = delivery.strand.is_ordered() && matches!(verdict, Verdict::Retry { .. });
            (*attempts == made && !lost && carries(draft, lane, id, delivery)?)
                .then_some(Found::Stream(id))
        }
        Place::Waiting => draft
            .member(delivery)?
            .filter(|member| member.attempts.checked_add(made) == Some(*attempts))
            .map(Found::Waiting),
    })
}

fn settle_one(
    draft: &mut Draft<'_>,
    lane: Lane,
    settlement: &Settlement,
    Records { attempt, letter }: &Records,
) -> Result<(Settled, Tally)> {
    let nothing = Tally::default();
    let Some(found) = find(draft, lane, settlement)? else {
        return Ok((Settled::NotThere, nothing));
    };
    let delivery = &settlement.delivery;
    let queue = delivery.queue();
    let wait = match settlement.verdict {
        Verdict::Retry { delay, steps } => {
            let exists = draft.get(Table::Documents, keys::endpoint(queue))?.is_some();
            let due = draft.now.after(delay);
            let score = match &found {
                Found::Waiting(member) if delivery.strand.is_ordered() => member.score,
                Found::Waiting(_) | Found::Stream(_) => Score::At(due),
            };
            let attempts = settlement.attempts;
            exists.then_some(Member { score, attempts, steps, not_before: due })
        }
        _ => None,
    };
    let deleted = match settlement.verdict {
        Verdict::Deleted => true,
        Verdict::Retry { .. } => wait.is_none(),
        Verdict::Delivered | Verdict::Dead(_) => false,
    };

    match (found, &wait) {
        (Found::Stream(id), None) => draft.remove(Table::Streams, keys::entry(lane, id)),
        (Found::Stream(id), Some(member)) => {
            draft.remove(Table::Streams, keys::entry(lane, id));
            // The same delivery may wait already: then it goes on waiting, as this settlement says.
            match draft.member(delivery)? {
                None => draft.wait(delivery, member),
                Some(old) => draft.rewait(delivery, &old, member),
            }
        }
        (Found::Waiting(old), None) => draft.unwait(delivery, &old),
        (Found::Waiting(old), Some(member)) => draft.rewait(delivery, &old, member),
    }
    if wait.is_none() {
        draft.end_delivery(delivery.app, delivery.message, letter.is_some())?;
    }
    if deleted {
        return Ok((Settled::Done, nothing));
    }
    if let Some(attempt) = attempt {
        let stamp = draft.record(&keys::attempts(queue), attempt);
        let by_message = keys::message_attempts(delivery.app, delivery.message).u64(stamp.0);
        draft.put(Table::History, by_message, delivery.endpoint.bits().to_be_bytes());
    }
    if let Some(letter) = letter {
        draft.record(&keys::dead_letters(queue), letter);
    }
    let arrived = matches!(settlement.verdict, Verdict::Delivered);
    let counts = Tally {
        delivered: u64::from(arrived && attempt.is_some()),
        failed: u64::from(!arrived && attempt.is_some()),
        given_up: u64::from(letter.is_some()),
    };
    Ok((Settled::Done, counts))
}

/// Remembers what an endpoint's brain wants to find again. A deleted endpoint has none.
fn remember(draft: &mut Draft<'_>, lane: Lane, change: &StateChange) -> Result<()> {
    let StateChange { queue, state, reopens } = change;
    if queue.lane() != lane {
        return Ok(());
    }
    if let Some(delay) = reopens {
        let opens = draft.now.after(*delay);
        draft.reopen(*queue, opens);
    }
    if let Some(state) = state
        && draft.get(Table::Documents, keys::endpoint(*queue))?.is_some()
    {
        draft.put(Table::Documents, keys::state(queue.app, queue.endpoint), &**state);
    }
    Ok(())
}
