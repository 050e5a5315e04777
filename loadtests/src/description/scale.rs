//! The same load, shorter or smaller.

use std::time::Duration;

use super::{Description, Subscribe};

/// No phase becomes shorter than this.
const SHORTEST: Duration = Duration::from_secs(1);

impl Description {
    /// With all times and counts multiplied by `factor`: how long phases, steps and actions last, when
    /// actions begin, how many messages are sent, applications there are, and endpoints of which each
    /// message goes to one. Rates, sizes and fan-out stay.
    ///
    /// Nothing becomes 0, no phase shorter than a second unless it was, and applications stay if
    /// otherwise a behaviour would have no endpoint.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let mut scaled = self.clone();
        let lasting = |duration: Duration| duration.mul_f64(factor).max(SHORTEST.min(duration));
        let count = |number: usize| ((number as f64 * factor).round() as usize).max(1);
        for phase in &mut scaled.phases {
            phase.duration = phase.duration.map(lasting);
            phase.messages =
                phase.messages.map(|messages| ((messages as f64 * factor).round() as u64).max(1));
            if let Some(ramp) = &mut phase.ramp {
                ramp.step = lasting(ramp.step);
            }
        }
        for action in &mut scaled.actions {
            action.at = action.at.mul_f64(factor);
            action.lasts = action.lasts.mul_f64(factor);
        }
        scaled.applications = count(self.applications);
        if self.endpoints.subscribe == Subscribe::One {
            scaled.endpoints.per_application = count(self.endpoints.per_application);
        }
        if !scaled.wrong().is_empty() {
            scaled.applications = self.applications;
            scaled.endpoints.per_application = self.endpoints.per_application;
        }
        scaled
    }
}
