//! Limits that lanes share: a hash per bucket, which goes when it has nothing to remember.

use std::time::Duration;

use ::redis::{cmd, pipe};

use super::{
    Redis,
    error::corrupt,
    keys,
    scripts::{Call, TAKE},
};
use crate::store::{Granted, Limits, Metered, Result, Take, pace};

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The limits of a bucket as the script writes them.
fn limits_text(metered: &Metered) -> String {
    let paces = metered.limits.iter().map(pace);
    let texts = paces.map(|it| format!("{}:{}", micros(it.gap), micros(it.tolerance)));
    texts.collect::<Vec<_>>().join(" ")
}

#[async_trait::async_trait]
impl Limits for Redis {
    async fn take(&self, take: &Take) -> Result<Granted> {
        let mut call = Call::new(&TAKE);
        call.count(take.cells.max(1)).number(micros(take.spread));
        for metered in &take.buckets {
            call.key(keys::bucket(&metered.bucket));
            call.number(metered.version).arg(limits_text(metered));
        }
        let answer: Vec<u64> = self.serving.call(&call).await?;
        let mut numbers = answer.into_iter().map(Duration::from_micros);
        let at = numbers.next().ok_or_else(|| corrupt("a bucket gave no answer", ""))?;
        Ok(Granted { at, cells: numbers.collect() })
    }

    async fn next(&self, buckets: &[Metered]) -> Result<Vec<Duration>> {
        let mut pipeline = pipe();
        pipeline.cmd("TIME");
        for metered in buckets {
            let key = keys::bucket(&metered.bucket);
            let fields = ["limits", "arrivals", "holes"];
            pipeline.add_command(cmd("HMGET").arg(key).arg(&fields).clone());
        }
        let mut replies: Vec<Vec<Option<String>>> = self.ask_all(&pipeline).await?;
        let found = replies.split_off(1);
        let now = match replies.concat().as_slice() {
            [Some(seconds), Some(micros)] => seconds
                .parse::<u64>()
                .ok()
                .zip(micros.parse::<u64>().ok())
                .map(|(seconds, micros)| seconds * 1_000_000 + micros),
            _ => None,
        };
        let now = now.ok_or_else(|| corrupt("redis did not tell the time", ""))?;
        Ok(found.iter().map(|fields| Duration::from_micros(wait(fields, now))).collect())
    }
}

/// How long until the bucket with these fields has a cell, in microseconds. What cannot be read is as
/// good as nothing: only the next take decides.
fn wait(fields: &[Option<String>], now: u64) -> u64 {
    let [Some(limits), Some(arrivals), Some(holes)] = fields else { return 0 };
    let arrivals = arrivals.split(' ').filter_map(|arrival| arrival.parse::<u64>().ok());
    let ready = |(arrival, (_, tolerance)): (u64, (u64, u64))| arrival.saturating_sub(tolerance);
    let ready = arrivals.zip(pairs(limits)).map(ready).max().unwrap_or(0);
    let holes = pairs(holes).filter(|(_, to)| *to >= now).map(|(from, _)| from);
    holes.fold(ready, u64::min).saturating_sub(now)
}

/// Pairs of numbers, as the script writes them.
fn pairs(text: &str) -> impl Iterator<Item = (u64, u64)> {
    let pair = |text: &str| text.split_once(':').map(|(one, other)| (one.parse(), other.parse()));
    text.split(' ').filter_map(move |text| match pair(text) {
        Some((Ok(one), Ok(other))) => Some((one, other)),
        _ => None,
    })
}
