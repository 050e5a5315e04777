//! What owners do with their lanes, apart from reading and settling.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ::redis::{Value, cmd, pipe};
use bytes::Bytes;

use super::{
    Redis,
    connection::decode,
    entry::{entries, id_text, pack_delivery, pack_fan_out},
    error::corrupt,
    keys,
    leases::{fence_text, parse_lease},
    millis,
    reader::RedisReader,
    scripts::{Call, DUE, EXPAND, FORGET, PARK},
};
use crate::{
    domain::{Delivery, Destination, Generation, Queue},
    id::{AppId, EndpointId},
    placement::{Lane, Shard},
    store::{
        AgendaEntry, AgendaPage, Ask, Depth, Due, Entry, EntryId, Expand, Expanded, FanOut, Fence,
        Fetch, Fetched, Head, InFront, Lanes, PARKED_BELOW, Park, Parked, Reader, Result, Settle,
        Settled, Target, Version, Waiting,
    },
};

/// Bound of one script in entries.
const MOST_ENTRIES: usize = 512;

#[async_trait::async_trait]
impl Lanes for Redis {
    async fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(RedisReader::connect(self.dialer.clone()).await?))
    }

    async fn page(
        &self,
        lane: Lane,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<(EntryId, Entry)>> {
        let mut command = cmd("XRANGE");
        command.arg(keys::lane(lane)).arg(format!("({}", id_text(after))).arg("+");
        command.arg("COUNT").arg(limit);
        entries(self.serving.command(&command).await?)
    }

    async fn fetch(&self, fetches: &[Fetch]) -> Result<Vec<Fetched>> {
        if fetches.is_empty() {
            return Ok(Vec::new());
        }
        let deliveries = || fetches.iter().flat_map(|fetch| &fetch.deliveries);
        let apps: BTreeSet<AppId> = deliveries().map(|delivery| delivery.app).collect();
        let mut pipeline = pipe();
        if deliveries().next().is_some() {
            pipeline.cmd("MGET");
            for delivery in deliveries() {
                pipeline.arg(keys::body(Shard::of(delivery.app), delivery.message));
            }
        }
        for app in &apps {
            pipeline.cmd("HGET").arg(keys::app(*app)).arg(keys::VERSION_FIELD);
        }
        // Last, so that they prove the lanes were held when the rest was read.
        pipeline.cmd("MGET");
        for fetch in fetches {
            pipeline.arg(keys::lease(fetch.fence.lane));
        }
        let replies: Vec<Value> = self.serving.pipeline(&pipeline).await?;
        fetched(fetches, &apps, replies)
    }

    async fn park(&self, fence: &Fence, parks: &[Park]) -> Result<Option<Vec<Parked>>> {
        let mut parked = Vec::with_capacity(parks.len());
        for part in parks.chunks(MOST_ENTRIES) {
            let answer: Option<String> = self.serving.call(&park_call(fence, part)).await?;
            let Some(answer) = answer else { return Ok(None) };
            parked.extend(answer.bytes().map(|flag| match flag {
                b'1' => Parked::Moved,
                _ => Parked::NotThere,
            }));
        }
        Ok(Some(parked))
    }

    async fn forget(&self, fence: &Fence, forgotten: &[EntryId]) -> Result<Option<()>> {
        for part in forgotten.chunks(MOST_ENTRIES) {
            let (first, last) = range(part.iter().copied());
            let mut call = Call::new(&FORGET);
            call.key(keys::lease(fence.lane)).key(keys::lane(fence.lane)).arg(fence_text(fence));
            call.arg(first).arg(last);
            for entry in part {
                call.arg(id_text(*entry));
            }
            let answer: Option<u64> = self.serving.call(&call).await?;
            if answer.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    async fn expand(&self, fence: &Fence, expand: &Expand) -> Result<Option<Expanded>> {
        let answer: Option<bool> = self.serving.call(&self.expand_call(fence, expand)).await?;
        Ok(answer.map(|done| if done { Expanded::Done } else { Expanded::NotThere }))
    }

    async fn due(&self, fence: &Fence, asks: &[Ask]) -> Result<Option<Vec<Due>>> {
        let mut call = Call::new(&DUE);
        call.key(keys::lease(fence.lane)).arg(fence_text(fence)).number(PARKED_BELOW);
        for Ask { queue, parked, retries } in asks {
            call.key(keys::wait(*queue)).key(keys::tries(*queue));
            call.count(*parked).count(*retries);
        }
        let answers: Option<Vec<DueAnswer>> = self.serving.call(&call).await?;
        answers
            .map(|answers| {
                answers.into_iter().zip(asks).map(|(it, ask)| due(ask.queue, it)).collect()
            })
            .transpose()
    }

    async fn settle(&self, batch: &[Settle]) -> Result<Vec<Option<Vec<Settled>>>> {
        self.settle_all(batch).await
    }

    async fn agenda(&self, lane: Lane, from: Option<&str>, limit: usize) -> Result<AgendaPage> {
        let from: u64 = from
            .unwrap_or("0")
            .parse()
            .map_err(|error| corrupt("not a place in an agenda", Box::new(error)))?;
        let mut pipeline = pipe();
        pipeline.cmd("TIME");
        pipeline.cmd("ZSCAN").arg(keys::agenda(lane)).arg(from).arg("COUNT").arg(limit);
        let ((seconds, micros), (next, members)): ((u64, u64), (u64, Vec<(String, f64)>)) =
            self.serving.pipeline(&pipeline).await?;
        let now = seconds * 1000 + micros / 1000;
        let entries = members
            .iter()
            .map(|(member, opens)| {
                let queue = Queue::from_member(member).ok_or_else(|| {
                    corrupt("an agenda names an unreadable queue", member.as_str())
                })?;
                let opens_in = Duration::from_millis((*opens as u64).saturating_sub(now));
                Ok(AgendaEntry { queue, opens_in })
            })
            .collect::<Result<_>>()?;
        Ok(AgendaPage { entries, next: (next != 0).then(|| next.to_string()) })
    }

    async fn states(&self, app: AppId, endpoints: &[EndpointId]) -> Result<Vec<Option<Bytes>>> {
        if endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = cmd("MGET");
        for endpoint in endpoints {
            command.arg(keys::state(Shard::of(app), *endpoint));
        }
        let states: Vec<Value> = self.serving.command(&command).await?;
        states.into_iter().map(bytes).collect()
    }

    async fn heads(&self, of: Destination) -> Result<Vec<Head>> {
        self.heads_of(of).await
    }

    async fn front(&self, queue: Queue, limit: usize) -> Result<Vec<InFront>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let shard = Shard::of(queue.app);
        let mut command = cmd("ZRANGE");
        command.arg(keys::wait(queue)).arg(0).arg(limit as i64 - 1);
        let members: Vec<String> = self.serving.command(&command).await?;
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        pipeline.cmd("HMGET").arg(keys::tries(queue)).arg(&members);
        let deliveries = members.iter().map(|member| read_member(queue, member));
        let deliveries = deliveries.collect::<Result<Vec<_>>>()?;
        for delivery in &deliveries {
            pipeline.cmd("EXISTS").arg(keys::body(shard, delivery.message));
        }
        let mut replies = self.serving.pipeline::<Vec<Value>>(&pipeline).await?.into_iter();
        let tries = replies.next().map(decode::<Vec<Option<String>>>).transpose()?;
        let found = deliveries.into_iter().zip(tries.unwrap_or_default()).zip(replies);
        found
            .map(|((delivery, tried), exists)| {
                let (attempts, steps) = read_tries(tried)?;
                let waiting = Waiting { delivery, attempts, steps };
                Ok(InFront { waiting, lives: decode(exists)? })
            })
            .collect()
    }

    async fn depths(&self, queues: &[Queue]) -> Result<Vec<Depth>> {
        self.depths_of(queues).await
    }

    async fn waiting(&self, queue: Queue) -> Result<u64> {
        self.serving.command(cmd("ZCARD").arg(keys::wait(queue))).await
    }
}

impl Redis {
    fn expand_call(&self, fence: &Fence, expand: &Expand) -> Call {
        let FanOut { app, message, .. } = expand.fan_out;
        let shard = Shard::of(app);
        let mut call = Call::new(&EXPAND);
        call.key(keys::lease(fence.lane))
            .key(keys::lane(fence.lane))
            .key(keys::body(shard, message))
            .key(keys::left(shard, message))
            .key(keys::app(app))
            .arg(fence_text(fence))
            .arg(id_text(expand.entry))
            .arg(pack_fan_out(&expand.fan_out))
            .arg(expand.rest().as_ref().map(pack_fan_out).unwrap_or_default())
            .number(millis(self.lifetimes.retention))
            .number(millis(self.lifetimes.history));
        for Target { endpoint, strand, not_before } in &expand.targets {
            let generation = Generation::default();
            let delivery =
                Delivery { app, endpoint: *endpoint, strand: *strand, message, generation };
            call.key(keys::lane(delivery.lane())).arg(pack_delivery(&delivery, *not_before));
        }
        call
    }
}

/// Takes over the memory of a reply.
pub(super) fn bytes(value: Value) -> Result<Option<Bytes>> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::Nil => Ok(None),
        other => Err(corrupt("redis answered something else than a string", format!("{other:?}"))),
    }
}

