//! The gateway behind a real port, over the embedded store.
#![allow(clippy::unwrap_used, reason = "a test that panics is a failed test")]

mod access;
mod applications;
mod batches;
mod endpoints;
mod event_types;
mod fan_out;
mod faults;
mod filters;
mod harness;
mod history;
mod jwt;
mod limits;
mod messages;
mod openapi_import;
mod operational;
mod options;
mod ordering;
mod portal;
mod replays;
mod schemas;
mod scripted;
mod settings;
mod tenants;
