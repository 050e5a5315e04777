//! Where the attempts of a message are: each place names an endpoint, an entry of its history and which of
//! that entry's records it is.
//!
//! Most messages have one delivery that the first attempt brings. Their places stand in hashes, one for all
//! messages of a shard that were made within four seconds: a key for each would cost Redis more
//! than what it holds. All other places stand in a string of their message, one behind the other, all as long,
//! so that a page of them is cut out of it; they come behind the one in the hash, if there is one.

use std::ops::Range;

use ::redis::{Value, cmd, pipe};

use super::{
    Redis,
    entry::Raw,
    error::corrupt,
    history::{no_place, packed},
    keys, millis,
};
use crate::{
    domain::Attempt,
    id::{AppId, AttemptId, EndpointId, MessageId, TEXT_LEN},
    placement::Shard,
    store::{Cursor, Order, Page, PageRequest, Result},
    time::Millis,
};

/// What a place takes up in the string, in bytes; the script settle knows it too.
const PLACE: usize = 56;
/// Of how many attempts the responses are struck out at a time.
const STRUCK_AT_ONCE: usize = 250;

/// The places of a message's attempts, oldest first.
struct Places {
    /// The one in the hash, or nothing.
    sole: Vec<u8>,
    /// The string with all others.
    key: String,
    total: usize,
}

impl Places {
    fn sole(&self) -> usize {
        self.sole.len() / PLACE
    }
}

/// A place: the endpoint, the entry of its history, and which of the entry's records.
type Pointer<'a> = (EndpointId, &'a str, usize);

impl Redis {
    async fn places_of(&self, shard: Shard, message: MessageId) -> Result<Places> {
        let key = keys::message_attempts(shard, message);
        let mut pipeline = pipe();
        pipeline.cmd("HGET").arg(keys::sole_attempts(shard, message)).arg(message.bare().as_str());
        pipeline.cmd("STRLEN").arg(&key);
        let (sole, length): (Option<Vec<u8>>, usize) = self.ask_all(&pipeline).await?;
        let as_in_the_string = |mut place: Vec<u8>| {
            place.resize(PLACE, b' ');
            place
        };
        let sole = sole.map(as_in_the_string).unwrap_or_default();
        Ok(Places { total: (sole.len() + length) / PLACE, sole, key })
    }

    /// The places of a range that is not empty.
    async fn cut(&self, places: &Places, range: Range<usize>) -> Result<Vec<u8>> {
        let mut cut = Vec::with_capacity(range.len() * PLACE);
        if range.start < places.sole() {
            cut.extend_from_slice(&places.sole);
        }
        if range.end > places.sole() {
            let first = range.start.saturating_sub(places.sole()) * PLACE;
            let last = (range.end - places.sole()) * PLACE - 1;
            let mut rest = cmd("GETRANGE");
            rest.arg(&places.key).arg(first).arg(last);
            cut.extend(self.ask::<Vec<u8>>(&rest).await?);
        }
        Ok(cut)
    }

    pub(super) async fn attempts_of_message(
        &self,
        app: AppId,
        message: MessageId,
        page: &PageRequest,
    ) -> Result<Page<Attempt>> {
        let places = self.places_of(Shard::of(app), message).await?;
        let (range, done) = window(page, places.total)?;
        if range.is_empty() {
            return Ok(Page { entries: Vec::new(), done });
        }
        let first = range.start;
        let cut = self.cut(&places, range).await?;
        let attempts = self.attempts_at(app, &pointers(&cut)?).await?;
        let cursor = |at: usize| Cursor((first + at).to_string());
        let mut entries: Vec<_> = (attempts.into_iter().enumerate())
            .filter_map(|(at, attempt)| Some((cursor(at), attempt?)))
            .collect();
        if page.order == Order::NewestFirst {
            entries.reverse();
        }
        Ok(Page { entries, done })
    }

