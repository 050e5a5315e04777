//! Benchmarks of the hot path's functions, one by one: the instructions that they execute
//! (`benches/instructions.rs`), and their times (`benches/times.rs`).
//!
//! What is measured, and with which inputs, stands beside the functions in the crates themselves.

pub mod baseline;
pub mod callgrind;
pub mod comparison;

use shared::benchmarks::Benchmark;

/// One function and its instructions.
pub type Count = (String, u64);

/// Writes the baseline anew.
pub const ACCEPT: &str = "benchmarks/run --accept";

/// All benchmarks.
pub fn all() -> Vec<Benchmark> {
    let mut all = gateway::benchmarks::all();
    all.extend(shared::benchmarks::all());
    all.extend(dispatcher::benchmarks::all());
    all
}
