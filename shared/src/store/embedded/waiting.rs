//! Waiting sets: ordered by score for who looks, by delivery for who settles.

use std::time::Duration;

use super::{clock::Stamp, lives::life};
use super::{
    corrupt,
    draft::Draft,
    keys::{self, Score},
    marks::Marks,
    records::{Fields, Member},
    tables::Table,
    view::{Lookup, View},
};
use crate::{
    domain::{Delivery, Queue},
    store::{Ask, Depth, Due, Head, InFront, Result, Waiting},
    time::Millis,
};

impl Draft<'_> {
    /// The delivery, if it waits.
    pub(super) fn member(&self, delivery: &Delivery) -> Result<Option<Member>> {
        match self.get(Table::Members, keys::member(delivery))? {
            None => Ok(None),
            Some(record) => {
                Member::decode(&record).map(Some).ok_or_else(|| corrupt("a waiting delivery"))
            }
        }
    }

    /// Adds a delivery that does not wait yet.
    pub(super) fn wait(&mut self, delivery: &Delivery, member: &Member) {
        self.put_member(delivery, member);
        self.plan(delivery.queue(), member.not_before.max(self.now));
    }

    /// Gives a waiting delivery another score and other counts. In an ordered queue it is the first.
    pub(super) fn rewait(&mut self, delivery: &Delivery, old: &Member, new: &Member) {
        self.remove(Table::Waiting, keys::waiting(delivery, old.score));
        self.put_member(delivery, new);
        if delivery.strand.is_ordered() {
            self.reopen(delivery.queue(), new.not_before);
        }
    }

    /// Removes a waiting delivery.
    pub(super) fn unwait(&mut self, delivery: &Delivery, member: &Member) {
        self.remove(Table::Waiting, keys::waiting(delivery, member.score));
        self.remove(Table::Members, keys::member(delivery));
        self.unplan(delivery.queue());
    }

    fn put_member(&mut self, delivery: &Delivery, member: &Member) {
        self.put(Table::Waiting, keys::waiting(delivery, member.score), member.encode());
        self.put(Table::Members, keys::member(delivery), member.encode());
    }
}

