//! How far a run is, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::{description::Description, run::knee::rates};

/// A bar on stderr; nothing if that is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for some calls that create things.
    pub(super) fn creating(endpoints: usize) -> anyhow::Result<Self> {
        Self::new(endpoints as u64, "{elapsed_precise} {wide_bar} {pos}/{len} endpoints created")
    }

    /// A bar for the time that the phases take at most, as far as they say it.
    pub(super) fn publishing(name: &str, description: &Description) -> anyhow::Result<Self> {
        let phases = description.phases.iter().map(|phase| match &phase.ramp {
            Some(ramp) => ramp.step * rates(ramp).len() as u32,
            None => phase.duration.unwrap_or_default(),
        });
        let seconds = phases.sum::<Duration>().as_secs().max(1);
        let template = format!("{{elapsed_precise}} {{wide_bar}} {name}: {{msg}}, {{prefix}}");
        Self::new(seconds, &template)
    }

    fn new(length: u64, template: &str) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(length).with_style(ProgressStyle::with_template(template)?);
        Ok(Self { bar })
    }

    /// One more was created.
    pub(super) fn one_more(&self) {
        self.bar.inc(1);
    }

    /// So many seconds have passed, and so many deliveries came.
    pub(super) fn passed(&self, seconds: u64, delivered: usize) {
        self.bar.set_position(seconds.min(self.bar.length().unwrap_or_default()));
        self.bar.set_prefix(format!("{delivered} delivered"));
    }

    /// This is being published.
    pub(super) fn phase(&self, name: &str) {
        self.bar.set_message(name.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
