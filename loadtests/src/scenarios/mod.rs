//! What is measured and what is survived.

pub mod deployment;
pub mod duplicates;
pub mod lanes;
pub mod neighbours;
pub mod system;
pub mod throughput;
pub mod torture;
mod traffic;
