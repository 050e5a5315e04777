//! Scalars of JSON, compared by what they mean: `1` and `1.0` are equal.

use std::cmp::Ordering;

use serde_json::Value;

/// A value that is neither an array nor an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// An integer of up to 64 bits, with or without a sign.
    Integer(i128),
    Double(f64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    /// The scalar that this is, if it is one.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(signed), _) => Self::Integer(signed.into()),
                (None, Some(unsigned)) => Self::Integer(unsigned.into()),
                (None, None) => Self::Double(number.as_f64()?),
            },
            Value::String(text) => Self::Text(text),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    /// Whether both are equal. What differs in kind is not.
    pub(super) fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// The order of two numbers or two texts; nothing else has one. An integer beside a double counts
    /// as a double.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => Some(one.cmp(&other)),
            (Self::Text(one), Self::Text(other)) => Some(one.cmp(other)),
            (one, other) => one.number()?.partial_cmp(&other.number()?),
        }
    }

    /// As a double, if it is a number.
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(integer as f64),
            Self::Double(double) => Some(double),
            Self::Null | Self::Bool(_) | Self::Text(_) => None,
        }
    }
}
