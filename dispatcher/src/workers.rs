//! What lanes are served by: threads, and the stages that they share.

use std::sync::Arc;

use actix::{Actor, ArbiterHandle};
use shared::placement::Lane;

use crate::{connector::Connector, fetcher::Fetcher, mail::Resident, settler::Settler};

/// A thread that serves lanes, with what lives on it.
pub(crate) struct Worker {
    pub(crate) arbiter: ArbiterHandle,
    pub(crate) connector: Arc<Connector>,
}

/// The stages that lanes share: one of each where the store's calls can span all shards, otherwise
/// one a shard.
pub(crate) struct Stages {
    pub(crate) fetchers: Vec<Resident<Fetcher>>,
    pub(crate) settlers: Vec<Resident<Settler>>,
}

impl Stages {
    pub(crate) fn fetcher(&self, lane: Lane) -> Resident<Fetcher> {
        of(&self.fetchers, lane)
    }

    pub(crate) fn settler(&self, lane: Lane) -> Resident<Settler> {
        of(&self.settlers, lane)
    }
}

fn of<A: Actor>(stages: &[Resident<A>], lane: Lane) -> Resident<A> {
    stages[lane.shard().index() % stages.len()].clone()
}
