//! History: lists, and the one way to page through them.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{
    Embedded,
    clock::Stamp,
    corrupt,
    draft::Draft,
    keys::{self, Key},
    publish::taken,
    records::{Fields, decode_tally},
    tables::Table,
    view::{Lookup, View},
};
use crate::{
    domain::{Attempt, DeadLetter, Destination, HOUR_MS, Queue, Tally},
    id::{AppId, AttemptId, EndpointId, MessageId},
    store::{
        Cursor, ErrorKind, History, LogEntry, Order, Page, PageRequest, Purge, Result, StoreError,
    },
    time::Millis,
};

/// Of how many attempts the responses are taken out in one write.
const STRUCK_AT_ONCE: usize = 250;

#[async_trait::async_trait]
impl History for Embedded {
    async fn message(&self, app: AppId, message: MessageId) -> Result<Option<Bytes>> {
        self.core.view()?.body(app, message)
    }

    async fn find_key(&self, app: AppId, key: &str) -> Result<Option<MessageId>> {
        let view = self.core.view()?;
        let holder = taken(&view, app, key)?.filter(|holder| holder.until > view.now);
        Ok(holder.map(|holder| holder.message))
    }

    async fn messages(&self, app: AppId, page: &PageRequest) -> Result<Page<LogEntry>> {
        self.core.view()?.history(keys::log(app), page)
    }

    async fn endpoint_attempts(&self, queue: Queue, page: &PageRequest) -> Result<Page<Attempt>> {
        self.core.view()?.history(keys::attempts(queue), page)
    }

    async fn message_attempts(
        &self,
        app: AppId,
        message: MessageId,
        page: &PageRequest,
    ) -> Result<Page<Attempt>> {
        let view = self.core.view()?;
        let list = keys::message_attempts(app, message);
        view.list(Table::History, list, Some(view.oldest()), page, |stamp, endpoint| {
            let endpoint = Fields(endpoint).id().ok_or_else(|| corrupt("an attempt"))?;
            let queue = Queue::live(app, EndpointId::from_bits(endpoint));
            let attempt = view.get(Table::History, keys::attempts(queue).bytes(stamp))?;
            // It is missing where its endpoint was deleted.
            attempt.map(|json| decode(&json)).transpose()
        })
    }

    async fn expunge_responses(
        &self,
        app: AppId,
        message: MessageId,
        attempt: Option<AttemptId>,
    ) -> Result<bool> {
        let list = keys::message_attempts(app, message);
        let (mut from, mut any) = (list.clone(), false);
        loop {
            let (list, start) = (list.clone(), from);
            let (found, next) = self
                .writer
                .write(true, move |draft| strike(draft, app, &list, start, attempt))
                .await?;
            any |= found;
            match next {
                Some(next) => from = next,
                None => return Ok(any),
            }
        }
    }

    async fn dead_letters(&self, queue: Queue, page: &PageRequest) -> Result<Page<DeadLetter>> {
        self.core.view()?.history(keys::dead_letters(queue), page)
    }

    async fn dead_letter(&self, queue: Queue, cursor: &Cursor) -> Result<Option<DeadLetter>> {
        let Ok(stamp) = place(cursor) else { return Ok(None) };
        let letter = keys::dead_letters(queue).bytes(&stamp);
        let found = self.core.view()?.get(Table::History, letter)?;
        found.map(|json| decode(&json)).transpose()
    }

    async fn purge_dead_letters(&self, queue: Queue, which: &Purge) -> Result<u64> {
        match which {
            Purge::One(cursor) => {
                let Ok(stamp) = place(cursor) else { return Ok(0) };
                let letter = keys::dead_letters(queue).bytes(&stamp);
                let purge = move |draft: &mut Draft<'_>| {
                    let found = draft.get(Table::History, &letter)?.is_some();
                    draft.remove(Table::History, letter);
                    Ok(u64::from(found))
                };
                self.writer.write(true, purge).await
            }
            Purge::Before(time) => {
                let list = keys::dead_letters(queue);
                let end = list.clone().u64(Stamp::at(*time).0);
                let mut purged = 0;
                loop {
                    let (from, to) = (list.clone(), end.clone());
                    let purge = move |draft: &mut Draft<'_>| {
                        let letters = draft.first(Table::History, from, to, PURGED)?;
                        for (letter, _) in &letters {
                            draft.remove(Table::History, Key::new().bytes(letter));
                        }
                        Ok(letters.len())
                    };
                    let count = self.writer.write(true, purge).await?;
                    purged += count as u64;
                    if count < PURGED {
                        return Ok(purged);
                    }
                }
            }
        }
    }

    async fn tally(&self, of: Destination, from: Millis, to: Millis) -> Result<Tally> {
        let view = self.core.view()?;
        // Nothing is counted later than now, and stamps reach only some centuries far.
        let hour =
            |time: u64| Stamp::at(Millis(time.min(view.now.0 + HOUR_MS) / HOUR_MS * HOUR_MS));
        let first = hour(from.0).max(view.oldest());
        let end = hour(to.0.saturating_add(HOUR_MS));
        let list = keys::tallies(of);
        let mut tally = Tally::default();
        if first > end {
            return Ok(tally);
        }
        for found in view.range(Table::History, list.clone().u64(first.0), list.u64(end.0)) {
            let (_, record) = found?;
            tally += decode_tally(&record).ok_or_else(|| corrupt("a tally"))?;
        }
        Ok(tally)
    }

    fn since(&self, time: Millis) -> Cursor {
        cursor(&Stamp(Stamp::at(time).0.saturating_sub(1)).encode())
    }
}

