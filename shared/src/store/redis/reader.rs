//! The blocking read.

use std::{collections::BTreeMap, time::Duration};

use ::redis::{Value, aio::MultiplexedConnection, pipe};

use super::{
    connection::{Dialer, decode},
    entry::{entries, id_text},
    error::{corrupt, failed},
    keys,
    leases::parse_lease,
};
use crate::{
    placement::Lane,
    store::{LONGEST_READ, LaneBatch, LaneRead, Reader, Result},
};

/// A reader with a connection of its own, which its reads block.
pub(super) struct RedisReader {
    dialer: Dialer,
    /// Taken out while a read is under way: a read that was dropped takes its connection with it,
    /// because the next one would have to wait behind it.
    connection: Option<MultiplexedConnection>,
    /// The keys of lanes that were read: each read names all of them.
    keys: BTreeMap<Lane, LaneKeys>,
}

struct LaneKeys {
    stream: String,
    lease: String,
}

impl LaneKeys {
    fn new(lane: Lane) -> Self {
        Self { stream: keys::lane(lane), lease: keys::lease(lane) }
    }
}

impl RedisReader {
    pub(super) async fn connect(dialer: Dialer) -> Result<Self> {
        let connection = Some(dialer.dial().await?);
        Ok(Self { dialer, connection, keys: BTreeMap::new() })
    }
}

#[async_trait::async_trait]
impl Reader for RedisReader {
    async fn read_within(
        &mut self,
        lanes: &[LaneRead],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<LaneBatch>> {
        // Shorter than the connection's response timeout, and never zero: that would be for ever.
        let wait = wait.clamp(Duration::from_millis(1), LONGEST_READ);
        if lanes.is_empty() {
            tokio::time::sleep(wait).await;
            return Ok(Vec::new());
        }
        for LaneRead { lane, .. } in lanes {
            self.keys.entry(*lane).or_insert_with(|| LaneKeys::new(*lane));
        }
        let keys: Vec<&LaneKeys> = lanes.iter().map(|read| &self.keys[&read.lane]).collect();
        let mut pipeline = pipe();
        pipeline.cmd("XREAD").arg("COUNT").arg(limit).arg("BLOCK").arg(wait.as_millis() as u64);
        pipeline.arg("STREAMS");
        for of in &keys {
            pipeline.arg(&of.stream);
        }
        for read in lanes {
            pipeline.arg(id_text(read.after));
        }
        // In the same round trip, and after the entries: a lane that was lost before they were read
        // shows here.
        pipeline.cmd("MGET");
        for of in &keys {
            pipeline.arg(&of.lease);
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.dialer.dial().await?,
        };
        let reply: (Value, Vec<Option<String>>) =
            pipeline.query_async(&mut connection).await.map_err(failed)?;
        self.connection = Some(connection);
        batches(lanes, &keys, reply)
    }
}

fn batches(
    lanes: &[LaneRead],
    keys: &[&LaneKeys],
    (news, leases): (Value, Vec<Option<String>>),
) -> Result<Vec<LaneBatch>> {
    let news: Option<Vec<(String, Value)>> = decode(news)?;
    news.unwrap_or_default()
        .into_iter()
        .map(|(stream, news)| {
            let index = keys
                .iter()
                .position(|of| of.stream == stream)
                .ok_or_else(|| corrupt("redis answered for a stream that was not asked", stream))?;
            let lease =
                leases.get(index).and_then(Option::as_deref).map(parse_lease).transpose()?;
            Ok(LaneBatch { lane: lanes[index].lane, entries: entries(news)?, lease })
        })
        .collect()
}
