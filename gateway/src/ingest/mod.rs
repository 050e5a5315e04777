//! Ingest: from an HTTP request to a bounded, valid one. It promises nothing yet and never touches the
//! store.

mod body;
mod objects;
mod observe;
mod refused;
mod span;
mod validate;

pub(crate) use body::{BatchBody, Body, read_object};
pub(crate) use objects::Objects;
pub(crate) use observe::{REQUEST_ID, observe};
pub(crate) use refused::Partly;
pub(crate) use span::trace_of;
pub(crate) use validate::{Faults, is_name, json_depth};
