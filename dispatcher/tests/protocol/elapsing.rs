//! Time goes by in a lane.

use crate::{
    lane::{Lane, Progress, Read, Stage},
    seat::Look,
    store::When,
};

impl Lane {
    pub(crate) fn elapse(&mut self) {
        let now = |when: &mut Option<When>| *when = when.map(|_| When::Now);
        for seat in &mut self.seats {
            now(&mut seat.next_due);
            now(&mut seat.due_meanwhile);
            if let Look::Seen(page) = &mut seat.look {
                now(&mut page.next);
            }
        }
        if let Read::Seen(agenda) = &mut self.agenda {
            agenda.iter_mut().for_each(now);
        }
        if let Read::Seen((_, agenda)) = &mut self.check {
            agenda.iter_mut().for_each(now);
        }
        for hand in self.hands.iter_mut().flatten() {
            if let Stage::Writing(_, Progress::Answered(_, when)) = &mut hand.stage {
                *when = When::Now;
            }
        }
    }

    /// Whether it waits for something that is due later.
    pub(crate) fn expects_later(&self) -> bool {
        self.seats.iter().any(|seat| seat.next_due == Some(When::Later))
    }
}
