//! The context: where in which trace something happened.

use std::{fmt, num::NonZero, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The header that names trace and span.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what tracing systems added for themselves.
pub const TRACESTATE: &str = "tracestate";

/// Bytes of the first version of `traceparent`; later ones may be longer.
const LENGTH: usize = 55;
const SAMPLED: u8 = 1;
/// Flags that are known: sampled, and that the trace's id is random.
const FLAGS: u8 = 3;
/// Most bytes of a `tracestate` that is passed on: what everybody must be able to carry.
const MAX_STATE: usize = 512;
const MAX_STATE_MEMBERS: usize = 32;

/// A span, as others refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: NonZero<u128>,
    span: NonZero<u64>,
    flags: u8,
    state: Option<Arc<str>>,
}

/// A text that is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected version, trace, span and flags in lower case hexadecimal, such as 00-…-…-01")]
pub struct NoContext;

impl TraceContext {
    /// The first span of a new trace, which is sampled.
    pub fn root() -> Self {
        Self { trace: rand::random(), span: rand::random(), flags: SAMPLED, state: None }
    }

    /// Reads the headers. A `tracestate` that is not well-formed, or longer than everybody must be able to
    /// carry, is left out; a `traceparent` that is not makes it no context.
    pub fn from_headers(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut context: Self = parent.parse().ok()?;
        context.state = state.map(str::trim).filter(|state| is_state(state)).map(Arc::from);
        Some(context)
    }

    /// Another span of the same trace.
    pub fn child(&self) -> Self {
        Self { span: rand::random(), ..self.clone() }
    }

    /// Whether somebody up the path wants to see this trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The trace's id, as everybody writes it.
    pub fn trace_id(&self) -> impl fmt::Display + use<> {
        let trace = self.trace;
        fmt::from_fn(move |f| write!(f, "{trace:032x}"))
    }

    /// The trace's id.
    pub fn trace_bytes(&self) -> [u8; 16] {
        self.trace.get().to_be_bytes()
    }

    /// The span's id.
    pub fn span_bytes(&self) -> [u8; 8] {
        self.span.get().to_be_bytes()
    }

    /// The flags, as in the header.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// The header `tracestate`.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// The header `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// Reads a header `traceparent`.
impl FromStr for TraceContext {
    type Err = NoContext;

    fn from_str(text: &str) -> Result<Self, NoContext> {
        let (known, rest) = text.trim().split_at_checked(LENGTH).ok_or(NoContext)?;
        let mut parts = known.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            part.bytes().all(is_hex).then_some(part)
        };
        let mut read = || {
            let version = u8::from_str_radix(part(2)?, 16).ok()?;
            let trace = u128::from_str_radix(part(32)?, 16).ok()?;
            let span = u64::from_str_radix(part(16)?, 16).ok()?;
            let flags = u8::from_str_radix(part(2)?, 16).ok()? & FLAGS;
            // Later versions may say more, behind another dash.
            let fits = rest.is_empty() || (version > 0 && rest.starts_with('-'));
            (version < 0xff && fits).then_some(())?;
            Some(Self {
                trace: NonZero::new(trace)?,
                span: NonZero::new(span)?,
                flags,
                state: None,
            })
        };
        read().ok_or(NoContext)
    }
}

/// In a record: `traceparent`, and behind a space `tracestate` if there is one.
impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.state {
            None => serializer.collect_str(self),
            Some(state) => serializer.collect_str(&format_args!("{self} {state}")),
        }
    }
}

/// Reads what a record has of a context. What cannot be read is none: a message does not wait for its trace.
pub(crate) fn of_record<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<TraceContext>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (parent, state) = match text.split_once(' ') {
        Some((parent, state)) => (parent, Some(state)),
        None => (text.as_str(), None),
    };
    Ok(TraceContext::from_headers(parent, state).map(Box::new))
}

fn is_state(state: &str) -> bool {
    let is_member = |member: &str| {
        let member = member.trim();
        member.is_empty() || member.split_once('=').is_some_and(|(key, _)| !key.is_empty())
    };
    (1..=MAX_STATE).contains(&state.len())
        && state.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        && state.split(',').count() <= MAX_STATE_MEMBERS
        && state.split(',').all(is_member)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_is_read_and_written() {
        let context: TraceContext = PARENT.parse().unwrap();
        assert_eq!(context.to_string(), PARENT);
        assert!(context.is_sampled());
        assert_eq!(context.trace_id().to_string(), PARENT[3..35]);
        let child = context.child();
        assert_eq!(child.trace_bytes(), context.trace_bytes());
        assert_ne!(child.span_bytes(), context.span_bytes());
    }

    #[test]
    fn only_what_the_standard_allows_is_a_context() {
        let with = |from: &str, to: &str| PARENT.replacen(from, to, 1);
        for (text, good) in [
            (PARENT.to_owned(), true),
            (with("-01", "-00"), true),
            (with("00-", "01-"), true),
            (with("00-", "cc-") + "-what-will-be", true),
            (with("00-", "cc-") + ".what-will-be", false),
            (with("00-", "ff-"), false),
            (PARENT.to_owned() + "-more", false),
            (PARENT[..54].to_owned(), false),
            (PARENT.to_uppercase(), false),
            (with("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)), false),
            (with("b7ad6b7169203331", &"0".repeat(16)), false),
            (with("0af7", "+af7"), false),
            (with("0af7", "gaf7"), false),
            (String::new(), false),
        ] {
            assert_eq!(text.parse::<TraceContext>().is_ok(), good, "{text}");
        }
        let unknown: TraceContext = with("-01", "-ff").parse().unwrap();
        assert_eq!(unknown.flags(), FLAGS, "flags that nobody knows are not passed on");
    }

    #[test]
    fn a_state_is_passed_on_as_far_as_everybody_must_carry_it() {
        let state = |state: &str| {
            let context = TraceContext::from_headers(PARENT, Some(state)).unwrap();
            context.state().map(str::to_owned)
        };
        assert_eq!(state("a=1,b@c=2").as_deref(), Some("a=1,b@c=2"));
        for bad in ["", "a", "=1", "a=1\nb=2", "a=\u{e9}", &"a=1,".repeat(33), &"a".repeat(513)] {
            assert_eq!(state(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = TraceContext::from_headers(&text, Some(&text));
        }
    }
}
