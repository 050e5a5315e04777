//! The blocking read.

use std::time::Duration;

use ::redis::{Value, aio::MultiplexedConnection, pipe};

use super::{
    connection::{Dialer, decode},
    entry::{entries, id_text},
    error::{corrupt, failed},
    keys,
    leases::parse_lease,
};
use crate::store::{LONGEST_READ, LaneBatch, LaneRead, Reader, Result};

/// A reader with a connection of its own, which its reads block.
pub(super) struct RedisReader {
    dialer: Dialer,
    /// Taken out while a read is under way: a read that was dropped takes its connection with it,
    /// because the next one would have to wait behind it.
    connection: Option<MultiplexedConnection>,
}

impl RedisReader {
    pub(super) async fn connect(dialer: Dialer) -> Result<Self> {
        let connection = Some(dialer.dial().await?);
        Ok(Self { dialer, connection })
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
        let streams: Vec<String> = lanes.iter().map(|read| keys::lane(read.lane)).collect();
        let mut pipeline = pipe();
        pipeline.cmd("XREAD").arg("COUNT").arg(limit).arg("BLOCK").arg(wait.as_millis() as u64);
        pipeline.arg("STREAMS").arg(&streams);
        for read in lanes {
            pipeline.arg(id_text(read.after));
        }
        // In the same round trip, and after the entries: a lane that was lost before they were read
        // shows here.
        pipeline.cmd("MGET");
        for read in lanes {
            pipeline.arg(keys::lease(read.lane));
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.dialer.dial().await?,
        };
        let reply: (Value, Vec<Option<String>>) =
            pipeline.query_async(&mut connection).await.map_err(failed)?;
        self.connection = Some(connection);
        batches(lanes, &streams, reply)
    }
}

fn batches(
    lanes: &[LaneRead],
    streams: &[String],
    (news, leases): (Value, Vec<Option<String>>),
) -> Result<Vec<LaneBatch>> {
    let news: Option<Vec<(String, Value)>> = decode(news)?;
    news.unwrap_or_default()
        .into_iter()
        .map(|(stream, news)| {
            let index = streams
                .iter()
                .position(|asked| *asked == stream)
                .ok_or_else(|| corrupt("redis answered for a stream that was not asked", stream))?;
            let lease =
                leases.get(index).and_then(Option::as_deref).map(parse_lease).transpose()?;
            Ok(LaneBatch { lane: lanes[index].lane, entries: entries(news)?, lease })
        })
        .collect()
}