/// How many dead letters one write removes at most: it holds up the writer.
const PURGED: usize = 500;

/// Takes the responses out of some of a message's attempts, from a place in their list on; whether
/// there was any, and where to go on.
fn strike(
    draft: &mut Draft<'_>,
    app: AppId,
    list: &Key,
    from: Key,
    wanted: Option<AttemptId>,
) -> Result<(bool, Option<Key>)> {
    let page = draft.first(Table::History, from, list.clone().end(), STRUCK_AT_ONCE)?;
    let mut any = false;
    for (key, endpoint) in &page {
        let endpoint = Fields(endpoint).id().ok_or_else(|| corrupt("an attempt"))?;
        let queue = Queue::live(app, EndpointId::from_bits(endpoint));
        let place = keys::attempts(queue).bytes(&key[list.len()..]);
        let Some(json) = draft.get(Table::History, &place)? else { continue };
        let mut attempt: Attempt = decode(&json)?;
        if wanted.is_some_and(|wanted| wanted != attempt.id) {
            continue;
        }
        any = true;
        attempt.response.clear();
        let json = serde_json::to_vec(&attempt).map_err(|_| corrupt("an attempt"))?;
        draft.put(Table::History, place, json);
    }
    let next = page.get(STRUCK_AT_ONCE - 1).map(|(last, _)| Key::new().bytes(last).byte(0));
    Ok((any, next))
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|_| corrupt("a record of the history"))
}

impl View<'_> {
    /// What is older has outlived its time, swept or not.
    fn oldest(&self) -> Stamp {
        let life = self.core.lifetimes.history.as_millis() as u64;
        Stamp::at(Millis(self.now.0.saturating_sub(life)))
    }

    /// Part of a list of the history.
    fn history<T: DeserializeOwned>(&self, list: Key, page: &PageRequest) -> Result<Page<T>> {
        let read = |_: &[u8], json: &[u8]| decode(json).map(Some);
        self.list(Table::History, list, Some(self.oldest()), page, read)
    }

    /// Part of what stands under a prefix, from `oldest` on. A place is the rest of the key, in
    /// hexadecimal; `read` makes an entry of that rest and the value, or leaves it out.
    pub(super) fn list<T>(
        &self,
        table: Table,
        prefix: Key,
        oldest: Option<Stamp>,
        page: &PageRequest,
        read: impl Fn(&[u8], &[u8]) -> Result<Option<T>>,
    ) -> Result<Page<T>> {
        let start = prefix.len();
        let mut from = oldest.map_or(prefix.clone(), |oldest| prefix.clone().u64(oldest.0));
        let mut to = prefix.clone().end();
        if let Some(after) = &page.after {
            let place = prefix.bytes(&place(after)?);
            match page.order {
                // The next key after this one is itself with a zero byte.
                Order::OldestFirst => from = from.max(place.byte(0)),
                Order::NewestFirst => to = place,
            }
        }
        if from >= to {
            return Ok(Page { entries: Vec::new(), done: true });
        }
        let range = self.range(table, from, to);
        let mut range: Box<dyn Iterator<Item = _>> = match page.order {
            Order::OldestFirst => Box::new(range),
            Order::NewestFirst => Box::new(range.rev()),
        };
        let mut entries = Vec::new();
        while entries.len() < page.limit {
            let Some(item) = range.next() else { return Ok(Page { entries, done: true }) };
            let (key, value) = item?;
            if let Some(entry) = read(&key[start..], &value)? {
                entries.push((cursor(&key[start..]), entry));
            }
        }
        let done = range.next().transpose()?.is_none();
        Ok(Page { entries, done })
    }
}

fn cursor(place: &[u8]) -> Cursor {
    use std::fmt::Write as _;
    Cursor(place.iter().fold(String::with_capacity(place.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// The rest of a key that a cursor names.
pub(super) fn place(cursor: &Cursor) -> Result<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        cursor.0.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => {
            Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        }
        _ => Err(StoreError::new(ErrorKind::NoPlace, "the cursor is not one of this list")),
    }
}
