//! Real servers as parts of tests, and the load scenarios.

pub mod api;
mod behaviour;
pub mod description;
pub mod floor;
pub mod intervals;
pub mod journal;
pub mod latency;
pub mod ledger;
pub mod metrics;
pub mod payload;
pub mod process;
pub mod redis_server;
pub mod report;
pub mod rounds;
pub mod run;
pub mod scenarios;
pub mod sender;
pub mod signatures;
pub mod sink;
pub mod targets;
pub mod verify;
