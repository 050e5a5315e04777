//! A breadth-first explorer: visits every state once, and shows the shortest way to what is broken.
//!
//! Safety is asked of each state and step. Liveness is asked of the graph: from every state the
//! *fair* steps, which nothing but a fault can prevent, must lead to the goal.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
};

/// What an explorer visits.
pub(crate) trait Model {
    type State: Clone + Eq + Hash;
    type Action: Copy + Eq + fmt::Debug;

    fn start(&self) -> Self::State;

    /// All that can happen next, the fair step included.
    fn actions(&self, state: &Self::State) -> Vec<Self::Action>;

    /// What an action leads to, or which property it breaks.
    fn next(&self, state: &Self::State, action: Self::Action) -> Result<Self::State, &'static str>;

    /// What happens if no fault comes; `None` at the goal.
    fn fair(&self, state: &Self::State) -> Option<Self::Action>;
}

/// A broken property, and the shortest way to it.
pub(crate) struct Broken<A> {
    pub(crate) property: &'static str,
    pub(crate) trace: Vec<A>,
}

impl<A: fmt::Debug> fmt::Display for Broken<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {} steps", self.property, self.trace.len())?;
        for (number, action) in self.trace.iter().enumerate() {
            write!(f, "\n{:4}  {action:?}", number + 1)?;
        }
        Ok(())
    }
}

/// What is remembered of a visited state.
struct Visited<A> {
    /// Where it was reached from; the start has none.
    from: Option<(usize, A)>,
    /// Where its fair step leads; `None` at the goal.
    fair: Option<usize>,
}

/// Fingerprints stand for states: at ten million states two would share one with a chance of 1 in
/// 400,000.
type Fingerprints = HashMap<u64, usize, BuildHasherDefault<DefaultHasher>>;

/// Visits all states; answers how many there are.
pub(crate) fn explore<M: Model>(model: &M) -> Result<usize, Broken<M::Action>> {
    let mut visited: Vec<Visited<M::Action>> = vec![Visited { from: None, fair: None }];
    let mut known = Fingerprints::default();
    let start = model.start();
    known.insert(known.hasher().hash_one(&start), 0);
    let mut frontier = VecDeque::from([(0, start)]);
    while let Some((index, state)) = frontier.pop_front() {
        let fair = model.fair(&state);
        for action in model.actions(&state) {
            let next = model.next(&state, action).map_err(|property| {
                let mut trace = way_to(&visited, index);
                trace.push(action);
                Broken { property, trace }
            })?;
            let count = visited.len();
            let reached = match known.entry(known.hasher().hash_one(&next)) {
                Entry::Occupied(occupied) => *occupied.get(),
                Entry::Vacant(vacant) => {
                    vacant.insert(count);
                    visited.push(Visited { from: Some((index, action)), fair: None });
                    frontier.push_back((count, next));
                    count
                }
            };
            if fair == Some(action) {
                visited[index].fair = Some(reached);
            }
        }
    }
    match stuck(&visited) {
        None => Ok(visited.len()),
        Some(index) => Err(Broken {
            property: "something is stuck though nothing more goes wrong",
            trace: way_to(&visited, index),
        }),
    }
}

fn way_to<A: Copy>(visited: &[Visited<A>], mut index: usize) -> Vec<A> {
    let mut trace = Vec::new();
    while let Some((from, action)) = visited[index].from {
        trace.push(action);
        index = from;
    }
    trace.reverse();
    trace
}

/// The first state whose fair steps run in a circle.
fn stuck<A>(visited: &[Visited<A>]) -> Option<usize> {
    let mut arrives: Vec<bool> = visited.iter().map(|state| state.fair.is_none()).collect();
    let mut seen_from = vec![usize::MAX; visited.len()];
    for start in 0..visited.len() {
        let mut at = start;
        let mut way = Vec::new();
        while !arrives[at] {
            if seen_from[at] == start {
                return Some(start);
            }
            seen_from[at] = start;
            way.push(at);
            at = visited[at].fair?;
        }
        for state in way {
            arrives[state] = true;
        }
    }
    None
}