impl View<'_> {
    /// The first members of a queue, due or not, and whether their bodies live.
    pub(super) fn front(&self, queue: Queue, limit: usize) -> Result<Vec<InFront>> {
        let marks = self.core.queue_marks.get(queue);
        let first = Score::Parked(Stamp(marks.parked));
        let (parked, timed) = (Score::At(Millis(0)), Score::At(Millis(marks.timed)));
        let (mut found, _) = self.members(queue, first, parked, limit, limit)?;
        let room = limit - found.len();
        let end = keys::queue(queue).end();
        for item in self.range(Table::Waiting, keys::score(queue, timed), end).take(room) {
            let (key, value) = item?;
            let (_, delivery) = read(queue, &key)?;
            let Member { attempts, steps, .. } =
                Member::decode(&value).ok_or_else(|| corrupt("a waiting delivery"))?;
            found.push(Waiting { delivery, attempts, steps });
        }
        let in_front = |waiting: Waiting| {
            let life = life(self, waiting.delivery.app, waiting.delivery.message)?;
            Ok(InFront { waiting, lives: life.is_some_and(|life| life.until > self.now) })
        };
        found.into_iter().map(in_front).collect()
    }

    /// What a queue has, without taking anything.
    pub(super) fn due(&self, ask: &Ask) -> Result<Due> {
        let Ask { queue, parked, retries } = *ask;
        if queue.strand.is_ordered() {
            return self.due_in_order(queue, parked);
        }
        let marks = self.core.queue_marks.get(queue);
        let soon = Millis(self.now.0 + 1);

        let from = Score::Parked(Stamp(marks.parked));
        let (parked, first_parked) =
            self.members(queue, from, Score::At(Millis(0)), parked.max(1), parked)?;
        let from = Score::At(Millis(marks.timed));
        let (retries, first_timed) =
            self.members(queue, from, Score::At(soon), retries.max(1), retries)?;
        let later = keys::score(queue, Score::At(soon));
        let later = self.range(Table::Waiting, later, keys::queue(queue).end()).next();
        let next = match later.transpose()? {
            None => None,
            Some((key, _)) => Some(read(queue, &key)?.0.number()),
        };
        self.core.queue_marks.raise(
            queue,
            Marks {
                parked: first_parked.unwrap_or(self.published.0 + 1),
                timed: first_timed.unwrap_or(soon.0).min(self.published_at),
            },
        );
        Ok(Due {
            parked,
            retries,
            next: next.map(|at| Millis(at).since(self.now)).map(at_least_one),
            waiting: self.waiting(queue),
        })
    }

    /// The first member of an ordered queue.
    pub(super) fn head(&self, queue: Queue) -> Result<Option<Head>> {
        let waiting = self.waiting(queue);
        if waiting == 0 {
            return Ok(None);
        }
        let from = Score::Parked(Stamp(self.core.queue_marks.get(queue).parked));
        let first = keys::score(queue, from);
        let first = self.range(Table::Waiting, first, keys::queue(queue).end()).next();
        let Some((key, value)) = first.transpose()? else { return Ok(None) };
        let (_, delivery, member) = read_member(queue, &key, &value)?;
        let Member { attempts, steps, not_before, .. } = member;
        let opens_in = not_before.since(self.now);
        Ok(Some(Head { first: Waiting { delivery, attempts, steps }, opens_in, waiting }))
    }

    /// What an ordered queue has: nothing behind a member that is not due.
    fn due_in_order(&self, queue: Queue, wanted: usize) -> Result<Due> {
        let marks = self.core.queue_marks.get(queue);
        let (from, to) = (Score::Parked(Stamp(marks.parked)), Score::At(Millis(0)));
        let range = self.range(Table::Waiting, keys::score(queue, from), keys::score(queue, to));
        let mut first = None;
        let mut due = Due { waiting: self.waiting(queue), ..Due::default() };
        for item in range.take(wanted.max(1)) {
            let (key, value) = item?;
            let (score, delivery, member) = read_member(queue, &key, &value)?;
            first.get_or_insert(score.number());
            if due.parked.len() == wanted {
                break;
            }
            if member.not_before > self.now {
                due.next = Some(at_least_one(member.not_before.since(self.now)));
                break;
            }
            let Member { attempts, steps, .. } = member;
            due.parked.push(Waiting { delivery, attempts, steps });
        }
        let parked = first.unwrap_or(self.published.0 + 1);
        self.core.queue_marks.raise(queue, Marks { parked, ..marks });
        Ok(due)
    }

    /// How much a queue has.
    pub(super) fn depth(&self, queue: Queue) -> Result<Depth> {
        let waiting = self.waiting(queue);
        if waiting == 0 {
            return Ok(Depth::default());
        }
        let marks = self.core.queue_marks.get(queue);
        let (parked, timed) = (Score::Parked(Stamp(marks.parked)), Score::At(Millis(0)));
        let (parked, _) = self.members(queue, parked, timed, 1, 1)?;
        let timed = keys::score(queue, Score::At(Millis(marks.timed)));
        let due = keys::score(queue, Score::At(Millis(self.now.0 + 1)));
        let timed = self.range(Table::Waiting, timed, due).next().transpose()?;
        let due = timed.map(|(key, _)| read(queue, &key)).transpose()?;
        let overdue = due.map(|(score, _)| self.now.since(Millis(score.number())));
        Ok(Depth { waiting, parked: parked.first().map(|first| first.delivery), overdue })
    }

    fn waiting(&self, queue: Queue) -> u64 {
        self.core.agenda.lock().get(queue).map_or(0, |planned| planned.waiting)
    }

    /// Up to `wanted` of the first members between two scores, and the first one's score. Looks at
    /// `looked_at` of them, so that the first is found even where none is wanted.
    fn members(
        &self,
        queue: Queue,
        from: Score,
        to: Score,
        looked_at: usize,
        wanted: usize,
    ) -> Result<(Vec<Waiting>, Option<u64>)> {
        let range = self.range(Table::Waiting, keys::score(queue, from), keys::score(queue, to));
        let mut first = None;
        let mut found = Vec::new();
        for item in range.take(looked_at) {
            let (key, value) = item?;
            let (score, delivery, Member { attempts, steps, .. }) =
                read_member(queue, &key, &value)?;
            first.get_or_insert(score.number());
            if found.len() < wanted {
                found.push(Waiting { delivery, attempts, steps });
            }
        }
        Ok((found, first))
    }
}

/// A delivery that is not due yet is due after some time, even if that is less than can be said.
fn at_least_one(delay: Duration) -> Duration {
    delay.max(Duration::from_millis(1))
}

fn read_member(queue: Queue, key: &[u8], value: &[u8]) -> Result<(Score, Delivery, Member)> {
    let (score, delivery) = read(queue, key)?;
    let member = Member::decode(value).ok_or_else(|| corrupt("a waiting delivery"))?;
    Ok((score, delivery, member))
}

fn read(queue: Queue, key: &[u8]) -> Result<(Score, Delivery)> {
    let read = || {
        let mut fields = Fields(key);
        fields.queue()?;
        let score = Score::new(fields.byte()?, fields.u64()?)?;
        Some((score, fields.delivery_of(queue)?))
    };
    read().ok_or_else(|| corrupt("a waiting delivery"))
}
