//! The dispatcher's actors, against a real receiver, on both engines.

mod bench;
mod isolation;
mod resuming;
mod retrying;
mod takeover;
