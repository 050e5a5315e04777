//! The gateway behind a real port, over the embedded store.
#![allow(clippy::unwrap_used, reason = "a test that panics is a failed test")]

mod access;
mod applications;
mod endpoints;
mod event_types;
mod fan_out;
mod faults;
mod harness;
mod history;
mod jwt;
mod limits;
mod messages;
mod openapi;
mod operational;
mod options;
mod ordering;
mod portal;
mod replays;
mod scripted;
mod settings;
mod tenants;
