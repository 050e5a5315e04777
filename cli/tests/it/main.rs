//! The real command, against real stores and receivers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod api;
mod canaries;
mod collector;
mod configuration;
mod data_directory;
mod declaring;
mod delivery;
mod doctor;
mod filtering;
mod halves;
mod health;
mod hostile;
mod logs;
mod metrics;
mod process;
mod receiver;
mod replaying;
mod secrets;
mod stopping;
mod top;
mod traces;
mod trying_out;
