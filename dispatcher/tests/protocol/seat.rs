//! What the owner knows of one queue, as `dispatcher/src/lane/backlog.rs` has it.

use crate::store::{Page, When};

/// A set of deliveries.
pub(crate) type Set = u8;

/// A look into a waiting set.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Look {
    Idle,
    Begun,
    Seen(Page),
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    pub(crate) parked: bool,
    pub(crate) next_due: Option<When>,
    pub(crate) look: Look,
    pub(crate) departed: Set,
    pub(crate) parked_meanwhile: bool,
    pub(crate) due_meanwhile: Option<When>,
}

impl Seat {
    pub(crate) const NEW: Self = Self {
        parked: false,
        next_due: None,
        look: Look::Idle,
        departed: 0,
        parked_meanwhile: false,
        due_meanwhile: None,
    };

    pub(crate) fn has_waiting_work(&self, ordered: bool) -> bool {
        match self.next_due {
            Some(When::Now) => true,
            Some(When::Later) => self.parked && !ordered,
            None => self.parked,
        }
    }

    pub(crate) fn will_be_due(&mut self, when: When) {
        self.next_due = earlier(self.next_due, Some(when));
        if self.look != Look::Idle {
            self.due_meanwhile = earlier(self.due_meanwhile, Some(when));
        }
    }

    /// Something was parked; a look under way may not have seen it.
    pub(crate) fn was_parked(&mut self, meanwhile: bool) {
        self.parked = true;
        self.parked_meanwhile |= meanwhile && self.look != Look::Idle;
    }

    /// The waiting set has more than is in hand; a look under way may not have seen it.
    pub(crate) fn look_again(&mut self, meanwhile: bool, ordered: bool) {
        self.was_parked(meanwhile);
        if ordered {
            self.next_due = None;
        }
    }
}

pub(crate) fn earlier(one: Option<When>, other: Option<When>) -> Option<When> {
    [one, other].into_iter().flatten().min()
}
