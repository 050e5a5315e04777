//! How much waits in queues, without looking at what it is.

use std::time::Duration;

use ::redis::{Value, pipe};

use super::{Redis, connection::decode, error::corrupt, keys};
use crate::{
    domain::{Delivery, Queue},
    store::{Depth, PARKED_BELOW, Result},
};

/// Replies for each queue.
const REPLIES: usize = 3;

impl Redis {
    pub(super) async fn depths_of(&self, queues: &[Queue]) -> Result<Vec<Depth>> {
        if queues.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        pipeline.cmd("TIME");
        for queue in queues {
            let wait = keys::wait(*queue);
            pipeline.cmd("ZCARD").arg(&wait);
            pipeline.cmd("ZRANGE").arg(&wait).arg(0).arg(0).arg("WITHSCORES");
            pipeline.cmd("ZRANGEBYSCORE").arg(&wait).arg(PARKED_BELOW).arg("+inf");
            pipeline.arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
        }
        let replies: Vec<Value> = self.serving.pipeline(&pipeline).await?;
        let mut replies = replies.into_iter();
        let time = replies.next().map(decode::<(u64, u64)>).transpose()?;
        let (seconds, micros) = time.ok_or_else(short)?;
        let now = seconds * 1000 + micros / 1000;
        let depths = queues.iter().map(|queue| depth(*queue, now, replies.by_ref().take(REPLIES)));
        depths.collect()
    }
}

fn depth(queue: Queue, now: u64, mut replies: impl Iterator<Item = Value>) -> Result<Depth> {
    let waiting = decode(replies.next().ok_or_else(short)?)?;
    let first: Vec<(String, f64)> = decode(replies.next().ok_or_else(short)?)?;
    let timed: Vec<(String, f64)> = decode(replies.next().ok_or_else(short)?)?;
    let parked = first.first().filter(|(_, score)| *score < PARKED_BELOW as f64);
    let read = |member: &String| {
        Delivery::from_member(queue, member)
            .ok_or_else(|| corrupt("an unreadable delivery waits", member.as_str()))
    };
    let parked = parked.map(|(member, _)| read(member)).transpose()?;
    let overdue = timed.first().and_then(|(_, due)| now.checked_sub(*due as u64));
    Ok(Depth { waiting, parked, overdue: overdue.map(Duration::from_millis) })
}

fn short() -> crate::store::StoreError {
    corrupt("redis gave too few answers about queues", "")
}
