//! History: streams that lose their old end as they grow, and expire as a whole when they do not.
//!
//! An entry's one field is named after its application, so that one tenant never sees another's: of a
//! stream's node, Redis keeps a name that repeats only once.

use ::redis::{Value, cmd, pipe};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{Redis, entry::Raw, error::corrupt, keys, lanes::bytes, log::LogRecord, millis};
use crate::{
    domain::{Attempt, DeadLetter, Destination, HOUR_MS, Queue, Tally},
    id::{AppId, AttemptId, MessageId, TEXT_LEN},
    placement::Shard,
    store::{
        Cursor, ErrorKind, History, LogEntry, Order, Page, PageRequest, Purge, Result, StoreError,
    },
    time::Millis,
};

/// Of a stream whose entries hold several records, how many entries are read at a time.
const ENTRIES: usize = 16;
/// How many entries one trim removes at most.
const TRIMMED: usize = 1000;
#[async_trait::async_trait]
impl History for Redis {
    async fn message(&self, app: AppId, message: MessageId) -> Result<Option<Bytes>> {
        let record: Value = self.ask(cmd("GET").arg(keys::body(Shard::of(app), message))).await?;
        bytes(record)
    }

    async fn records(&self, app: AppId, messages: &[MessageId]) -> Result<Vec<Option<Bytes>>> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = cmd("MGET");
        for message in messages {
            command.arg(keys::body(Shard::of(app), *message));
        }
        let records: Vec<Value> = self.ask(&command).await?;
        records.into_iter().map(bytes).collect()
    }

    async fn find_key(&self, app: AppId, key: &str) -> Result<Option<MessageId>> {
        let value: Option<String> = self.ask(cmd("GET").arg(keys::dedup(app, key))).await?;
        value
            .map(|value| {
                value
                    .get(..TEXT_LEN)
                    .and_then(|message| MessageId::from_bare(message).ok())
                    .ok_or_else(|| corrupt("a dedup key holds something unreadable", ""))
            })
            .transpose()
    }

    async fn messages(&self, app: AppId, page: &PageRequest) -> Result<Page<LogEntry>> {
        let Page { entries, done } =
            self.single::<LogRecord<'static>>(keys::log(app), "h", page).await?;
        let header = |(cursor, record): (Cursor, LogRecord<'static>)| {
            let unreadable = || corrupt("a message in the log has no id", "");
            Ok((cursor, record.header(app).ok_or_else(unreadable)?))
        };
        Ok(Page { entries: entries.into_iter().map(header).collect::<Result<_>>()?, done })
    }

    async fn endpoint_attempts(&self, queue: Queue, page: &PageRequest) -> Result<Page<Attempt>> {
        let key = keys::attempts(Shard::of(queue.app), queue.endpoint);
        let field = queue.app.bare().to_string();
        let after = page.after.as_ref().map(packed_place).transpose()?;
        let mut found: Vec<(Cursor, Attempt)> = Vec::new();
        let mut from = after.as_ref().map(|(entry, _)| entry.clone());
        loop {
            let entries = self.range(&key, page.order, from.as_deref(), ENTRIES).await?;
            let last = entries.len() < ENTRIES;
            from = entries.last().map(|(id, _)| format!("({id}"));
            for (id, fields) in entries {
                let mut records: Vec<(usize, Attempt)> =
                    packed(&fields, &field)?.into_iter().enumerate().collect();
                if page.order == Order::NewestFirst {
                    records.reverse();
                }
                if let Some((_, index)) = after.as_ref().filter(|(entry, _)| *entry == id) {
                    records.retain(|(at, _)| match page.order {
                        Order::OldestFirst => at > index,
                        Order::NewestFirst => at < index,
                    });
                }
                found
                    .extend(records.into_iter().map(|(at, it)| (Cursor(format!("{id}.{at}")), it)));
            }
            if last || found.len() > page.limit {
                let done = found.len() <= page.limit;
                found.truncate(page.limit);
                self.strike(queue, &mut found).await?;
                return Ok(Page { entries: found, done });
            }
        }
    }

    async fn message_attempts(
        &self,
        app: AppId,
        message: MessageId,
        page: &PageRequest,
    ) -> Result<Page<Attempt>> {
        self.attempts_of_message(app, message, page).await
    }

    async fn expunge_responses(
        &self,
        app: AppId,
        message: MessageId,
        attempt: Option<AttemptId>,
    ) -> Result<bool> {
        self.strike_responses(app, message, attempt).await
    }

    async fn dead_letters(&self, queue: Queue, page: &PageRequest) -> Result<Page<DeadLetter>> {
        let key = keys::dead(Shard::of(queue.app), queue.endpoint);
        self.single(key, queue.app.bare().as_str(), page).await
    }

    async fn dead_letter(
        &self,
        queue: Queue,
        Cursor(place): &Cursor,
    ) -> Result<Option<DeadLetter>> {
        if entry_place(place).is_err() {
            return Ok(None);
        }
        let key = keys::dead(Shard::of(queue.app), queue.endpoint);
        let found: Vec<Raw> = self.ask(cmd("XRANGE").arg(key).arg(place).arg(place)).await?;
        let field = queue.app.bare().to_string();
        found.first().and_then(|(_, fields)| value(fields, &field)).map(parse).transpose()
    }

    async fn purge_dead_letters(&self, queue: Queue, which: &Purge) -> Result<u64> {
        let key = keys::dead(Shard::of(queue.app), queue.endpoint);
        match which {
            Purge::One(Cursor(place)) if entry_place(place).is_err() => Ok(0),
            Purge::One(Cursor(place)) => self.ask(cmd("XDEL").arg(key).arg(place)).await,
            Purge::Before(time) => {
                let mut trim = cmd("XTRIM");
                trim.arg(key).arg("MINID").arg("~").arg(time.0).arg("LIMIT").arg(TRIMMED);
                let mut purged = 0;
                loop {
                    // Whole nodes first, a bounded number at a time; then the rest of one node.
                    match self.ask::<u64>(&trim).await? {
                        0 => break,
                        count => purged += count,
                    }
                }
                let key = keys::dead(Shard::of(queue.app), queue.endpoint);
                let mut rest = cmd("XTRIM");
                rest.arg(key).arg("MINID").arg("=").arg(time.0);
                Ok(purged + self.ask::<u64>(&rest).await?)
            }
        }
    }

    async fn tally(&self, of: Destination, from: Millis, to: Millis) -> Result<Tally> {
        let now = Millis::now();
        let oldest = now.0.saturating_sub(millis(self.lifetimes.history));
        let (from, to) = (from.0.max(oldest), to.0.min(now.0.saturating_add(HOUR_MS)));
        // The writer's clock says in which day's hash an hour is, the store's which hour it is.
        let days = from.saturating_sub(keys::DAY_MS)..=to.saturating_add(keys::DAY_MS);
        let mut pipeline = pipe();
        for day in days.step_by(keys::DAY_MS as usize) {
            let key = keys::tally(Shard::of(of.app), of.endpoint, Millis(day));
            pipeline.cmd("HGETALL").arg(key);
        }
        let hours = from / HOUR_MS..=to / HOUR_MS;
        let mut tally = Tally::default();
        for (field, count) in self.ask_all::<Vec<Vec<(String, u64)>>>(&pipeline).await?.concat() {
            let (hour, what) = field.split_at(field.len().saturating_sub(1));
            if hour.parse().is_ok_and(|hour| hours.contains(&hour)) {
                match what {
                    "d" => tally.delivered += count,
                    "f" => tally.failed += count,
                    "g" => tally.given_up += count,
                    _ => return Err(corrupt("a tally cannot be read", field)),
                }
            }
        }
        Ok(tally)
    }

    fn since(&self, time: Millis) -> Cursor {
        Cursor(format!("{}-{}", time.0.saturating_sub(1), u64::MAX))
    }
}

