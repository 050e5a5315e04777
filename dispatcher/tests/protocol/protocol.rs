//! What can happen in the world, what it leads to, and what must hold.

use crate::{
    explorer::Model,
    guards::{Guard, Guards},
    lane::{Fenced, Lane, Progress, Read, Rules, Stage, due_after},
    seat::Look,
    store::{Answer, Call, Owner, Verdict, Write},
    world::{Action, Bounds, Node, World},
};

/// The protocol, with some guards in force, under some faults.
pub(crate) struct Protocol {
    pub(crate) bounds: Bounds,
    pub(crate) guards: Guards,
}

impl Protocol {
    pub(crate) fn rules(&self) -> Rules {
        let Bounds { queues, ordered, .. } = self.bounds;
        Rules { guards: self.guards, queues, ordered }
    }

    /// Everything but faults, in the order of urgency.
    fn steps(&self, world: &World) -> Vec<Action> {
        let rules = self.rules();
        let mut steps = Vec::new();
        for (node, Node { lane, .. }) in world.nodes.iter().enumerate() {
            let Some(lane) = lane else { continue };
            if !world.store.is_held(lane.fence) {
                steps.push(Action::Lose { node });
            }
            if lane.failovers != world.failovers {
                steps.push(Action::Notice { node });
            }
            for (delivery, hand) in lane.hands.iter().enumerate() {
                match hand.map(|hand| hand.stage) {
                    Some(Stage::Writing(_, Progress::Answered(..))) => {
                        steps.push(Action::Answered { node, delivery });
                    }
                    Some(Stage::Writing(write, Progress::Sent)) => {
                        if !lane.is_unsent(write, rules) {
                            steps.push(Action::Execute { node, delivery });
                        }
                    }
                    Some(Stage::Sending) => {
                        let verdict = Verdict::Delivered;
                        steps.push(Action::Attempted { node, delivery, verdict });
                    }
                    Some(Stage::Ready) | None => {}
                }
            }
            if lane.read.is_some() {
                steps.push(Action::Arrived { node });
            } else if !lane.draining && !lane.news(&world.store).is_empty() {
                steps.push(Action::ReadStream { node });
            }
            match lane.agenda {
                Read::Idle => {}
                Read::Begun => steps.push(Action::ReadAgenda { node }),
                Read::Seen(_) => steps.push(Action::AgendaRead { node }),
            }
            match lane.check {
                Read::Idle => {}
                Read::Begun => steps.push(Action::ReadPages { node }),
                Read::Seen(_) => steps.push(Action::Checked { node }),
            }
            for (delivery, hand) in lane.hands.iter().enumerate() {
                let rests = rules.ordered
                    && rules.guards.has(Guard::Rest)
                    && world.is_sending(delivery % rules.queues, rules.queues);
                if hand.is_some_and(|hand| hand.stage == Stage::Ready) && !rests {
                    steps.push(Action::Send { node, delivery });
                }
            }
            for (queue, seat) in lane.seats.iter().enumerate() {
                match seat.look {
                    Look::Idle if lane.draining || !seat.has_waiting_work(rules.ordered) => {}
                    Look::Idle if lane.is_taken(queue, rules) => {}
                    Look::Idle => steps.push(Action::BeginLook { node, queue }),
                    Look::Begun => steps.push(Action::ReadWaiting { node, queue }),
                    Look::Seen(_) => steps.push(Action::Looked { node, queue }),
                }
            }
            if lane.is_drained() {
                steps.push(Action::Release { node });
            }
        }
        let served = world.store.owner.is_some_and(|owner| {
            let Node { life, lane } = &world.nodes[owner.node];
            *life == owner.life && lane.is_some()
        });
        if !served {
            let idle = |node: &usize| world.nodes[*node].lane.is_none();
            steps.extend((0..self.bounds.nodes).filter(idle).map(|node| Action::Acquire { node }));
        }
        steps
    }

    fn write(&self, world: &mut World, call: Call) -> Result<Answer, &'static str> {
        let before = world.store.clone();
        let answer = world.store.execute(call, self.rules())?;
        if let Write::Settle { delivery, .. } = call.write
            && answer == Answer::Done
        {
            world.unsettled[delivery] -= 1;
        }
        world.changed(&before);
        Ok(answer)
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn start(&self) -> World {
        World::new(self.bounds)
    }

