//! Filter: what a payload must be like for a message to go to an endpoint, beyond its type and channels.
//!
//! It is compiled when it is read, so once for each version of an application's configuration, and
//! evaluated in a time that the filter's own size bounds, whatever the payload is.

mod expression;
mod matcher;
mod pointer;
mod scalar;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use self::{expression::Expression, matcher::Matcher};
use super::Payload;

/// Most bytes of a filter as JSON.
const MAX_BYTES: usize = 16 * 1024;

/// A filter as it was written, and compiled.
#[derive(Debug, Clone)]
pub struct Filter {
    source: Value,
    compiled: Arc<Compiled>,
}

#[derive(Debug)]
enum Compiled {
    /// With how many conditions it has.
    Matcher(Matcher, usize),
    Expression(Expression),
    /// Written by a newer version, which knows more: everything passes, because what is delivered
    /// needlessly does less harm than what is lost.
    Unknown,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterFault {
    /// Where, from the filter on.
    pub path: Vec<String>,
    /// What.
    pub msg: String,
}

impl Filter {
    /// Compiles a filter, or says what is wrong with it.
    pub fn compile(source: &Value) -> Result<Self, Vec<FilterFault>> {
        let mut reader = Reader::default();
        let compiled = if source.to_string().len() > MAX_BYTES {
            reader.fault(format!("larger than {MAX_BYTES} bytes"))
        } else {
            match source.get("cel") {
                Some(text) => reader.cel(source, text).map(Compiled::Expression),
                None => {
                    let matcher = reader.matcher(source, 1);
                    matcher.map(|matcher| Compiled::Matcher(matcher, reader.conditions))
                }
            }
        };
        match compiled {
            Some(compiled) if reader.faults.is_empty() => {
                Ok(Self { source: source.clone(), compiled: Arc::new(compiled) })
            }
            _ => Err(reader.faults),
        }
    }

    /// Whether a message with this payload passes. What cannot be evaluated does not, and is noted
    /// with the payload: an expression whose field is missing, a payload that is no JSON.
    pub fn matches(&self, payload: &Payload<'_>) -> bool {
        let result = match self.compiled.as_ref() {
            Compiled::Unknown => Some(true),
            Compiled::Matcher(matcher, conditions) => {
                payload.note_steps(*conditions);
                payload.value().map(|value| matcher.matches(value))
            }
            Compiled::Expression(expression) => payload.value().and_then(|value| {
                let (result, steps) = expression.matches(value);
                payload.note_steps(steps);
                result
            }),
        };
        result.unwrap_or_else(|| {
            payload.note_failure();
            false
        })
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Value::deserialize(deserializer)?;
        Ok(Self::compile(&source).unwrap_or_else(|faults| {
            tracing::warn!(?faults, "a filter of a newer version lets everything pass");
            Self { source, compiled: Arc::new(Compiled::Unknown) }
        }))
    }
}

/// Reads a filter and notes what is wrong with it.
#[derive(Debug, Default)]
struct Reader {
    path: Vec<String>,
    faults: Vec<FilterFault>,
    conditions: usize,
}

impl Reader {
    /// Reads what stands under a name.
    fn within<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let read = read(self);
        self.path.pop();
        read
    }

    /// Notes a fault; answers `None`, as all do that have found one.
    fn fault<T>(&mut self, msg: impl Into<String>) -> Option<T> {
        self.faults.push(FilterFault { path: self.path.clone(), msg: msg.into() });
        None
    }

    fn cel(&mut self, source: &Value, text: &Value) -> Option<Expression> {
        if source.as_object().is_some_and(|fields| fields.len() > 1) {
            return self.fault("cel stands alone: say the rest in the expression");
        }
        self.within("cel", |me| match text.as_str().map(Expression::compile) {
            Some(Ok(expression)) => Some(expression),
            Some(Err(msg)) => me.fault(msg),
            None => me.fault("expected a string"),
        })
    }
}
