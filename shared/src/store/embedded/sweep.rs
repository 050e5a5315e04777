//! The sweep: removes what outlived its time, a bounded amount per call.

use std::sync::atomic::Ordering;

use super::{
    clock::Stamp,
    corrupt,
    draft::Draft,
    expiry::{self, Expiring},
    keys::{self, Key},
    records::{Fields, Life, Span, Taken},
    tables::Table,
    view::Lookup,
};
use crate::{
    domain::Attempt,
    id::{AppId, MessageId},
    store::{Result, Swept},
    time::Millis,
};

/// Records that one call removes at most, or nearly: bounds how long it holds up the writer.
const STEP: usize = 500;

/// Removes what comes first, and says how far that is behind.
pub(super) fn sweep(draft: &mut Draft<'_>) -> Result<Swept> {
    let swept = remove_expired(draft)?;
    let lag = match swept {
        Swept::All => 0,
        Swept::Part => draft.now.0.saturating_sub(draft.memory.expired.0),
    };
    draft.core.sweep_lag_ms.store(lag, Ordering::Relaxed);
    Ok(swept)
}

/// Walks the expiry table from its front.
fn remove_expired(draft: &mut Draft<'_>) -> Result<Swept> {
    let (from, to) = (draft.memory.expired, Millis(draft.now.0 + 1));
    let expired = draft.first(Table::Expiry, expiry::deadline(from), expiry::deadline(to), STEP)?;
    let mut removed = 0;
    for (key, value) in &expired {
        if removed >= STEP {
            return Ok(Swept::Part);
        }
        let mut fields = Fields(key);
        let deadline = fields.u64().map(Millis);
        let kind = fields.byte().and_then(Expiring::from_tag);
        let (deadline, kind) = deadline.zip(kind).ok_or_else(|| corrupt("a deadline"))?;
        // What was added later lies at this time or after, so nothing is ever skipped.
        draft.memory.expired = deadline;
        let entry = Key::new().bytes(key);
        let what = fields.rest();
        removed += match kind {
            Expiring::Body => remove_body(draft, what)?,
            Expiring::Key => remove_key(draft, what)?,
            Expiring::List => {
                let span = Span::decode(value).ok_or_else(|| corrupt("a deadline"))?;
                let (count, rest) = remove_part(draft, what, span, STEP - removed)?;
                if let Some(rest) = rest {
                    draft.put(Table::Expiry, entry, rest.encode());
                    return Ok(Swept::Part);
                }
                count
            }
            Expiring::Task => {
                draft.remove(Table::Documents, Key::new().bytes(what));
                1
            }
        };
        draft.remove(Table::Expiry, entry);
    }
    if expired.len() == STEP {
        return Ok(Swept::Part);
    }
    draft.memory.expired = draft.now;
    Ok(Swept::All)
}

/// Removes a body whose time is over, and the memory of its resends.
fn remove_body(draft: &mut Draft<'_>, what: &[u8]) -> Result<usize> {
    let mut ids = Fields(what);
    let (app, message) = ids.id().zip(ids.id()).ok_or_else(|| corrupt("a deadline"))?;
    let (app, message) = (AppId::from_bits(app), MessageId::from_bits(message));
    let body = keys::message(app, message);
    // Its life comes first; what follows are resends.
    let lives = draft.first(Table::Lives, body.clone(), body.clone().end(), usize::MAX)?;
    let Some((_, life)) = lives.first() else { return Ok(0) };
    let life = Life::decode(life).ok_or_else(|| corrupt("the life of a message"))?;
    if life.until > draft.now {
        return Ok(0);
    }
    draft.give_back(app, life.charged)?;
    draft.remove(Table::Bodies, body);
    for (key, _) in &lives {
        draft.remove(Table::Lives, Key::new().bytes(key));
    }
    Ok(1)
}

/// Removes a dedup key whose time is over.
fn remove_key(draft: &mut Draft<'_>, what: &[u8]) -> Result<usize> {
    let key = Key::new().bytes(what);
    let Some(record) = draft.get(Table::Keys, &key)? else { return Ok(0) };
    let taken = Taken::decode(&record).ok_or_else(|| corrupt("a dedup key"))?;
    if taken.until > draft.now {
        return Ok(0);
    }
    draft.remove(Table::Keys, key);
    Ok(1)
}

/// Removes up to `limit` records of a list; answers what is left of the part.
fn remove_part(
    draft: &mut Draft<'_>,
    list: &[u8],
    span: Span,
    limit: usize,
) -> Result<(usize, Option<Span>)> {
    let list = Key::new().bytes(list);
    let (from, to) = (list.clone().u64(span.from.0), list.clone().u64(span.to.0));
    let records = draft.first(Table::History, from, to, limit)?;
    let mut last = span.from;
    for (key, value) in &records {
        let stamp = &key[list.len()..];
        last = Stamp::decode(stamp).ok_or_else(|| corrupt("a place in a list"))?;
        if list.as_ref().first() == Some(&keys::ATTEMPTS) {
            let attempt = serde_json::from_slice::<Attempt>(value);
            let attempt = attempt.map_err(|_| corrupt("an attempt"))?;
            let app = Fields(&list.as_ref()[1..]).id().map(AppId::from_bits);
            let app = app.ok_or_else(|| corrupt("a deadline"))?;
            let by_message = keys::message_attempts(app, attempt.message).bytes(stamp);
            draft.remove(Table::History, by_message);
        }
        draft.remove(Table::History, Key::new().bytes(key));
    }
    if records.len() < limit {
        return Ok((records.len(), None));
    }
    let from = Stamp(last.0 + 1);
    Ok((records.len(), Some(Span { from, ..span })))
}
