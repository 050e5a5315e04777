//! The expiry table: deadlines in order of time. Says what the sweep is to look at, and when.

use super::{
    clock::Stamp,
    corrupt,
    draft::Draft,
    keys::{self, Key},
    records::{self, Span},
    tables::Table,
    view::Lookup,
};
use crate::{
    domain::{Destination, HOUR_MS, Queue, Tally},
    store::Result,
    time::Millis,
};

/// What a deadline is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expiring {
    /// A body with its life: the key is the message's.
    Body,
    /// A dedup key.
    Key,
    /// A part of a list of the history: the key is the list's, the value says which part.
    List,
    /// A task that has ended.
    Task,
}

impl Expiring {
    pub(super) const fn tag(self) -> u8 {
        match self {
            Self::Body => b'b',
            Self::Key => b'k',
            Self::List => b'l',
            Self::Task => b't',
        }
    }

    pub(super) fn from_tag(tag: u8) -> Option<Self> {
        [Self::Body, Self::Key, Self::List, Self::Task].into_iter().find(|kind| kind.tag() == tag)
    }
}

pub(super) fn deadline(time: Millis) -> Key {
    Key::new().u64(time.0)
}

fn entry(time: Millis, kind: Expiring, what: &Key) -> Key {
    deadline(time).byte(kind.tag()).bytes(what.as_ref())
}

/// History expires in parts of at most an hour, and at most this fraction of its life, so that a short
/// life is not kept much longer. Tallies count by such parts, too.
const SPANS: u64 = 64;

impl Draft<'_> {
    /// Notes when something ends.
    pub(super) fn expire(&mut self, time: Millis, kind: Expiring, what: &Key) {
        self.put(Table::Expiry, entry(time, kind, what), []);
    }

    /// Takes a note back.
    pub(super) fn unexpire(&mut self, time: Millis, kind: Expiring, what: &Key) {
        self.remove(Table::Expiry, entry(time, kind, what));
    }

    /// Adds a record to a list of the history; answers its place.
    pub(super) fn record(&mut self, list: &Key, json: &[u8]) -> Stamp {
        let stamp = self.stamp();
        self.expire_part(list, stamp);
        self.put(Table::History, list.clone().u64(stamp.0), json);
        stamp
    }

    /// Adds to what is counted of an endpoint in this part of time.
    pub(super) fn tally(&mut self, of: Destination, more: Tally) -> Result<()> {
        let list = keys::tallies(of);
        let part = self.part_of(self.now).from;
        let key = list.clone().u64(part.0);
        let mut tally = match self.get(Table::History, &key)? {
            None => Tally::default(),
            Some(record) => records::decode_tally(&record).ok_or_else(|| corrupt("a tally"))?,
        };
        tally += more;
        self.expire_part(&list, part);
        self.put(Table::History, key, records::encode_tally(tally));
        Ok(())
    }

    /// Sees to it that the part of the list which has this stamp is swept one day.
    fn expire_part(&mut self, list: &Key, stamp: Stamp) {
        let part = self.part_of(stamp.time());
        if self.memory.spans.get(list).is_some_and(|to| stamp < *to) {
            return;
        }
        if self.memory.spans.len() >= MOST_SPANS {
            self.memory.spans.clear();
        }
        self.memory.spans.insert(list.clone(), part.to);
        let time = part.to.time().after(self.core.lifetimes.history);
        self.put(Table::Expiry, entry(time, Expiring::List, list), part.encode());
    }

    /// The part of a list that this time belongs to.
    fn part_of(&self, time: Millis) -> Span {
        let life = self.core.lifetimes.history.as_millis() as u64;
        let span = (life / SPANS).clamp(1, HOUR_MS);
        let from = time.0 / span * span;
        Span { from: Stamp::at(Millis(from)), to: Stamp::at(Millis(from + span)) }
    }

    /// Hands a deleted endpoint's lists to the sweep.
    pub(super) fn drop_lists(&mut self, queue: Queue) {
        self.drop_list(&keys::attempts(queue));
        self.drop_list(&keys::tallies(queue.destination()));
        self.drop_list(&keys::dead_letters(queue));
    }

    /// Hands a whole list to the sweep.
    pub(super) fn drop_list(&mut self, list: &Key) {
        let all = Span { from: Stamp(0), to: self.stamp() };
        self.put(Table::Expiry, entry(self.now, Expiring::List, list), all.encode());
    }
}

/// More lists than this are not remembered: noting a part twice is harmless.
const MOST_SPANS: usize = 65_536;
