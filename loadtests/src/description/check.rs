//! What is wrong with a description, and what to write instead.

use std::{collections::HashSet, time::Duration};

use super::{Action, Behaving, Deed, Description, Phase, REFUSED, Ramp, Subscribe};
use crate::{behaviour::Behaviour, payload::SMALLEST};

impl Description {
    /// All that is wrong, one sentence each.
    pub(super) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.applications == 0 {
            wrong.push("`applications` is 0: write at least 1".into());
        }
        if self.phases.is_empty() {
            wrong.push("there is no `[[phases]]`: add at least one".into());
        }
        sizes(&self.payload_bytes, &mut wrong);
        self.endpoints_make_sense(&mut wrong);
        unique("phases", self.phases.iter().map(|phase| &phase.name), &mut wrong);
        for phase in &self.phases {
            let before = wrong.len();
            phase.makes_sense(&mut wrong);
            for sentence in &mut wrong[before..] {
                *sentence = format!("phase `{}`: {sentence}", phase.name);
            }
        }
        self.actions_make_sense(&mut wrong);
        self.expectations_make_sense(&mut wrong);
        wrong
    }

    fn endpoints_make_sense(&self, wrong: &mut Vec<String>) {
        let endpoints = &self.endpoints;
        if endpoints.per_application == 0 {
            wrong.push("`endpoints.per_application` is 0: write at least 1".into());
        }
        unique(
            "endpoints.behaviours",
            endpoints.behaviours.iter().map(|behaving| &behaving.name),
            wrong,
        );
        endpoints.behaviours.iter().for_each(|behaving| behaving.makes_sense(wrong));
        let shares: f64 = endpoints.behaviours.iter().map(|behaving| behaving.share).sum();
        if (shares - 1.0).abs() > 1e-6 {
            wrong.push(format!(
                "the shares of `endpoints.behaviours` are {shares} together: make them 1"
            ));
            return;
        }
        let given: HashSet<usize> = self.behaviour_of_each().into_iter().collect();
        for (index, behaving) in endpoints.behaviours.iter().enumerate() {
            if !given.contains(&index) {
                wrong.push(format!(
                    "no endpoint behaves as `{}`: give it a greater share, or have more endpoints",
                    behaving.name
                ));
            }
        }
        let ordered = endpoints.behaviours.iter().any(|behaving| behaving.ordered);
        if ordered && endpoints.subscribe == Subscribe::One && self.applications > 1 {
            wrong.push(
                "ordered endpoints that subscribe to one channel each: take one application".into(),
            );
        }
    }

    fn actions_make_sense(&self, wrong: &mut Vec<String>) {
        let mut free_from = Duration::ZERO;
        for Action { at, lasts, outage, .. } in &self.actions {
            if *at < free_from {
                wrong.push(format!(
                    "the action at {at:?} begins before the one before it has ended: put actions in \
                     the order of time, one after the other"
                ));
            }
            free_from = *at + *lasts;
            if outage.is_some_and(|status| !(300..600).contains(&status)) {
                wrong.push(format!(
                    "the action at {at:?}: an `outage` is a status from 300 to 599, such as 503"
                ));
            }
        }
        for action in self.actions.iter().filter(|action| action.deed().is_none()) {
            wrong.push(format!(
                "the action at {:?} must have exactly one of `kill`, `terminate`, `outage`, `pause`",
                action.at
            ));
        }
        if self.ramp().is_some() {
            return;
        }
        // Phases that end with a number of messages may last any time.
        let lasts: Option<Duration> = self.phases.iter().map(|phase| phase.duration).sum();
        let late = self.actions.last().filter(|last| lasts.is_some_and(|lasts| last.at >= lasts));
        if let (Some(late), Some(lasts)) = (late, lasts) {
            wrong.push(format!(
                "the action at {:?} comes after the last phase, which ends at {lasts:?}: let it begin \
                 sooner",
                late.at
            ));
        }
    }

    fn expectations_make_sense(&self, wrong: &mut Vec<String>) {
        if self.expect.knee.is_some() && self.ramp().is_none() {
            wrong.push("`expect.knee` needs a phase with a `ramp`".into());
        }
        let known =
            |name: &String| self.endpoints.behaviours.iter().any(|behaving| behaving.name == *name);
        if let Some(of) = self.expect.of.as_ref().filter(|of| !known(of)) {
            wrong.push(format!("`expect.of` names `{of}`, which is no behaviour of the endpoints"));
        }
        if self.phases.iter().filter(|phase| phase.ramp.is_some()).count() > 1 {
            wrong.push("two phases are ramps: put the second one into a file of its own".into());
        }
    }

    /// The ramp, if a phase is one.
    pub fn ramp(&self) -> Option<&Ramp> {
        self.phases.iter().find_map(|phase| phase.ramp.as_ref())
    }

    /// What only an own Sluicegate can do, if the load needs it.
    pub fn needs_own_server(&self) -> Option<&'static str> {
        let deeds = self.actions.iter().filter_map(Action::deed);
        let of_deed = |deed| match deed {
            Deed::Kill(_) | Deed::Terminate(_) => Some("kills a part of the server"),
            Deed::Pause => Some("pauses applications, which is no part of Svix's API"),
            Deed::Outage(_) => None,
        };
        let ordered = self.endpoints.behaviours.iter().any(|behaving| behaving.ordered);
        let ordered = ordered.then_some("has ordered endpoints, which Svix's API does not know");
        deeds.filter_map(of_deed).next().or(ordered)
    }
}

