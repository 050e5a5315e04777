//! What an engine tells of itself.

use crate::time::Millis;

/// How an engine is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vitals {
    /// The store's clock; `None` where it is this process's own.
    pub clock: Option<Millis>,
    /// Numbers to be shown as they are.
    pub vitals: Vec<Vital>,
}

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Vital {
    /// The metric's name.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Whether it only grows.
    pub counts: bool,
    /// The name and value of its label, if it has one.
    pub label: Option<(&'static str, &'static str)>,
    /// In the unit that the name ends with.
    pub value: f64,
}

impl Vital {
    /// A number that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, counts: false, label: None, value }
    }

    /// A number that only grows.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, counts: true, label: None, value: value as f64 }
    }

    /// The same number, of several that a label tells apart.
    pub fn labelled(self, name: &'static str, value: &'static str) -> Self {
        Self { label: Some((name, value)), ..self }
    }
}
