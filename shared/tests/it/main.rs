//! The store's contract as tests: what every engine must do, and a model that says what it must answer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics is a failed test")]

mod bench;
mod conformance;
mod engines;
mod model;
mod redis_engine;
mod state_machine;
