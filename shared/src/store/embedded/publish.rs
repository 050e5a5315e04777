//! Publishing: a message with its fan-out, and resends.

use bytes::Bytes;

use super::{
    Embedded, corrupt,
    documents::version,
    draft::Draft,
    expiry::Expiring,
    keys,
    lives::life,
    records::{self, Life, Taken},
    tables::Table,
    view::Lookup,
};
use crate::{
    domain::{Delivery, Generation},
    id::{AppId, MessageId},
    store::{Dedup, Publication, Published, Publisher, Resend, Resent, Result, Target},
    time::Millis,
};

/// A publication, with what can be prepared outside of the writer.
struct Prepared {
    publication: Publication,
    /// The header as the log keeps it.
    log: Vec<u8>,
}

#[async_trait::async_trait]
impl Publisher for Embedded {
    async fn publish(&self, batch: Vec<Publication>) -> Result<Vec<Published>> {
        self.core.has_room()?;
        let prepare = |publication: Publication| match serde_json::to_vec(&publication.header) {
            Ok(log) => Ok(Prepared { publication, log }),
            Err(_) => Err(corrupt("the header of a message")),
        };
        let batch = batch.into_iter().map(prepare).collect::<Result<Vec<_>>>()?;
        self.writer
            .write(true, move |draft| {
                batch.into_iter().map(|prepared| publish(draft, prepared)).collect()
            })
            .await
    }

    async fn resend(&self, resend: Resend) -> Result<Resent> {
        self.core.has_room()?;
        self.writer.write(true, move |draft| resend_delivery(draft, &resend.delivery)).await
    }

    async fn expunge(&self, app: AppId, message: MessageId, record: Bytes) -> Result<bool> {
        self.writer
            .write(true, move |draft| {
                let lives = life(draft, app, message)?.filter(|life| life.until > draft.now);
                let Some(old) = lives else { return Ok(false) };
                draft.put(Table::Bodies, keys::message(app, message), &*record);
                let charged = old.charged.min(record.len() as u64);
                draft.give_back(app, old.charged - charged)?;
                draft.live(app, message, Some(old), Life { charged, ..old });
                Ok(true)
            })
            .await
    }
}

/// The key's holder, if somebody holds it.
pub(super) fn taken(of: &impl Lookup, app: AppId, key: &str) -> Result<Option<Taken>> {
    match of.get(Table::Keys, keys::dedup(app, key))? {
        None => Ok(None),
        Some(record) => Taken::decode(&record).map(Some).ok_or_else(|| corrupt("a dedup key")),
    }
}

fn publish(draft: &mut Draft<'_>, prepared: Prepared) -> Result<Published> {
    let Prepared {
        publication: Publication { header, record, version: chosen, targets, fan_out, terms, dedup },
        log,
    } = prepared;
    let (app, message) = (header.app, header.id);
    if life(draft, app, message)?.is_some() {
        return Ok(Published::Accepted);
    }
    match version(draft, app)? {
        None => return Ok(Published::NoApplication),
        Some(current) if current != chosen && fan_out.is_none() => return Ok(Published::Stale),
        Some(_) => {}
    }
    for (key, Dedup { key: name, fingerprint, .. }) in dedup.iter().enumerate() {
        match taken(draft, app, name)? {
            Some(holder) if holder.until > draft.now => {
                let same = holder.fingerprint == *fingerprint;
                return Ok(Published::Duplicate { key, message: holder.message, same });
            }
            _ => {}
        }
    }
    let open = targets.len() + usize::from(fan_out.is_some());
    let charged = match terms.quota.filter(|_| open > 0) {
        None => 0,
        Some(quota) => {
            let (held, size) = (draft.charged(app)?, record.len() as u64);
            if held + size > quota {
                return Ok(Published::OverQuota);
            }
            draft.charge(app, held + size);
            size
        }
    };

    for Dedup { key, fingerprint, lifetime } in dedup {
        let until = draft.now.after(lifetime);
        let name = keys::dedup(app, &key);
        if let Some(expired) = taken(draft, app, &key)? {
            draft.unexpire(expired.until, Expiring::Key, &name);
        }
        draft.expire(until, Expiring::Key, &name);
        draft.put(Table::Keys, name, Taken { until, message, fingerprint }.encode());
    }
    let lifetimes = draft.core.lifetimes;
    let life =
        Life { until: draft.now, open: 0, kept: Millis(0), minutes: terms.minutes(), charged };
    let until = match open {
        0 => life.retention(lifetimes.retention),
        _ => lifetimes.message + terms.delay,
    };
    let until = draft.now.after(until);
    draft.put(Table::Bodies, keys::message(app, message), &*record);
    let open = u32::try_from(open).unwrap_or(u32::MAX);
    draft.live(app, message, None, Life { until, open, ..life });
    draft.record(&keys::log(app), &log);
    for target in targets {
        let Target { endpoint, strand, not_before } = target;
        let delivery = Delivery { app, endpoint, strand, message, generation: Generation(0) };
        draft.append(delivery.lane(), records::encode_delivery(&delivery, not_before));
    }
    if let Some(fan_out) = fan_out {
        draft.append(fan_out.lane(), records::encode_fan_out(&fan_out));
    }
    Ok(Published::Accepted)
}

fn resend_delivery(draft: &mut Draft<'_>, delivery: &Delivery) -> Result<Resent> {
    let (app, message) = (delivery.app, delivery.message);
    let old = match life(draft, app, message)? {
        Some(life) if life.until > draft.now => life,
        _ => return Ok(Resent::NoMessage),
    };
    if draft.get(Table::Documents, keys::endpoint(delivery.queue()))?.is_none() {
        return Ok(Resent::NoEndpoint);
    }
    // Remembered as long as the body, so that a repetition is known even after it was delivered.
    let known = keys::resend(delivery);
    if draft.get(Table::Lives, &known)?.is_some() {
        return Ok(Resent::Queued);
    }
    let until = old.until.max(draft.now.after(draft.core.lifetimes.message));
    draft.live(app, message, Some(old), Life { until, open: old.open.saturating_add(1), ..old });
    draft.put(Table::Lives, known, []);
    draft.append(delivery.lane(), records::encode_delivery(delivery, None));
    Ok(Resent::Queued)
}
