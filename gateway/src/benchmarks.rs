//! What the functions of the hot path cost by themselves: those of this crate.

use shared::benchmarks::Benchmark;

use crate::{api, publish};

/// All of them.
pub fn all() -> Vec<Benchmark> {
    let mut all = Vec::new();
    all.extend(api::benchmarks::all());
    all.extend(publish::benchmarks::all());
    all
}
