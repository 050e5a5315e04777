//! Real servers as parts of tests, and the load scenarios.

mod behaviour;
pub mod journal;
pub mod redis_server;
pub mod sink;
