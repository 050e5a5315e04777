//! Publishing.

use ::redis::Value;
use bytes::Bytes;

use super::{
    Redis,
    connection::decode,
    entry::{pack_delivery, pack_fan_out},
    error::corrupt,
    keys,
    log::LogRecord,
    millis,
    scripts::{Call, EXPUNGE, PUBLISH, RESEND},
};
use crate::{
    domain::{Delivery, Generation},
    id::{AppId, MessageId, TEXT_LEN},
    placement::Shard,
    store::{
        ErrorKind, Fingerprint, Lifetimes, Publication, Published, Publisher, Resend, Resent,
        Result, StoreError, Terms,
    },
};

/// Bounds of one script, which nothing else can interrupt.
const MOST_MESSAGES: usize = 64;
const MOST_BYTES: usize = 1 << 20;
const MOST_DELIVERIES: usize = 512;
/// A message's `left` counts its open deliveries, and carries in this unit the minutes of a retention
/// of its own; the scripts know it too.
const KEPT: u64 = 10_000_000;
/// Bytes that count towards a quota are counted by when their body ends, in so many parts of a life.
const SLOTS_OF_LIFE: u64 = 16;

#[async_trait::async_trait]
impl Publisher for Redis {
    async fn publish(&self, batch: Vec<Publication>) -> Result<Vec<Published>> {
        let mut results = Vec::with_capacity(batch.len());
        for part in parts(&batch) {
            match self.publish_part(part).await {
                Ok(published) => results.extend(published),
                // What came before is written.
                Err(error) if !results.is_empty() => {
                    let what = "only a part of the batch is known to be stored";
                    return Err(StoreError::caused_by(ErrorKind::Ambiguous, what, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(results)
    }

    async fn resend(&self, Resend { delivery }: Resend) -> Result<Resent> {
        let shard = Shard::of(delivery.app);
        let mut call = Call::new(&RESEND);
        call.key(keys::body(shard, delivery.message))
            .key(keys::left(shard, delivery.message))
            .key(keys::app(delivery.app))
            .key(keys::lane(delivery.lane()))
            .arg(keys::endpoint_field(delivery.endpoint))
            .arg(pack_delivery(&delivery, None))
            .number(millis(self.lifetimes.message))
            .number(millis(self.lifetimes.retention));
        let answer: String = self.write(&call).await?;
        match answer.as_str() {
            "queued" => Ok(Resent::Queued),
            "message" => Ok(Resent::NoMessage),
            "endpoint" => Ok(Resent::NoEndpoint),
            other => Err(corrupt("the script resend gave an unknown answer", other)),
        }
    }

    async fn expunge(&self, app: AppId, message: MessageId, record: Bytes) -> Result<bool> {
        let mut call = Call::new(&EXPUNGE);
        let shard = Shard::of(app);
        call.key(keys::body(shard, message))
            .key(keys::left(shard, message))
            .key(keys::app(app))
            .arg(record);
        self.write(&call).await
    }
}

impl Redis {
    async fn publish_part(&self, part: &[Publication]) -> Result<Vec<Published>> {
        let mut call = Call::new(&PUBLISH);
        call.count(part.len())
            .number(millis(self.lifetimes.message))
            .number(millis(self.lifetimes.retention))
            .number(millis(self.lifetimes.history));
        for publication in part {
            add(&mut call, self.lifetimes, publication)?;
        }
        let answers: Vec<Value> = self.write(&call).await?;
        if answers.len() != part.len() {
            return Err(corrupt("the script publish gave a wrong number of answers", ""));
        }
        answers.into_iter().zip(part).map(|(answer, job)| published(answer, job)).collect()
    }
}

/// Cuts a batch into parts that one script can take. A single publication is always one part.
fn parts(batch: &[Publication]) -> impl Iterator<Item = &[Publication]> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let (mut bytes, mut deliveries) = (0, 0);
        let length = rest
            .iter()
            .take(MOST_MESSAGES)
            .take_while(|publication| {
                bytes += publication.record.len();
                deliveries += publication.targets.len();
                bytes <= MOST_BYTES
                    && deliveries <= MOST_DELIVERIES
                    && keys::one_script(
                        Shard::of(first.header.app),
                        Shard::of(publication.header.app),
                    )
            })
            .count()
            .max(1);
        let (part, others) = rest.split_at(length);
        rest = others;
        Some(part)
    })
}

fn add(call: &mut Call, lifetimes: Lifetimes, publication: &Publication) -> Result<()> {
    let Publication { header, record, version, targets, fan_out, terms, dedup } = publication;
    let shard = Shard::of(header.app);
    let log = serde_json::to_string(&LogRecord::new(header))
        .map_err(|error| corrupt("the header of the message cannot be written", error))?;
    call.key(keys::body(shard, header.id))
        .key(keys::left(shard, header.id))
        .key(keys::app(header.app))
        .key(keys::log(header.app))
        .arg(header.id.bare().to_string())
        .arg(record.clone())
        .arg(log);
    match fan_out {
        None => call.number(version.0),
        Some(_) => call.arg(""),
    };
    let open = targets.len() + usize::from(fan_out.is_some());
    call.arg(terms_text(terms, open, lifetimes)).count(dedup.len());
    for dedup in dedup {
        call.key(keys::dedup(header.app, &dedup.key))
            .arg(hex(&dedup.fingerprint))
            .number(millis(dedup.lifetime).max(1));
    }
    if let Some(fan_out) = fan_out {
        call.count(1).key(keys::lane(fan_out.lane())).arg(pack_fan_out(fan_out));
        return Ok(());
    }
    call.count(targets.len());
    for target in targets {
        let delivery = Delivery {
            app: header.app,
            endpoint: target.endpoint,
            strand: target.strand,
            message: header.id,
            generation: Generation(0),
        };
        call.key(keys::lane(delivery.lane())).arg(pack_delivery(&delivery, target.not_before));
    }
    Ok(())
}

/// The life of a message and what its `left` begins with, unless both are as with all others.
fn terms_text(terms: &Terms, open: usize, lifetimes: Lifetimes) -> String {
    if *terms == Terms::default() {
        return String::new();
    }
    let life = match (open, terms.retention) {
        (0, None) => millis(lifetimes.retention),
        (0, Some(_)) => u64::from(terms.minutes()) * 60_000,
        _ => millis(lifetimes.message + terms.delay),
    };
    let left = open as u64 + u64::from(terms.minutes()) * KEPT;
    let width = (millis(lifetimes.message) / SLOTS_OF_LIFE).max(1);
    // A quota of 0 would be none.
    let quota = terms.quota.map_or(0, |quota| quota.max(1));
    format!("{life} {left} {quota} {width}")
}

fn published(answer: Value, publication: &Publication) -> Result<Published> {
    let answer: String = decode(answer)?;
    match answer.as_str() {
        "accepted" => Ok(Published::Accepted),
        "missing" => Ok(Published::NoApplication),
        "stale" => Ok(Published::Stale),
        "full" => Ok(Published::OverQuota),
        taken => duplicate(taken, publication)
            .ok_or_else(|| corrupt("a dedup key holds something unreadable", "")),
    }
}

fn duplicate(taken: &str, publication: &Publication) -> Option<Published> {
    let (key, value) = taken.split_once(' ')?;
    let key = key.parse().ok()?;
    let (message, fingerprint) = value.split_at_checked(TEXT_LEN)?;
    Some(Published::Duplicate {
        key,
        message: MessageId::from_bare(message).ok()?,
        same: fingerprint == hex(&publication.dedup.get(key)?.fingerprint),
    })
}

fn hex(fingerprint: &Fingerprint) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|half| char::from(DIGITS[usize::from(half)]));
    fingerprint.iter().flat_map(digits).collect()
}
