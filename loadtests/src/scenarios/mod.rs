//! What is measured and what is survived.

pub mod backlog;
pub mod breaker;
pub mod deployment;
pub mod duplicates;
pub mod endpoints;
pub mod fifo;
pub mod hot;
pub mod lanes;
pub mod lists;
pub mod neighbours;
pub mod paused;
pub mod rates;
pub mod system;
pub mod throughput;
pub mod torture;
mod traffic;
