//! Traces: which path a message took, across processes, in the form of
//! [W3C Trace Context](https://www.w3.org/TR/trace-context/).
//!
//! A message carries the context of its publication with it, if it has one. What happens to it makes
//! [`Span`]s, which a [`Tracer`] puts into a bounded queue; who takes them out of it is the command's
//! business. A message without a context, or one whose trace is not sampled, costs a look at an option.

mod context;
mod span;
mod tracer;

pub(crate) use context::of_record;
pub use context::{TRACEPARENT, TRACESTATE, TraceContext};
pub use span::{Span, Stage, Value};
pub use tracer::{Sampling, Spans, Tracer};
