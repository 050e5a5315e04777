//! What lanes are served by: threads, and the stages that they share.

use std::sync::Arc;

use actix::{Actor, Addr, ArbiterHandle};
use shared::placement::Lane;

use crate::{connector::Connector, fetcher::Fetcher, settler::Settler};

/// A thread that serves lanes, with what lives on it.
pub(crate) struct Worker {
    pub(crate) arbiter: ArbiterHandle,
    pub(crate) connector: Arc<Connector>,
}

/// The stages that lanes share: one of each where the store's calls can span all shards, otherwise
/// one a shard.
pub(crate) struct Stages {
    pub(crate) fetchers: Vec<Addr<Fetcher>>,
    pub(crate) settlers: Vec<Addr<Settler>>,
}

impl Stages {
    pub(crate) fn fetcher(&self, lane: Lane) -> Addr<Fetcher> {
        of(&self.fetchers, lane)
    }

    pub(crate) fn settler(&self, lane: Lane) -> Addr<Settler> {
        of(&self.settlers, lane)
    }
}

fn of<A: Actor>(stages: &[Addr<A>], lane: Lane) -> Addr<A> {
    stages[lane.shard().index() % stages.len()].clone()
}
