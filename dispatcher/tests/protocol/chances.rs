//! What can happen besides the steps of the lanes.

use crate::{
    lane::{Lane, Read, Stage},
    protocol::Protocol,
    store::Verdict,
    world::{Action, Node, World},
};

impl Protocol {
    /// What the environment may do, and the choices of lanes and receivers.
    pub(crate) fn chances(&self, world: &World, chances: &mut Vec<Action>) {
        let left = &world.left;
        if left.deliveries > 0 {
            let delivery = self.bounds.deliveries - left.deliveries;
            chances.push(Action::Publish { delivery });
        }
        for (node, Node { lane, .. }) in world.nodes.iter().enumerate().take(self.bounds.nodes) {
            let Some(lane) = lane else {
                if left.expiries > 0 && world.store.owner.is_some_and(|owner| owner.node != node) {
                    chances.push(Action::Acquire { node });
                }
                continue;
            };
            if left.crashes > 0 {
                chances.push(Action::Crash { node });
            }
            if left.handovers > 0 && !lane.draining {
                chances.push(Action::Drain { node });
            }
            if left.checks > 0 && lane.check == Read::Idle && !lane.draining {
                chances.push(Action::BeginCheck { node });
            }
            for (delivery, hand) in lane.hands.iter().enumerate() {
                let Some(hand) = hand else { continue };
                match hand.stage {
                    Stage::Ready if left.put_backs > 0 => {
                        chances.push(Action::PutBack { node, delivery });
                    }
                    Stage::Sending if left.failures > 0 => {
                        let verdict = Verdict::Retry;
                        chances.push(Action::Attempted { node, delivery, verdict });
                    }
                    Stage::Writing(write, _)
                        if left.losses > 0 && !lane.is_unsent(write, self.rules()) =>
                    {
                        chances.push(Action::GiveUp { node, delivery });
                    }
                    _ => {}
                }
            }
        }
        chances.extend((0..world.late.len()).map(|call| Action::ExecuteLate { call }));
        match world.replica {
            Some(_) => chances.push(Action::Failover),
            None if left.failovers > 0 => chances.push(Action::Lag),
            None => {}
        }
        let expected = world.nodes.iter().filter_map(|node| node.lane.as_ref());
        if !world.store.is_empty() && !world.store.has_due()
            || expected.into_iter().any(Lane::expects_later)
        {
            chances.push(Action::Elapse);
        }
    }
}