fn fetched(fetches: &[Fetch], apps: &BTreeSet<AppId>, replies: Vec<Value>) -> Result<Vec<Fetched>> {
    let short = || corrupt("redis gave too few answers to a fetch", "");
    let mut replies = replies.into_iter();
    let mut bodies = Vec::new().into_iter();
    if !apps.is_empty() {
        bodies = decode::<Vec<Value>>(replies.next().ok_or_else(short)?)?.into_iter();
    }
    let mut versions = BTreeMap::new();
    for app in apps {
        if let Some(version) = decode::<Option<u64>>(replies.next().ok_or_else(short)?)? {
            versions.insert(*app, Version(version));
        }
    }
    let leases: Vec<Option<String>> = decode(replies.next().ok_or_else(short)?)?;
    fetches
        .iter()
        .zip(leases)
        .map(|(Fetch { fence, deliveries }, lease)| {
            let records =
                bodies.by_ref().take(deliveries.len()).map(bytes).collect::<Result<Vec<_>>>()?;
            let lease = lease.as_deref().map(parse_lease).transpose()?;
            let held = lease.is_some_and(|lease| {
                lease.epoch == fence.epoch && lease.owner.as_ref() == Some(&fence.owner)
            });
            if !held {
                return Ok(Fetched::Fenced);
            }
            let versions = deliveries
                .iter()
                .filter_map(|delivery| Some((delivery.app, *versions.get(&delivery.app)?)))
                .collect();
            Ok(Fetched::Held { records, versions })
        })
        .collect()
}

