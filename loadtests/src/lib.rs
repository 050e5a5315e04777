//! Real servers as parts of tests, and the load scenarios.

pub mod api;
mod behaviour;
pub mod journal;
pub mod ledger;
pub mod pipe;
pub mod process;
pub mod redis_server;
pub mod scenarios;
pub mod sender;
pub mod sink;
pub mod verify;