impl Redis {
    /// Takes out the responses that are not to be shown any more.
    async fn strike(&self, queue: Queue, found: &mut [(Cursor, Attempt)]) -> Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        let mut command = cmd("ZMSCORE");
        command.arg(keys::struck(Shard::of(queue.app), queue.endpoint));
        for (Cursor(place), _) in found.iter() {
            command.arg(place);
        }
        let struck: Vec<Option<u64>> = self.ask(&command).await?;
        for ((_, attempt), _) in found.iter_mut().zip(struck).filter(|(_, at)| at.is_some()) {
            attempt.response.clear();
        }
        Ok(())
    }

    /// Part of a stream, from a place that XRANGE knows.
    async fn range(
        &self,
        key: &str,
        order: Order,
        from: Option<&str>,
        count: usize,
    ) -> Result<Vec<Raw>> {
        let (name, first, last) = match order {
            Order::OldestFirst => ("XRANGE", "-", "+"),
            Order::NewestFirst => ("XREVRANGE", "+", "-"),
        };
        let mut command = cmd(name);
        command.arg(key).arg(from.unwrap_or(first)).arg(last).arg("COUNT").arg(count);
        self.ask(&command).await
    }

    /// A page of a stream whose entries hold one record each.
    async fn single<T: DeserializeOwned>(
        &self,
        key: String,
        field: &str,
        page: &PageRequest,
    ) -> Result<Page<T>> {
        let after = page.after.as_ref().map(|cursor| entry_place(&cursor.0)).transpose()?;
        let from = after.map(|id| format!("({id}"));
        let mut found = self.range(&key, page.order, from.as_deref(), page.limit + 1).await?;
        let done = found.len() <= page.limit;
        found.truncate(page.limit);
        let mut entries = Vec::with_capacity(found.len());
        for (id, fields) in found {
            if let Some(json) = value(&fields, field) {
                entries.push((Cursor(id), parse(json)?));
            }
        }
        Ok(Page { entries, done })
    }
}

fn value<'a>(fields: &'a [(Vec<u8>, Vec<u8>)], field: &str) -> Option<&'a [u8]> {
    fields.iter().find(|(name, _)| name == field.as_bytes()).map(|(_, value)| value.as_slice())
}

/// The attempts of an entry, if it is this application's.
pub(super) fn packed(fields: &[(Vec<u8>, Vec<u8>)], field: &str) -> Result<Vec<Attempt>> {
    value(fields, field).map_or_else(|| Ok(Vec::new()), parse)
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json)
        .map_err(|error| corrupt("a record of history cannot be read", error))
}

pub(super) fn no_place(cursor: &str) -> StoreError {
    StoreError::caused_by(ErrorKind::NoPlace, "the cursor is not one of this list", cursor)
}

/// The entry that a cursor names.
fn entry_place(text: &str) -> Result<&str> {
    // The parser takes a sign, which Redis does not.
    let is_number = |part: &str| !part.starts_with('+') && part.parse::<u64>().is_ok();
    let is_id =
        text.split_once('-').is_some_and(|(major, minor)| is_number(major) && is_number(minor));
    if is_id { Ok(text) } else { Err(no_place(text)) }
}

/// The entry and record that a cursor names. That of a time names an entry that there never is.
fn packed_place(Cursor(text): &Cursor) -> Result<(String, usize)> {
    let (entry, index) = text.split_once('.').unwrap_or((text, "0"));
    Ok((entry_place(entry)?.to_owned(), index.parse().map_err(|_| no_place(text))?))
}
