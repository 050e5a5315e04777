//! Where things live: an application's shard, an endpoint's lane.
//!
//! All keys of an application carry its shard's hash tag, so that one script is atomic over them and
//! Redis Cluster spreads applications over its nodes. A lane is the unit of ownership: one dispatcher
//! serves it at a time, so that limiter, breaker and window of an endpoint are plain values of one
//! process. Changing any constant here changes the layout on disk: see [`FORMAT`].

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::id::{AppId, EndpointId, MessageId};

/// How many shards there are.
pub const SHARDS: u16 = 16;
/// How many lanes a shard has.
pub const LANES_PER_SHARD: u16 = 4;
/// How many lanes there are in all.
pub const LANES: u16 = SHARDS * LANES_PER_SHARD;
/// Version of keys and records. It is written into the store at first start; a node that was built
/// with another one refuses to start.
pub const FORMAT: u32 = 4;

/// Hash tags whose Redis Cluster slots (CRC16 mod 16384) lie in the middle of 16 equal bands, so that
/// any even split of the slots is an even split of the shards.
const TAGS: [&str; SHARDS as usize] = [
    "s0iy", "s1hy", "s2ky", "s3jy", "s4my", "s5ly", "s6oy", "s7ny", "s85u", "s94u", "sa2e", "sblb",
    "sceo", "sdb7", "se6e", "sfhb",
];
/// Hash tag of what belongs to no application.
pub const GLOBAL_TAG: &str = "g";

/// A shard: a set of applications whose keys live together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Shard(u16);

impl Shard {
    /// The shard of an application: xxh3-64 of the id's 22 characters, modulo [`SHARDS`].
    pub fn of(app: AppId) -> Self {
        Self((xxh3_64(app.bare().as_str().as_bytes()) % u64::from(SHARDS)) as u16)
    }

    /// All shards in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self)
    }

    /// Number from 0 to [`SHARDS`] - 1.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The hash tag, without braces.
    pub const fn tag(self) -> &'static str {
        TAGS[self.0 as usize]
    }
}

/// A lane: the mailbox of the endpoints that one dispatcher owns together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u16);

impl Lane {
    /// The lane of an endpoint: its application's shard, and within it xxh3-64 of the endpoint id's
    /// 22 characters, modulo [`LANES_PER_SHARD`].
    pub fn of(app: AppId, endpoint: EndpointId) -> Self {
        Self::within(app, endpoint.bare().as_str())
    }

    /// The lane that chooses the targets of a message, where its publication did not: as
    /// [`Lane::of`], by the message's id.
    pub fn of_message(app: AppId, message: MessageId) -> Self {
        Self::within(app, message.bare().as_str())
    }

    fn within(app: AppId, id: &str) -> Self {
        let within = xxh3_64(id.as_bytes()) % u64::from(LANES_PER_SHARD);
        Self(Shard::of(app).0 * LANES_PER_SHARD + within as u16)
    }

    /// All lanes in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..LANES).map(Self)
    }

    /// The lane with this number, if there is one.
    pub fn from_index(index: u16) -> Option<Self> {
        (index < LANES).then_some(Self(index))
    }

    /// Number from 0 to [`LANES`] - 1.
    pub const fn index(self) -> u16 {
        self.0
    }

    /// The shard that the lane is part of.
    pub const fn shard(self) -> Shard {
        Shard(self.0 / LANES_PER_SHARD)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lane {}", self.0)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC16/XMODEM, as the Redis Cluster specification gives it.
    fn slot(tag: &str) -> u16 {
        let crc = tag.bytes().fold(0u16, |crc, byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
                if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 }
            })
        });
        crc % 16384
    }

    #[test]
    fn tags_are_spread_over_the_slots() {
        assert_eq!(slot("123456789"), 0x31C3);
        for shard in Shard::all() {
            let middle = shard.index() as i32 * 1024 + 512;
            assert!((i32::from(slot(shard.tag())) - middle).abs() < 16, "{shard:?}");
        }
    }

    #[test]
    fn placement_never_moves() {
        // Made with another implementation of xxh3-64. A change here is a change of the layout on disk.
        let place = |app, endpoint| {
            Lane::of(AppId::from_bits(app), EndpointId::from_bits(endpoint)).index()
        };
        assert_eq!(place(0, 0), VECTORS[0]);
        assert_eq!(place(1, 2), VECTORS[1]);
        assert_eq!(place(u128::MAX, 3), VECTORS[2]);
    }
    const VECTORS: [u16; 3] = [5, 42, 46];

    #[test]
    fn lanes_are_even() {
        let mut count = [0u32; LANES as usize];
        for n in 0..64_000u128 {
            count
                [Lane::of(AppId::from_bits(n), EndpointId::from_bits(n << 64)).index() as usize] +=
                1;
        }
        assert!(count.iter().all(|n| (800..1200).contains(n)), "{count:?}");
    }
}