/// The entries among which a script looks for those that are named.
pub(super) fn range(named: impl Iterator<Item = EntryId> + Clone) -> (String, String) {
    let text = |id: Option<EntryId>| id.map(id_text).unwrap_or_default();
    (text(named.clone().min()), text(named.max()))
}

fn park_call(fence: &Fence, parks: &[Park]) -> Call {
    let mut queues: Vec<Queue> = parks.iter().map(|park| park.delivery.queue()).collect();
    queues.sort_unstable();
    queues.dedup();
    let (first, last) = range(parks.iter().map(|park| park.entry));
    let mut call = Call::new(&PARK);
    call.key(keys::lease(fence.lane))
        .key(keys::lane(fence.lane))
        .key(keys::agenda(fence.lane))
        .key(keys::sequence(fence.lane))
        .arg(fence_text(fence))
        .arg(first)
        .arg(last)
        .count(parks.len())
        .count(queues.len());
    for queue in &queues {
        call.key(keys::wait(*queue)).key(keys::tries(*queue)).arg(queue.member());
    }
    for Park { entry, delivery, delay } in parks {
        let before = queues.partition_point(|queue| *queue < delivery.queue());
        call.count(before + 1).arg(id_text(*entry)).arg(delivery.member());
        match delay {
            None => call.arg(""),
            Some(delay) => call.number(millis(*delay)),
        };
    }
    call
}

/// Members parked, members due, delay of the next, members in all, tries of both.
type DueAnswer = (Vec<String>, Vec<String>, i64, u64, Vec<Option<String>>);

fn due(queue: Queue, (parked, retries, next, waiting, tries): DueAnswer) -> Result<Due> {
    let mut tries = tries.into_iter();
    let mut found = |members: Vec<String>| {
        members
            .iter()
            .map(|member| {
                let delivery = read_member(queue, member)?;
                let (attempts, steps) = read_tries(tries.next().flatten())?;
                Ok(Waiting { delivery, attempts, steps })
            })
            .collect::<Result<Vec<_>>>()
    };
    Ok(Due {
        parked: found(parked)?,
        retries: found(retries)?,
        next: u64::try_from(next).ok().map(Duration::from_millis),
        waiting,
    })
}

fn read_member(queue: Queue, member: &str) -> Result<Delivery> {
    Delivery::from_member(queue, member)
        .ok_or_else(|| corrupt("an unreadable delivery waits", member))
}

/// Attempts and steps; none of one that was never tried.
fn read_tries(tried: Option<String>) -> Result<(u32, u32)> {
    match tried {
        None => Ok((0, 0)),
        Some(tried) => parse_tries(&tried)
            .ok_or_else(|| corrupt("the tries of a delivery cannot be read", tried)),
    }
}

pub(super) fn parse_tries(text: &str) -> Option<(u32, u32)> {
    let mut counts = text.split(':').map(str::parse);
    Some((counts.next()?.ok()?, counts.next()?.ok()?))
}

/// When a member of an ordered queue is due, if that is written down.
pub(super) fn parse_due(tries: &str) -> Option<u64> {
    tries.split(':').nth(2)?.parse().ok()
}
