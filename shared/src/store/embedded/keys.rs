//! Keys: binary, big endian, so that their order is the order of what they name.

use fjall::Slice;

use super::clock::Stamp;
use crate::{
    domain::{Delivery, Destination, Queue, Strand},
    id::{AppId, EndpointId, MessageId, TaskId},
    placement::Lane,
    store::{Bucket, EntryId, Kind},
    time::Millis,
};

pub(super) const LAYOUT: &[u8] = b"layout";
pub(super) const CLOCK: &[u8] = b"clock";
/// What keys of attempts start with.
pub(super) const ATTEMPTS: u8 = b'a';

/// Strands, as a byte. An ordered one adds its number.
pub(super) const LIVE: u8 = 0;
pub(super) const REPLAY: u8 = 1;
pub(super) const ORDERED: u8 = 64;

/// A key that is being put together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Key(Vec<u8>);

impl Key {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(72))
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn byte(self, byte: u8) -> Self {
        self.bytes(&[byte])
    }

    pub(super) fn u64(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn id(self, bits: u128) -> Self {
        self.bytes(&bits.to_be_bytes())
    }

    pub(super) fn destination(self, Destination { app, endpoint }: Destination) -> Self {
        self.id(app.bits()).id(endpoint.bits())
    }

    pub(super) fn queue(self, queue: Queue) -> Self {
        let strand = match queue.strand {
            Strand::Live => LIVE,
            Strand::Replay => REPLAY,
            Strand::Ordered(n) => ORDERED + n,
        };
        self.destination(queue.destination()).byte(strand)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first key that does not start with this one.
    pub(super) fn end(mut self) -> Self {
        while let Some(last) = self.0.pop() {
            if let Some(next) = last.checked_add(1) {
                self.0.push(next);
                return self;
            }
        }
        // Only a key of nothing but 0xff comes here, and no table has one: each key starts with a
        // letter, a lane, a time or an id made from one.
        Self(vec![0xff; 64])
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Key> for Slice {
    fn from(key: Key) -> Self {
        key.0.into()
    }
}

pub(super) fn lease(lane: Lane) -> Key {
    Key::new().bytes(b"lease").bytes(&lane.index().to_be_bytes())
}

pub(super) fn lane(lane: Lane) -> Key {
    Key::new().bytes(&lane.index().to_be_bytes())
}

pub(super) fn entry(of: Lane, id: EntryId) -> Key {
    lane(of).u64(id.major).u64(id.minor)
}

/// Where a waiting delivery stands in its queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Score {
    /// Always due, in the order of stamps.
    Parked(Stamp),
    /// Due at this time.
    At(Millis),
}

impl Score {
    pub(super) const fn class(self) -> u8 {
        match self {
            Self::Parked(_) => 0,
            Self::At(_) => 1,
        }
    }

    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Parked(stamp) => stamp.0,
            Self::At(time) => time.0,
        }
    }

    pub(super) const fn new(class: u8, number: u64) -> Option<Self> {
        match class {
            0 => Some(Self::Parked(Stamp(number))),
            1 => Some(Self::At(Millis(number))),
            _ => None,
        }
    }
}

/// Where members of a queue with this score begin.
pub(super) fn score(queue: Queue, score: Score) -> Key {
    Key::new().queue(queue).byte(score.class()).u64(score.number())
}

pub(super) fn waiting(delivery: &Delivery, at: Score) -> Key {
    score(delivery.queue(), at).id(delivery.message.bits()).u64(delivery.generation.0)
}

pub(super) fn member(delivery: &Delivery) -> Key {
    Key::new().queue(delivery.queue()).id(delivery.message.bits()).u64(delivery.generation.0)
}

pub(super) fn queue(queue: Queue) -> Key {
    Key::new().queue(queue)
}

pub(super) fn message(app: AppId, message: MessageId) -> Key {
    Key::new().id(app.bits()).id(message.bits())
}

/// Stands below the message's key in the same table, so that both go together.
pub(super) fn resend(delivery: &Delivery) -> Key {
    message(delivery.app, delivery.message).id(delivery.endpoint.bits()).u64(delivery.generation.0)
}

pub(super) fn dedup(app: AppId, key: &str) -> Key {
    Key::new().id(app.bits()).bytes(key.as_bytes())
}

pub(super) fn log(app: AppId) -> Key {
    Key::new().byte(b'l').id(app.bits())
}

pub(super) fn attempts(queue: Queue) -> Key {
    Key::new().byte(ATTEMPTS).destination(queue.destination())
}

pub(super) fn message_attempts(app: AppId, message: MessageId) -> Key {
    Key::new().byte(b'm').id(app.bits()).id(message.bits())
}

/// A tally's stamp is the first of the part of time that it counts.
pub(super) fn tallies(of: Destination) -> Key {
    Key::new().byte(b't').destination(of)
}

pub(super) fn dead_letters(queue: Queue) -> Key {
    Key::new().byte(b'd').destination(queue.destination())
}

/// An application with its version.
pub(super) fn application(app: AppId) -> Key {
    Key::new().byte(b'a').id(app.bits())
}

/// All endpoints of an application.
pub(super) fn endpoints(app: AppId) -> Key {
    Key::new().byte(b'e').id(app.bits())
}

pub(super) fn endpoint(queue: Queue) -> Key {
    endpoints(queue.app).id(queue.endpoint.bits())
}

/// Bytes that count towards an application's quota.
pub(super) fn charged(app: AppId) -> Key {
    Key::new().byte(b'b').id(app.bits())
}

pub(super) fn state(app: AppId, endpoint: EndpointId) -> Key {
    Key::new().byte(b's').id(app.bits()).id(endpoint.bits())
}

/// All tasks, by id.
pub(super) fn tasks() -> Key {
    Key::new().byte(b't')
}

pub(super) fn task(task: TaskId) -> Key {
    tasks().id(task.bits())
}

/// The tasks of a lane that run.
pub(super) fn open_tasks(of: Lane) -> Key {
    Key::new().byte(b'o').bytes(&of.index().to_be_bytes())
}

/// The list of applications.
pub(super) fn list() -> Key {
    Key::new().byte(b'l')
}

pub(super) fn uid(uid: &str) -> Key {
    Key::new().byte(b'u').bytes(uid.as_bytes())
}

/// All documents of a kind. Names of kinds have no zero byte, so none is another one's beginning.
pub(super) fn kind(kind: Kind) -> Key {
    Key::new().byte(b'd').bytes(kind.name().as_bytes()).byte(0)
}

pub(super) fn document(of: Kind, name: &str) -> Key {
    kind(of).bytes(name.as_bytes())
}

/// What was taken of a limit that lanes share.
pub(super) fn bucket(bucket: &Bucket) -> Key {
    match bucket {
        Bucket::Application(app) => Key::new().bytes(b"ba").id(app.bits()),
        Bucket::Named(name) => Key::new().bytes(b"bn").bytes(name.as_bytes()),
    }
}
