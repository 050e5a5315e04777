//! Records of the engine's own, as bytes. Documents and history are JSON and not defined here.

use std::time::Duration;

use super::{
    clock::Stamp,
    keys::{self, Key, Score},
};
use crate::{
    domain::{Delivery, Generation, ORDERED_STRANDS, Queue, Strand, Tally},
    id::{AppId, EndpointId, MessageId},
    store::{Entry, Epoch, FanOut, Fingerprint, Lease, NudgeKind, Owner, Version},
    time::Millis,
};

/// Takes a record apart from its front.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(super) fn id(&mut self) -> Option<u128> {
        self.take().map(u128::from_be_bytes)
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn queue(&mut self) -> Option<Queue> {
        let app = AppId::from_bits(self.id()?);
        let endpoint = EndpointId::from_bits(self.id()?);
        let strand = match self.byte()? {
            keys::LIVE => Strand::Live,
            keys::REPLAY => Strand::Replay,
            byte => {
                let number = byte.checked_sub(keys::ORDERED)?;
                Strand::Ordered(Some(number).filter(|n| *n < ORDERED_STRANDS)?)
            }
        };
        Some(Queue { app, endpoint, strand })
    }

    fn delivery(&mut self) -> Option<Delivery> {
        let queue = self.queue()?;
        self.delivery_of(queue)
    }

    pub(super) fn delivery_of(&mut self, queue: Queue) -> Option<Delivery> {
        Some(Delivery {
            app: queue.app,
            endpoint: queue.endpoint,
            strand: queue.strand,
            message: MessageId::from_bits(self.id()?),
            generation: Generation(self.u64()?),
        })
    }
}

const DELIVERY: u8 = 1;
const NUDGE: u8 = 2;
const FAN_OUT: u8 = 3;

pub(super) fn encode_delivery(delivery: &Delivery, not_before: Option<Millis>) -> Key {
    let record = Key::new().byte(DELIVERY).queue(delivery.queue());
    record
        .id(delivery.message.bits())
        .u64(delivery.generation.0)
        .u64(not_before.map_or(0, |time| time.0))
}

pub(super) fn encode_nudge(queue: Queue, kind: NudgeKind) -> Key {
    Key::new().byte(NUDGE).queue(queue).bytes(kind.name().as_bytes())
}

pub(super) fn encode_fan_out(fan_out: &FanOut) -> Key {
    let FanOut { app, message, version, until, after, not_before } = fan_out;
    Key::new()
        .byte(FAN_OUT)
        .id(app.bits())
        .id(message.bits())
        .u64(version.0)
        .u64(until.0)
        .id(after.map_or(0, EndpointId::bits))
        .u64(not_before.map_or(0, |time| time.0))
}

fn decode_fan_out(fields: &mut Fields<'_>) -> Option<FanOut> {
    Some(FanOut {
        app: AppId::from_bits(fields.id()?),
        message: MessageId::from_bits(fields.id()?),
        version: Version(fields.u64()?),
        until: Millis(fields.u64()?),
        after: Some(fields.id()?).filter(|bits| *bits > 0).map(EndpointId::from_bits),
        not_before: Some(fields.u64()?).filter(|time| *time > 0).map(Millis),
    })
}

/// Reads an entry. What this version does not know is left for one that does.
pub(super) fn decode_entry(bytes: &[u8]) -> Entry {
    let mut fields = Fields(bytes);
    let known = match fields.byte() {
        Some(DELIVERY) => fields.delivery().zip(fields.u64()).map(|(delivery, time)| {
            Entry::Delivery { delivery, not_before: (time > 0).then_some(Millis(time)) }
        }),
        Some(NUDGE) => fields.queue().and_then(|queue| {
            let kind = NudgeKind::from_name(std::str::from_utf8(fields.rest()).ok()?)?;
            Some(Entry::Nudge { queue, kind })
        }),
        Some(FAN_OUT) => decode_fan_out(&mut fields).map(Entry::FanOut),
        _ => None,
    };
    known.unwrap_or(Entry::Unknown)
}

/// A delivery in a waiting set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member {
    pub(super) score: Score,
    pub(super) attempts: u32,
    pub(super) steps: u32,
    /// Not to be tried before this time, whatever its score; used in ordered queues.
    pub(super) not_before: Millis,
}