    /// The attempt at each place; none where the endpoint's history has gone first.
    async fn attempts_at(
        &self,
        app: AppId,
        pointers: &[Pointer<'_>],
    ) -> Result<Vec<Option<Attempt>>> {
        let shard = Shard::of(app);
        let mut pipeline = pipe();
        for (endpoint, entry, _) in pointers {
            let key = keys::attempts(shard, *endpoint);
            pipeline.cmd("XRANGE").arg(key).arg(*entry).arg(*entry);
        }
        let found: Vec<Vec<Raw>> = self.ask_all(&pipeline).await?;
        let mut pipeline = pipe();
        for (endpoint, entry, index) in pointers {
            let key = keys::struck(shard, *endpoint);
            pipeline.cmd("ZSCORE").arg(key).arg(format!("{entry}.{index}"));
        }
        let struck: Vec<Option<u64>> = self.ask_all(&pipeline).await?;
        let field = app.bare().to_string();
        let mut attempts = Vec::with_capacity(pointers.len());
        for (at, ((_, _, index), found)) in pointers.iter().zip(&found).enumerate() {
            let mut attempt = match found.first() {
                Some((_, fields)) => packed(fields, &field)?.into_iter().nth(*index),
                None => None,
            };
            if let Some(attempt) = attempt.as_mut()
                && struck.get(at).is_some_and(Option::is_some)
            {
                attempt.response.clear();
            }
            attempts.push(attempt);
        }
        Ok(attempts)
    }

    /// What stands in a stream cannot be changed. So it is remembered which responses are not to be
    /// shown any more, as long as the stream remembers them.
    pub(super) async fn strike_responses(
        &self,
        app: AppId,
        message: MessageId,
        attempt: Option<AttemptId>,
    ) -> Result<bool> {
        let shard = Shard::of(app);
        let places = self.places_of(shard, message).await?;
        let mut any = false;
        for first in (0..places.total).step_by(STRUCK_AT_ONCE) {
            let end = places.total.min(first + STRUCK_AT_ONCE);
            let cut = self.cut(&places, first..end).await?;
            let pointers = pointers(&cut)?;
            let found = self.attempts_at(app, &pointers).await?;
            let is_wanted = |found: &Attempt| attempt.is_none_or(|attempt| attempt == found.id);
            let wanted: Vec<_> = (pointers.into_iter().zip(found))
                .filter(|(_, found)| found.as_ref().is_some_and(is_wanted))
                .map(|(pointer, _)| pointer)
                .collect();
            if !wanted.is_empty() {
                self.note_struck(shard, &wanted).await?;
                any = true;
            }
            if any && attempt.is_some() {
                break;
            }
        }
        Ok(any)
    }

    async fn note_struck(&self, shard: Shard, pointers: &[Pointer<'_>]) -> Result<()> {
        let life = millis(self.lifetimes.history);
        let now = Millis::now().0;
        let mut pipeline = pipe();
        for (endpoint, entry, index) in pointers {
            let key = keys::struck(shard, *endpoint);
            pipeline.cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(now.saturating_sub(life));
            pipeline.cmd("ZADD").arg(&key).arg(now).arg(format!("{entry}.{index}"));
            pipeline.cmd("PEXPIRE").arg(&key).arg(life);
        }
        self.ask_all::<Value>(&pipeline).await.map(|_| ())
    }
}

/// Which of so many places are on a page, and whether there are none behind it.
fn window(page: &PageRequest, total: usize) -> Result<(Range<usize>, bool)> {
    let after = page.after.as_ref().map(list_place).transpose()?;
    Ok(match page.order {
        Order::OldestFirst => {
            let first = after.map_or(0, |after| after + 1);
            let end = total.min(first + page.limit);
            (first..end, end >= total)
        }
        Order::NewestFirst => {
            let end = after.unwrap_or(total).min(total);
            let first = end.saturating_sub(page.limit);
            (first..end, first == 0)
        }
    })
}

fn pointers(places: &[u8]) -> Result<Vec<Pointer<'_>>> {
    places.chunks(PLACE).map(pointer).collect()
}

/// A place: the endpoint's 22 characters, the entry of its stream, which of the entry's records, and
/// blanks.
fn pointer(place: &[u8]) -> Result<Pointer<'_>> {
    std::str::from_utf8(place)
        .ok()
        .and_then(|text| text.trim_end().split_at_checked(TEXT_LEN))
        .and_then(|(endpoint, place)| {
            let (entry, index) = place.split_once('.')?;
            Some((EndpointId::from_bare(endpoint).ok()?, entry, index.parse().ok()?))
        })
        .ok_or_else(|| {
            let place = String::from_utf8_lossy(place).into_owned();
            corrupt("where the attempts of a message are cannot be read", place)
        })
}

fn list_place(Cursor(text): &Cursor) -> Result<usize> {
    // No list is longer, and Redis counts with signs.
    let index: u32 = text.parse().map_err(|_| no_place(text))?;
    Ok(index as usize)
}
