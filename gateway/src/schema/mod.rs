//! JSON Schemas of event types: checked when they are written, and asked at ingest where a type says so.
//!
//! No reference leads out of a schema, patterns are matched in linear time, and how often parts of a
//! schema are applied is bounded before it is compiled. What takes longer runs beside the workers.

mod bounds;
mod compile;
mod known;

pub(crate) use compile::check;
pub(crate) use known::Schemas;
