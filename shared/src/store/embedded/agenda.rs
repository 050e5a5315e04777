//! The agenda: which queues have a waiting set, when each opens, how many wait in it.
//!
//! It is read from memory, because its entries change with each park and settle: a range over keys
//! that are written so often would step over all their old versions. The table is only read at start.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

use fjall::Slice;

use super::{
    Embedded, corrupt,
    draft::Draft,
    keys,
    records::{Fields, Planned},
    tables::{Table, Tables},
    unreadable,
};
use crate::{
    domain::{Queue, Strand},
    id::{AppId, EndpointId},
    placement::Lane,
    store::{AgendaEntry, AgendaPage, Result},
    time::Millis,
};

/// Not after any queue.
const FIRST: Queue =
    Queue { app: AppId::from_bits(0), endpoint: EndpointId::from_bits(0), strand: Strand::Live };

/// All agendas. Holds a queue exactly while deliveries wait in it.
#[derive(Default)]
pub(super) struct Agenda(BTreeMap<(Lane, Queue), Planned>);

impl Agenda {
    pub(super) fn load(tables: &Tables) -> Result<Self> {
        let mut agenda = BTreeMap::new();
        for guard in tables.keyspace(Table::Agenda).inner().iter() {
            let (key, value): (Slice, Slice) = guard.into_inner().map_err(unreadable)?;
            let queue = Fields(&key).queue();
            let (queue, planned) = queue
                .zip(Planned::decode(&value))
                .ok_or_else(|| corrupt("an entry of an agenda"))?;
            agenda.insert((queue.lane(), queue), planned);
        }
        Ok(Self(agenda))
    }

    pub(super) fn get(&self, queue: Queue) -> Option<Planned> {
        self.0.get(&(queue.lane(), queue)).copied()
    }

    fn page(&self, lane: Lane, from: Option<Queue>, limit: usize, now: Millis) -> AgendaPage {
        let from = match from {
            None => Included((lane, FIRST)),
            Some(queue) => Excluded((lane, queue)),
        };
        let mut rest = self
            .0
            .range((from, Unbounded))
            .take_while(|((of, _), _)| *of == lane)
            .map(|((_, queue), planned)| (*queue, *planned));
        let entries: Vec<_> = rest
            .by_ref()
            .take(limit)
            .map(|(queue, planned)| AgendaEntry { queue, opens_in: planned.opens.since(now) })
            .collect();
        let next = rest.next().and(entries.last()).map(|last| last.queue.member());
        AgendaPage { entries, next }
    }
}

impl Embedded {
    pub(super) fn agenda_page(
        &self,
        lane: Lane,
        from: Option<&str>,
        limit: usize,
    ) -> Result<AgendaPage> {
        self.core.usable()?;
        let from = match from {
            None => None,
            Some(text) => {
                Some(Queue::from_member(text).ok_or_else(|| corrupt("a place in an agenda"))?)
            }
        };
        Ok(self.core.agenda.lock().page(lane, from, limit, self.core.clock.now()))
    }
}

impl Draft<'_> {
    /// One more delivery waits in the queue, from `opens` on. In an ordered queue that says nothing of
    /// the first one.
    pub(super) fn plan(&mut self, queue: Queue, opens: Millis) {
        let old = self.core.agenda.lock().get(queue);
        let mut planned = old.unwrap_or(Planned { opens, waiting: 0 });
        if !queue.strand.is_ordered() {
            planned.opens = planned.opens.min(opens);
        }
        self.replan(queue, Planned { waiting: planned.waiting + 1, ..planned });
    }

    /// One delivery less waits in the queue. The last one takes it out of the agenda. In an ordered
    /// queue the next one may be due now.
    pub(super) fn unplan(&mut self, queue: Queue) {
        let Some(mut planned) = self.core.agenda.lock().get(queue) else { return };
        if queue.strand.is_ordered() {
            planned.opens = planned.opens.min(self.now);
        }
        self.replan(queue, Planned { waiting: planned.waiting.saturating_sub(1), ..planned });
    }

    /// The queue, if it has a waiting set, can next be served at this time.
    pub(super) fn reopen(&mut self, queue: Queue, opens: Millis) {
        let Some(planned) = self.core.agenda.lock().get(queue) else { return };
        self.replan(queue, Planned { opens, ..planned });
    }

    fn replan(&mut self, queue: Queue, planned: Planned) {
        let mut agenda = self.core.agenda.lock();
        if planned.waiting == 0 {
            agenda.0.remove(&(queue.lane(), queue));
            drop(agenda);
            self.remove(Table::Agenda, keys::queue(queue));
        } else {
            agenda.0.insert((queue.lane(), queue), planned);
            drop(agenda);
            self.put(Table::Agenda, keys::queue(queue), planned.encode());
        }
    }
}
