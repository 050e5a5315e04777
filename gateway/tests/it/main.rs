//! The gateway behind a real port, over the embedded store.
#![allow(clippy::unwrap_used, reason = "a test that panics is a failed test")]

mod access;
mod applications;
mod audit;
mod batches;
mod endpoint_messages;
mod endpoint_stats;
mod endpoints;
mod event_types;
mod examples;
mod fan_out;
mod faults;
mod filters;
mod harness;
mod history;
mod jwt;
mod limits;
mod messages;
mod openapi;
mod openapi_import;
mod operational;
mod options;
mod ordering;
mod portal;
mod replays;
mod requests;
mod schemas;
mod scripted;
mod secrets;
mod settings;
mod tenants;
