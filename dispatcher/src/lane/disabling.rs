//! Endpoints that are taken out of service: those that want nothing more, and those that have failed
//! for too long.

use std::sync::Arc;

use actix::Context;
use shared::domain::{Destination, DisabledReason, Then};
use tokio::time::Instant;

use super::{Event, LaneActor, seat::Configuration};
use crate::{
    brain::Moment,
    disabling::{Judgement, disable},
    routes::Route,
};

impl LaneActor {
    /// An attempt by this route ended: disables the endpoint if there is reason to.
    pub(super) fn disable_with_reason(
        &mut self,
        destination: Destination,
        route: &Arc<Route>,
        then: Then,
        now: Instant,
        ctx: &mut Context<Self>,
    ) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        let failed_for = self.parts.config.disable_after;
        let reason = match then {
            Then::Disable => DisabledReason::Gone,
            Then::Success => return,
            Then::Retry | Then::GiveUp | Then::Hold => {
                if failed_for.is_zero() || !seat.brain.has_failed_for(failed_for, now) {
                    return;
                }
                DisabledReason::Failing
            }
        };
        if seat.disabling || !route.open {
            return;
        }
        // Nothing more is sent from now on; the nudge of the change will find it so.
        seat.disabling = true;
        seat.brain.set_open(false);
        let failing_since = seat.brain.failing_since(Moment::now());
        self.put_back_primed(destination);
        let parts = Arc::clone(&self.parts);
        let route = Arc::clone(route);
        let judgement = Judgement { destination, route, reason, failing_since };
        self.run(ctx, async move {
            let done = disable(&parts, &judgement).await;
            Event::Disabled(destination, done)
        });
    }

    pub(super) fn disabled(
        &mut self,
        destination: Destination,
        done: bool,
        ctx: &mut Context<Self>,
    ) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        seat.disabling = false;
        if !done && seat.configuration == Configuration::Known {
            // Somebody has changed it meanwhile: what holds now decides.
            seat.configuration = Configuration::Unknown;
        }
        self.pump(destination, Instant::now(), ctx);
    }
}
