//! The real command, against real stores and receivers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod api;
mod configuration;
mod data_directory;
mod delivery;
mod halves;
mod health;
mod hostile;
mod process;
mod receiver;
mod replaying;
mod stopping;
mod trying_out;
