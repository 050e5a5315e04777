//! The gateway behind a real port, over the embedded store.

mod applications;
mod endpoints;
mod event_types;
mod faults;
mod harness;
mod history;
mod limits;
mod messages;
mod scripted;