impl Member {
    pub(super) fn encode(&self) -> Key {
        Key::new()
            .byte(self.score.class())
            .u64(self.score.number())
            .bytes(&self.attempts.to_be_bytes())
            .bytes(&self.steps.to_be_bytes())
            .u64(self.not_before.0)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let score = Score::new(fields.byte()?, fields.u64()?)?;
        let (attempts, steps) = (fields.u32()?, fields.u32()?);
        Some(Self { score, attempts, steps, not_before: Millis(fields.u64()?) })
    }
}

/// How long a body lives, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    /// When it may go.
    pub(super) until: Millis,
    /// Deliveries that have not ended.
    pub(super) open: u32,
    /// Until when the last dead letter needs it; 0 if there is none.
    pub(super) kept: Millis,
    /// The message's own retention in minutes; 0: as all others.
    pub(super) minutes: u32,
    /// Bytes that count towards the application's quota while deliveries are open.
    pub(super) charged: u64,
}

impl Life {
    /// How long the body lives once nothing is open.
    pub(super) fn retention(&self, usual: Duration) -> Duration {
        match self.minutes {
            0 => usual,
            minutes => Duration::from_secs(u64::from(minutes) * 60),
        }
    }

    pub(super) fn encode(&self) -> Key {
        let life = Key::new().u64(self.until.0).bytes(&self.open.to_be_bytes()).u64(self.kept.0);
        match (self.minutes, self.charged) {
            (0, 0) => life,
            (minutes, charged) => life.bytes(&minutes.to_be_bytes()).u64(charged),
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let until = Millis(fields.u64()?);
        let (open, kept) = (fields.u32()?, Millis(fields.u64()?));
        let (minutes, charged) = (fields.u32().unwrap_or(0), fields.u64().unwrap_or(0));
        Some(Self { until, open, kept, minutes, charged })
    }
}

/// What a dedup key stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Taken {
    pub(super) until: Millis,
    pub(super) message: MessageId,
    pub(super) fingerprint: Fingerprint,
}

impl Taken {
    pub(super) fn encode(&self) -> Key {
        Key::new().u64(self.until.0).id(self.message.bits()).bytes(&self.fingerprint)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let until = Millis(fields.u64()?);
        let message = MessageId::from_bits(fields.id()?);
        Some(Self { until, message, fingerprint: fields.take()? })
    }
}

/// A queue's place in the agenda.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Planned {
    /// When it can next be served.
    pub(super) opens: Millis,
    /// How many deliveries wait in it, never 0.
    pub(super) waiting: u64,
}

impl Planned {
    pub(super) fn encode(&self) -> Key {
        Key::new().u64(self.opens.0).u64(self.waiting)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self { opens: Millis(fields.u64()?), waiting: fields.u64()? })
    }
}

/// What part of a list of the history is to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    /// The first that may be left.
    pub(super) from: Stamp,
    /// The first that is to stay.
    pub(super) to: Stamp,
}

impl Span {
    pub(super) fn encode(&self) -> Key {
        Key::new().u64(self.from.0).u64(self.to.0)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self { from: Stamp(fields.u64()?), to: Stamp(fields.u64()?) })
    }
}

/// Renewals are signs of life of this process: they are counted in memory only.
pub(super) fn encode_lease(lease: &Lease) -> Key {
    let owner = lease.owner.as_ref().map_or("", Owner::as_str);
    Key::new().u64(lease.epoch.0).bytes(owner.as_bytes())
}

pub(super) fn decode_lease(bytes: &[u8]) -> Option<Lease> {
    let mut fields = Fields(bytes);
    let epoch = Epoch(fields.u64()?);
    let owner = std::str::from_utf8(fields.rest()).ok()?;
    Some(Lease { owner: (!owner.is_empty()).then(|| Owner::new(owner)), epoch, renewal: 0 })
}

/// How deliveries went in an hour.
pub(super) fn encode_tally(tally: Tally) -> Key {
    Key::new().u64(tally.delivered).u64(tally.failed).u64(tally.given_up)
}

pub(super) fn decode_tally(record: &[u8]) -> Option<Tally> {
    let mut fields = Fields(record);
    Some(Tally { delivered: fields.u64()?, failed: fields.u64()?, given_up: fields.u64()? })
}
