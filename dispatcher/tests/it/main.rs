//! The dispatcher's actors, against a real receiver, on both engines.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod bench;
mod disabling;
mod isolation;
mod limits;
mod limits_shared;
mod operational;
mod ordering;
mod outages;
mod pausing;
mod policies;
mod resuming;
mod retrying;
mod scripted;
mod strands;
mod takeover;
