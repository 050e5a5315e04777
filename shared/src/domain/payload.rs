//! A message's payload, as those look into it who decide where it goes.

use std::cell::{Cell, OnceCell};

use serde_json::Value;

/// A payload that is parsed when it is first looked into, and once.
#[derive(Debug)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    value: OnceCell<Option<Value>>,
    failures: Cell<u64>,
}

impl<'a> Payload<'a> {
    /// This one.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, value: OnceCell::new(), failures: Cell::new(0) }
    }

    /// What it says; `None` if it is no JSON.
    pub fn value(&self) -> Option<&Value> {
        self.value.get_or_init(|| serde_json::from_slice(self.bytes).ok()).as_ref()
    }

    /// How many filters could not be evaluated for it.
    pub fn filter_failures(&self) -> u64 {
        self.failures.get()
    }

    pub(super) fn note_failure(&self) {
        self.failures.set(self.failures.get() + 1);
    }
}
