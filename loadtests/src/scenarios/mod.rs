//! What is measured and what is survived.

pub mod duplicates;
pub mod system;
pub mod throughput;
pub mod torture;