impl Behaving {
    fn makes_sense(&self, wrong: &mut Vec<String>) {
        if self.path != REFUSED && Behaviour::of(&self.path).is_none() {
            wrong.push(format!(
                "the sink knows no path `{}`: docs/loadtests.md lists them, such as `/ok`, `/slow/200` \
                 or `{REFUSED}`",
                self.path
            ));
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            wrong.push(format!("the share of `{}` must be greater than 0, at most 1", self.name));
        }
        if self.rate_limit == Some(0) {
            wrong.push(format!("the `rate_limit` of `{}` must be at least 1", self.name));
        }
    }
}

impl Phase {
    fn makes_sense(&self, wrong: &mut Vec<String>) {
        sizes(self.payload_bytes.as_deref().unwrap_or(&[SMALLEST]), wrong);
        if self.concurrency == Some(0) {
            wrong.push("a `concurrency` of 0 sends nothing".into());
        }
        if self.duration.is_some_and(|duration| duration.is_zero()) {
            wrong.push("a `duration` of 0 sends nothing".into());
        }
        match (&self.ramp, self.rate) {
            (Some(_), Some(_)) => wrong.push("either a `rate` or a `ramp`, not both".into()),
            (Some(ramp), None) => {
                if self.duration.is_some() || self.messages.is_some() {
                    wrong.push("a ramp has `step` instead of `duration` and `messages`".into());
                }
                if self.warm_up {
                    wrong.push("a ramp cannot `warm_up`: put a phase with a rate before it".into());
                }
                ramp.makes_sense(wrong);
            }
            (None, Some(rate)) => {
                if !(rate > 0.0 && rate.is_finite()) {
                    wrong.push("`rate` must be greater than 0".into());
                }
                if self.duration.is_none() || self.messages.is_some() {
                    wrong.push("a phase with a `rate` has a `duration`, and no `messages`".into());
                }
            }
            (None, None) if self.concurrency.is_none() => {
                wrong.push("must have one of `rate`, `concurrency`, `ramp`".into());
            }
            (None, None) if self.duration.is_none() && self.messages.is_none() => {
                wrong.push("says nothing of its end: give it a `duration` or `messages`".into());
            }
            (None, None) => {}
        }
    }
}

impl Ramp {
    fn makes_sense(&self, wrong: &mut Vec<String>) {
        if !(self.from > 0.0 && self.to >= self.from && self.to.is_finite()) {
            wrong.push("a ramp goes up: `from` greater than 0, and `to` no smaller".into());
        }
        if !(self.factor > 1.0 && self.factor.is_finite()) {
            wrong.push("the `factor` of a ramp must be greater than 1, such as 1.5".into());
        }
        if self.step.is_zero() || self.p99.is_zero() || self.backlog.is_zero() {
            wrong.push("`step`, `p99` and `backlog` of a ramp must be longer than 0".into());
        }
    }
}

fn sizes(sizes: &[usize], wrong: &mut Vec<String>) {
    if sizes.is_empty() || sizes.iter().any(|size| *size < SMALLEST) {
        wrong.push(format!("`payload_bytes` must name sizes of at least {SMALLEST}"));
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>, wrong: &mut Vec<String>) {
    let mut known = HashSet::new();
    for name in names {
        if name.is_empty() || !known.insert(name) {
            wrong.push(format!("`{what}`: each needs a name of its own, not `{name}` again"));
        }
    }
}
