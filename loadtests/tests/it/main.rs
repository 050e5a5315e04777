//! The load tests' own tests.

mod sink;
