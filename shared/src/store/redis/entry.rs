//! Entries of a lane's stream: one field with one packed value, because there are many of them.
//!
//! | field | value |
//! |---|---|
//! | `d` | a delivery: queue, message and generation, and `;t=<ms>` if it is not to be sent before |
//! | `n` | a nudge: queue, kind |
//! | `f` | a fan-out: application and message (44 characters), `;v=<version>;u=<ms>`, `;a=<endpoint>` once some were visited, `;t=<ms>` |
//!
//! Whatever else there is was written by a newer version.

use ::redis::Value;

use super::error::corrupt;
use crate::{
    domain::{Delivery, Queue},
    id::{AppId, EndpointId, MessageId, TEXT_LEN},
    store::{Entry, EntryId, FanOut, NudgeKind, Result, Version},
    time::Millis,
};

/// The value of a delivery's entry.
pub(super) fn pack_delivery(delivery: &Delivery, not_before: Option<Millis>) -> String {
    let packed = [delivery.queue().member(), delivery.member()].concat();
    match not_before {
        None => packed,
        Some(Millis(time)) => format!("{packed};t={time}"),
    }
}

/// The value of a nudge's entry.
pub(super) fn pack_nudge(queue: Queue, kind: NudgeKind) -> String {
    format!("{}{}", queue.member(), kind.name())
}

/// The value of a fan-out's entry.
pub(super) fn pack_fan_out(fan_out: &FanOut) -> String {
    let FanOut { app, message, version, until, after, not_before } = fan_out;
    let mut packed = format!("{}{};v={};u={}", app.bare(), message.bare(), version.0, until.0);
    if let Some(endpoint) = after {
        packed.push_str(&format!(";a={}", endpoint.bare()));
    }
    if let Some(Millis(time)) = not_before {
        packed.push_str(&format!(";t={time}"));
    }
    packed
}

fn unpack_fan_out(value: &str) -> Option<FanOut> {
    let (app, rest) = value.split_at_checked(TEXT_LEN)?;
    let mut fields = rest.split(';');
    let message = MessageId::from_bare(fields.next()?).ok()?;
    let version = Version(fields.next()?.strip_prefix("v=")?.parse().ok()?);
    let until = Millis(fields.next()?.strip_prefix("u=")?.parse().ok()?);
    let app = AppId::from_bare(app).ok()?;
    let mut fan_out = FanOut { app, message, version, until, after: None, not_before: None };
    for field in fields {
        match field.split_once('=')? {
            ("a", endpoint) => fan_out.after = Some(EndpointId::from_bare(endpoint).ok()?),
            ("t", time) => fan_out.not_before = Some(Millis(time.parse().ok()?)),
            _ => return None,
        }
    }
    Some(fan_out)
}

fn unpack(field: &[u8], value: &[u8]) -> Option<Entry> {
    if field == b"f" {
        return unpack_fan_out(std::str::from_utf8(value).ok()?).map(Entry::FanOut);
    }
    let (queue, rest) = Queue::split(std::str::from_utf8(value).ok()?)?;
    match field {
        b"d" => {
            let (member, not_before) = match rest.split_once(';') {
                None => (rest, None),
                Some((member, options)) => {
                    let time = options.strip_prefix("t=")?.parse().ok()?;
                    (member, Some(Millis(time)))
                }
            };
            Some(Entry::Delivery { delivery: Delivery::from_member(queue, member)?, not_before })
        }
        b"n" => Some(Entry::Nudge { queue, kind: NudgeKind::from_name(rest)? }),
        _ => None,
    }
}

/// An entry of any stream.
pub(super) type Raw = (String, Vec<(Vec<u8>, Vec<u8>)>);

/// Reads what XRANGE answers: where it lies, without a copy, because each delivery comes by here.
pub(super) fn entries(reply: Value) -> Result<Vec<(EntryId, Entry)>> {
    let raw = match reply {
        Value::Array(raw) => raw,
        Value::Nil => return Ok(Vec::new()),
        other => {
            return Err(corrupt(
                "redis answered something else than entries",
                format!("{other:?}"),
            ));
        }
    };
    raw.iter().map(entry).collect()
}

