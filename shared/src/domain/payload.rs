//! A message's payload, as those look into it who decide where it goes.

use std::cell::{Cell, OnceCell};

use serde_json::Value;

/// A payload that is parsed when it is first looked into, and once.
#[derive(Debug)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    value: OnceCell<Option<Value>>,
    failures: Cell<u64>,
    steps: Cell<usize>,
}

impl<'a> Payload<'a> {
    /// This one.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, value: OnceCell::new(), failures: Cell::new(0), steps: Cell::new(0) }
    }

    /// What it says; `None` if it is no JSON.
    pub fn value(&self) -> Option<&Value> {
        self.value.get_or_init(|| serde_json::from_slice(self.bytes).ok()).as_ref()
    }

    /// How many filters could not be evaluated for it.
    pub fn filter_failures(&self) -> u64 {
        self.failures.get()
    }

    /// How many steps filters took to look at it: conditions, or parts of expressions.
    pub fn filter_steps(&self) -> usize {
        self.steps.get()
    }

    pub(super) fn note_steps(&self, steps: usize) {
        self.steps.set(self.steps.get().saturating_add(steps));
    }

    pub(super) fn note_failure(&self) {
        self.failures.set(self.failures.get() + 1);
    }
}
