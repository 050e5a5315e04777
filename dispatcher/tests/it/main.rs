//! The dispatcher's actors, against a real receiver, on both engines.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod bench;
mod destinations;
mod disabling;
mod fanning_out;
mod isolation;
mod limits;
mod limits_shared;
mod maintaining;
mod operational;
mod options;
mod ordering;
mod outages;
mod pausing;
mod policies;
mod reading;
mod replaying;
mod resuming;
mod retrying;
mod scripted;
mod secrets;
mod shares;
mod strands;
mod takeover;
