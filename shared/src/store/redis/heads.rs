//! What ordered queues wait for: their first members.

use std::time::Duration;

use ::redis::pipe;

use super::{
    Redis,
    error::corrupt,
    keys,
    lanes::{parse_due, parse_tries},
};
use crate::{
    domain::{Delivery, Destination, ORDERED_STRANDS, Queue, Strand},
    store::{Head, Result, Waiting},
};

impl Redis {
    pub(super) async fn heads_of(&self, of: Destination) -> Result<Vec<Head>> {
        let queues: Vec<_> =
            (0..ORDERED_STRANDS).map(|number| of.queue(Strand::Ordered(number))).collect();
        let mut pipeline = pipe();
        for queue in &queues {
            pipeline.cmd("ZRANGE").arg(keys::wait(*queue)).arg(0).arg(0);
        }
        let firsts: Vec<Vec<String>> = self.serving.pipeline(&pipeline).await?;
        let mut found: Vec<(Queue, String)> = Vec::new();
        for (queue, mut first) in queues.into_iter().zip(firsts) {
            found.extend(first.pop().map(|member| (queue, member)));
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }

        let mut counts = pipe();
        let mut tries = pipe();
        tries.cmd("TIME");
        for (queue, member) in &found {
            counts.cmd("ZCARD").arg(keys::wait(*queue));
            tries.cmd("HMGET").arg(keys::tries(*queue)).arg(member);
        }
        let counts: Vec<u64> = self.serving.pipeline(&counts).await?;
        // The time comes first: seconds and microseconds, as texts like the tries.
        let tries: Vec<Vec<Option<String>>> = self.serving.pipeline(&tries).await?;
        let mut tries = tries.into_iter();
        let now = tries.next().as_deref().and_then(milliseconds);
        let now = now.ok_or_else(|| corrupt("redis told an unreadable time", ""))?;
        let heads = found.into_iter().zip(counts).zip(tries);
        heads
            .map(|(((queue, member), waiting), tried)| {
                let delivery = Delivery::from_member(queue, &member)
                    .ok_or_else(|| corrupt("an unreadable delivery waits", member.as_str()))?;
                let tried = tried.into_iter().flatten().next().unwrap_or_default();
                let (attempts, steps) = parse_tries(&tried).unwrap_or_default();
                let due = parse_due(&tried).unwrap_or_default();
                let opens_in = Duration::from_millis(due.saturating_sub(now));
                Ok(Head { first: Waiting { delivery, attempts, steps }, opens_in, waiting })
            })
            .collect()
    }
}

fn milliseconds(time: &[Option<String>]) -> Option<u64> {
    let [Some(seconds), Some(micros)] = time else { return None };
    Some(seconds.parse::<u64>().ok()? * 1000 + micros.parse::<u64>().ok()? / 1000)
}
