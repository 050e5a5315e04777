//! The agenda at takeover, the check of oneself at each beat, and the clean-up.
//!
//! The check re-reads one page of the stream behind the lane's position and one page of the agenda,
//! and takes up what is not in hand. Without a failover of the store it should find nothing.

use std::{collections::HashSet, mem, sync::Arc};

use actix::Context;
use shared::{
    domain::Delivery,
    store::{AgendaPage, Entry, EntryId},
};
use tokio::time::Instant;

use super::{Event, LaneActor};
use crate::persist::until_answered;

const AGENDA_PAGE: usize = 512;
const CHECK_PAGE: usize = 128;

/// Progress of the checks.
#[derive(Default)]
pub(super) struct Checks {
    under_way: bool,
    /// The last check saw all of the lane, and there was nothing in it.
    pub(super) saw_nothing: bool,
    stream_after: EntryId,
    agenda_from: Option<String>,
    /// Let go since the check began: its pages may still show them.
    departed: HashSet<Delivery>,
    /// Set while the stream is read once more from its beginning.
    rereading: Option<Rereading>,
}

/// The stream is read once more.
struct Rereading {
    /// Up to here for the second time.
    until: EntryId,
    /// Let go since it began. The checks do not go by it: in a quiet lane nothing comes behind
    /// `until` for long, and what returned to the stream must not be overlooked till then.
    departed: HashSet<Delivery>,
}

impl Checks {
    /// A delivery was let go.
    pub(super) fn departed(&mut self, delivery: Delivery) {
        if self.under_way {
            self.departed.insert(delivery);
        }
        if let Some(rereading) = &mut self.rereading {
            rereading.departed.insert(delivery);
        }
    }

    /// The stream is read once more, up to `position` for the second time.
    pub(super) fn start_over(&mut self, position: EntryId) {
        let until = self.rereading.as_ref().map_or(position, |before| before.until.max(position));
        self.rereading = Some(Rereading { until, departed: HashSet::new() });
    }

    /// Whether an entry of a second reading was let go meanwhile.
    pub(super) fn is_stale(&mut self, id: EntryId, entry: &Entry) -> bool {
        match &self.rereading {
            Some(rereading) if id > rereading.until => {
                self.rereading = None;
                false
            }
            Some(rereading) => is_of(entry, &rereading.departed),
            None => false,
        }
    }
}

fn is_of(entry: &Entry, deliveries: &HashSet<Delivery>) -> bool {
    matches!(entry, Entry::Delivery { delivery, .. } if deliveries.contains(delivery))
}

impl LaneActor {
    /// Reads a page of the agenda: all of it, page by page, after a takeover.
    pub(super) fn read_agenda(&mut self, from: Option<String>, ctx: &mut Context<Self>) {
        let (parts, lane) = (Arc::clone(&self.parts), self.tenure.lane());
        self.run(ctx, async move {
            let page = until_answered(&parts.metrics, "read agenda", async || {
                parts.store.agenda(lane, from.as_deref(), AGENDA_PAGE).await
            })
            .await;
            Event::Agenda(page)
        });
    }

    pub(super) fn agenda_read(&mut self, page: AgendaPage, ctx: &mut Context<Self>) {
        let now = Instant::now();
        for entry in page.entries {
            let opens = now + entry.opens_in;
            let destination = entry.queue.destination();
            self.reporting.measure(entry.queue);
            self.seat(destination, now).backlog(entry.queue.strand).will_be_due(opens);
            self.pump(destination, now, ctx);
        }
        if page.next.is_some() && !self.draining {
            self.read_agenda(page.next, ctx);
        }
    }

    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.draining {
            return;
        }
        let now = Instant::now();
        self.remember_all(now, ctx);
        self.forget_idle_groups(now);
        let (mut stuck, mut quiet) = (Vec::new(), Vec::new());
        self.seats.retain(|destination, seat| {
            seat.forget_idle_queues();
            if seat.is_stuck(now) {
                stuck.push(*destination);
            }
            if seat.is_quiet() {
                quiet.push(*destination);
            }
            !seat.is_idle(now)
        });
        for destination in stuck {
            self.put_back_ready(destination);
        }
        // A lease that could not be renewed for a while may have come back.
        for destination in quiet {
            self.pump(destination, now, ctx);
        }
        self.check(ctx);
        self.maintain(ctx);
    }

    fn check(&mut self, ctx: &mut Context<Self>) {
        if self.checks.under_way {
            return;
        }
        self.checks.under_way = true;
        let (parts, lane) = (Arc::clone(&self.parts), self.tenure.lane());
        let (after, from) = (self.checks.stream_after, self.checks.agenda_from.clone());
        self.run(ctx, async move {
            let entries = until_answered(&parts.metrics, "check stream", async || {
                parts.store.page(lane, after, CHECK_PAGE).await
            })
            .await;
            let agenda = until_answered(&parts.metrics, "check agenda", async || {
                parts.store.agenda(lane, from.as_deref(), CHECK_PAGE).await
            })
            .await;
            Event::Checked(entries, agenda)
        });
    }

    pub(super) fn checked(
        &mut self,
        entries: Vec<(EntryId, Entry)>,
        agenda: AgendaPage,
        ctx: &mut Context<Self>,
    ) {
        self.checks.under_way = false;
        let from_its_start =
            self.checks.stream_after == EntryId::START && self.checks.agenda_from.is_none();
        let is_empty = entries.is_empty() && agenda.entries.is_empty() && agenda.next.is_none();
        self.checks.saw_nothing = from_its_start && is_empty;
        let departed = mem::take(&mut self.checks.departed);
        let now = Instant::now();
        let behind: Vec<_> = entries.into_iter().filter(|(id, _)| *id <= self.position).collect();
        self.checks.stream_after = behind.last().map_or(EntryId::START, |(id, _)| *id);
        for (id, entry) in behind {
            if self.draining || is_of(&entry, &departed) {
                continue;
            }
            let is_delivery = matches!(entry, Entry::Delivery { .. });
            if let Some(destination) = self.take_up(id, entry) {
                if is_delivery {
                    self.parts.metrics.found.inc();
                }
                self.pump(destination, now, ctx);
            }
        }
        self.checks.agenda_from = agenda.next;
        for entry in agenda.entries {
            let destination = entry.queue.destination();
            self.maintenance.offer(entry.queue);
            self.reporting.measure(entry.queue);
            let backlog = self.seat(destination, now).backlog(entry.queue.strand);
            let forgotten =
                backlog.held == 0 && !backlog.has_waiting_work(now) && backlog.next_due.is_none();
            if forgotten && !backlog.looking {
                backlog.will_be_due(now + entry.opens_in);
                self.pump(destination, now, ctx);
            }
        }
    }
}