fn entry(raw: &Value) -> Result<(EntryId, Entry)> {
    let Value::Array(raw) = raw else {
        return Err(corrupt("not an entry of a stream", format!("{raw:?}")));
    };
    let [Value::BulkString(id), Value::Array(fields)] = raw.as_slice() else {
        return Err(corrupt("not an entry of a stream", format!("{raw:?}")));
    };
    let entry = match fields.as_slice() {
        [Value::BulkString(field), Value::BulkString(value)] => unpack(field, value),
        _ => None,
    };
    let id = std::str::from_utf8(id).map_err(|error| corrupt("not a stream id", error))?;
    Ok((parse_id(id)?, entry.unwrap_or(Entry::Unknown)))
}

/// The id as Redis writes it.
pub(super) fn id_text(id: EntryId) -> String {
    format!("{}-{}", id.major, id.minor)
}

fn parse_id(text: &str) -> Result<EntryId> {
    text.split_once('-')
        .and_then(|(major, minor)| {
            Some(EntryId { major: major.parse().ok()?, minor: minor.parse().ok()? })
        })
        .ok_or_else(|| corrupt("redis gave out an unreadable stream id", text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Generation, Strand},
        id::{AppId, EndpointId, MessageId},
    };

    const STRANDS: [Strand; 3] = [Strand::Live, Strand::Replay, Strand::Ordered(7)];

    fn delivery(generation: u64, strand: Strand) -> Delivery {
        Delivery {
            app: AppId::new(),
            endpoint: EndpointId::new(),
            strand,
            message: MessageId::new(),
            generation: Generation(generation),
        }
    }

    #[test]
    fn deliveries_round_trip() {
        for not_before in [None, Some(Millis(0)), Some(Millis(u64::MAX))] {
            for (generation, strand) in [0, 9, u64::MAX].into_iter().zip(STRANDS) {
                let delivery = delivery(generation, strand);
                let packed = pack_delivery(&delivery, not_before);
                let entry = Entry::Delivery { delivery, not_before };
                assert_eq!(unpack(b"d", packed.as_bytes()), Some(entry));
            }
        }
    }

    #[test]
    fn nudges_round_trip() {
        for kind in [NudgeKind::Changed, NudgeKind::Deleted] {
            let queue = delivery(0, Strand::Live).queue();
            let packed = pack_nudge(queue, kind);
            assert_eq!(unpack(b"n", packed.as_bytes()), Some(Entry::Nudge { queue, kind }));
        }
    }

    #[test]
    fn fan_outs_round_trip() {
        let Delivery { app, endpoint, message, .. } = delivery(0, Strand::Live);
        for after in [None, Some(endpoint)] {
            for not_before in [None, Some(Millis(7))] {
                let (version, until) = (Version(3), Millis(5));
                let fan_out = FanOut { app, message, version, until, after, not_before };
                let packed = pack_fan_out(&fan_out);
                assert_eq!(unpack(b"f", packed.as_bytes()), Some(Entry::FanOut(fan_out)));
                assert_eq!(unpack(b"f", format!("{packed};x=1").as_bytes()), None);
            }
        }
    }

    #[test]
    fn what_a_newer_version_wrote_is_unknown() {
        let packed = pack_delivery(&delivery(0, Strand::Live), None);
        assert_eq!(unpack(b"x", packed.as_bytes()), None);
        assert_eq!(unpack(b"d", format!("{packed};u=1").as_bytes()), None);
        assert_eq!(unpack(b"n", format!("{}moved", &packed[..44]).as_bytes()), None);
        assert_eq!(unpack(b"d", format!("{}~x{}", &packed[..44], &packed[44..]).as_bytes()), None);
        assert_eq!(unpack(b"d", b"short"), None);
    }
}