    fn actions(&self, world: &World) -> Vec<Action> {
        let mut actions = self.steps(world);
        self.chances(world, &mut actions);
        if let Some(fair) = self.fair(world)
            && !actions.contains(&fair)
        {
            actions.push(fair);
        }
        actions
    }

    fn fair(&self, world: &World) -> Option<Action> {
        if let Some(step) = self.steps(world).first() {
            return Some(*step);
        }
        if world.store.is_empty() {
            return None;
        }
        // Nothing of its own accord: the tick of each second, or time.
        let owner = world.nodes.iter().position(|node| node.lane.is_some());
        match owner {
            Some(node) if world.store.has_due() => Some(Action::BeginCheck { node }),
            _ => Some(Action::Elapse),
        }
    }

    fn next(&self, before: &World, action: Action) -> Result<World, &'static str> {
        let mut world = before.clone();
        self.act(&mut world, action)?;
        world.prune(self.guards);
        let excused = |unsettled: &i8| *unsettled <= 1 + world.excuses;
        if !world.unsettled.iter().all(excused) {
            return Err("an attempt was sent once more without an excuse");
        }
        match world.store.broken(self.bounds.queues) {
            Some(property) => Err(property),
            None => Ok(world),
        }
    }
}

impl Protocol {
    fn act(&self, world: &mut World, action: Action) -> Result<(), &'static str> {
        let rules = self.rules();
        match action {
            Action::Publish { delivery } => {
                let before = world.store.clone();
                world.left.deliveries -= 1;
                world.store.publish(delivery);
                world.changed(&before);
            }
            Action::Acquire { node } => self.acquire(world, node),
            Action::Lose { node } => world.end(node, rules),
            Action::Drain { node } => {
                world.left.handovers -= 1;
                world.lane(node).into_iter().for_each(|lane| lane.drain(rules));
            }
            Action::Release { node } => {
                let before = world.store.clone();
                if world.lane(node).is_some_and(|lane| before.is_held(lane.fence)) {
                    world.store.owner = None;
                }
                world.end(node, rules);
                world.changed(&before);
            }
            Action::Crash { node } => {
                world.left.crashes -= 1;
                world.end(node, rules);
                world.nodes[node].life += 1;
            }
            Action::Lag => {
                world.left.failovers -= 1;
                world.replica = Some((world.store.clone(), 0));
            }
            Action::Failover => {
                if let Some((replica, _)) = world.replica.take() {
                    world.store = replica;
                    world.failovers += 1;
                    world.excuses += 1;
                }
            }
            Action::Elapse => {
                world.store.elapse();
                if let Some((replica, _)) = &mut world.replica {
                    replica.elapse();
                }
                world.nodes.iter_mut().filter_map(|node| node.lane.as_mut()).for_each(Lane::elapse);
            }
            Action::ExecuteLate { call } => {
                let call = world.late.remove(call);
                self.write(world, call)?;
            }
            Action::GiveUp { node, delivery } => {
                world.left.losses -= 1;
                let World { nodes, late, .. } = world;
                let Some(lane) = &mut nodes[node].lane else { return Ok(()) };
                if let Some(hand) = lane.hands[delivery]
                    && let Stage::Writing(write, Progress::Sent) = hand.stage
                {
                    late.push(Call { fence: lane.fence, write });
                    late.sort_unstable();
                }
                lane.unanswered(delivery, rules);
            }
            Action::Execute { node, delivery } => self.execute(world, node, delivery)?,
            Action::Notice { node }
            | Action::ReadStream { node }
            | Action::Arrived { node }
            | Action::ReadAgenda { node }
            | Action::AgendaRead { node }
            | Action::BeginLook { node, .. }
            | Action::ReadWaiting { node, .. }
            | Action::Looked { node, .. }
            | Action::BeginCheck { node }
            | Action::ReadPages { node }
            | Action::Checked { node }
            | Action::Send { node, .. }
            | Action::PutBack { node, .. }
            | Action::Attempted { node, .. }
            | Action::Answered { node, .. } => {
                if let Err(Fenced) = self.turn(world, node, action)? {
                    world.end(node, rules);
                }
            }
        }
        Ok(())
    }

    fn acquire(&self, world: &mut World, node: usize) {
        let before = world.store.clone();
        if let Some(owner) = before.owner {
            world.excuses += 1;
            let Node { life, lane } = &world.nodes[owner.node];
            if *life == owner.life && lane.is_some() {
                world.left.expiries -= 1;
            }
        }
        let owner = Owner { node, life: world.nodes[node].life };
        world.time += 1;
        let fence = world.store.acquire(owner, world.time);
        world.nodes[node].lane = Some(Lane::new(fence, world.failovers));
        world.changed(&before);
    }

    fn execute(&self, world: &mut World, node: usize, delivery: usize) -> Result<(), &'static str> {
        let Some(lane) = &world.nodes[node].lane else { return Ok(()) };
        let Some(mut hand) = lane.hands[delivery] else { return Ok(()) };
        let Stage::Writing(write, _) = hand.stage else { return Ok(()) };
        let answer = self.write(world, Call { fence: lane.fence, write })?;
        let due = due_after(write, &world.store);
        hand.stage = Stage::Writing(write, Progress::Answered(answer, due));
        world.lane(node).into_iter().for_each(|lane| lane.hands[delivery] = Some(hand));
        Ok(())
    }

    /// A step of one lane, or a read on its behalf.
    fn turn(
        &self,
        world: &mut World,
        node: usize,
        action: Action,
    ) -> Result<Result<(), Fenced>, &'static str> {
        let rules = self.rules();
        let forgotten = world.failovers == 0
            && world.store.has_due()
            && world.left.checks == 0
            && self.steps(world).is_empty();
        let overtakes = match action {
            Action::Send { delivery, .. } if rules.ordered && world.failovers == 0 => {
                world.overtakes(delivery, rules.queues)
            }
            _ => false,
        };
        let World { store, nodes, left, failovers, unsettled, .. } = world;
        let Some(lane) = &mut nodes[node].lane else { return Ok(Ok(())) };
        match action {
            Action::Notice { .. } => lane.reread(*failovers, rules),
            Action::ReadStream { .. } => {
                lane.read = Some((lane.news(store), store.is_held(lane.fence)));
            }
            Action::Arrived { .. } => return Ok(lane.arrived(rules)),
            Action::ReadAgenda { .. } => lane.agenda = Read::Seen(store.agenda),
            Action::AgendaRead { .. } => lane.agenda_read(rules),
            Action::BeginLook { queue, .. } => lane.begin_look(queue),
            Action::ReadWaiting { queue, .. } => {
                if !store.is_held(lane.fence) && rules.guards.has(Guard::Fence) {
                    return Ok(Err(Fenced));
                }
                let page = store.look(queue, rules, lane.look_limit(queue, rules));
                lane.seats[queue].look = Look::Seen(page);
            }
            Action::Looked { queue, .. } => lane.looked(queue, rules),
            Action::BeginCheck { .. } if forgotten => {
                return Err("work is forgotten though the store lost nothing");
            }
            Action::BeginCheck { .. } => {
                left.checks = left.checks.saturating_sub(1);
                lane.check = Read::Begun;
            }
            Action::ReadPages { .. } => {
                lane.check = Read::Seen((store.stream.clone(), store.agenda));
            }
            Action::Checked { .. } => {
                let found = lane.checked(rules);
                if found && *failovers == 0 {
                    return Err("the check found something though the store lost nothing");
                }
            }
            Action::Send { .. } if overtakes && store.is_held(lane.fence) => {
                return Err("a delivery is sent before its turn");
            }
            Action::Send { delivery, .. } => {
                if !store.is_held(lane.fence) && rules.guards.has(Guard::FetchProof) {
                    return Ok(Err(Fenced));
                }
                if store.ended[delivery] && *failovers == 0 {
                    return Err("a settled delivery is sent again");
                }
                if let Some(hand) = &mut lane.hands[delivery] {
                    hand.stage = Stage::Sending;
                    unsettled[delivery] += 1;
                }
            }
            Action::PutBack { delivery, .. } => {
                left.put_backs -= 1;
                lane.put_back(delivery, rules);
            }
            Action::Attempted { delivery, verdict, .. } => {
                left.failures -= u8::from(verdict == Verdict::Retry);
                lane.attempted(delivery, verdict);
            }
            Action::Answered { delivery, .. } => {
                if let Some(hand) = lane.hands[delivery]
                    && let Stage::Writing(write, Progress::Answered(answer, due)) = hand.stage
                {
                    return Ok(lane.answered(write, answer, due, rules));
                }
            }
            _ => {}
        }
        Ok(Ok(()))
    }
}
