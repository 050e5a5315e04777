//! The load tests' own tests.
#![allow(clippy::unwrap_used, reason = "a test ends by it")]

mod described;
mod floor;
mod sink;
mod verify;
