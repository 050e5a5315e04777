//! Real servers as parts of tests, and the load scenarios.

pub mod redis_server;
