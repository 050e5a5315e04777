//! A field of a change: left out, null, or a value.
//!
//! PATCH leaves alone what is left out. PUT and POST describe the whole thing: for them what is left
//! out counts as null, which resets the field.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

/// A field of a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Patch<T> {
    /// Leave it as it is.
    #[default]
    Absent,
    /// Reset it.
    Null,
    /// Set it.
    Value(T),
}

impl<T: Clone> Patch<T> {
    /// The same, where what was left out is to be reset.
    pub(super) fn whole(self) -> Self {
        match self {
            Self::Absent => Self::Null,
            other => other,
        }
    }

    /// This, or `other` if this was left out: for fields with two names.
    pub(super) fn or(self, other: Self) -> Self {
        match self {
            Self::Absent => other,
            this => this,
        }
    }

    /// The value, if there is one.
    pub(super) fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Changes a field that always has a value; `reset` is what null makes of it.
    pub(super) fn apply(&self, field: &mut T, reset: T) {
        match self {
            Self::Absent => {}
            Self::Null => *field = reset,
            Self::Value(value) => *field = value.clone(),
        }
    }

    /// Changes a field that may be without a value.
    pub(super) fn apply_option(&self, field: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *field = None,
            Self::Value(value) => *field = Some(value.clone()),
        }
    }

    /// As [`Patch::apply_option`], for a field that must be read first.
    pub(super) fn read_option<R>(&self, field: &mut Option<R>, read: impl FnOnce(&T) -> Option<R>) {
        match self {
            Self::Absent => {}
            Self::Null => *field = None,
            Self::Value(value) => *field = read(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A field that is left out never comes here: it takes the default.
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Change {
        #[serde(default)]
        field: Patch<u8>,
    }

    fn read(json: &str) -> Patch<u8> {
        serde_json::from_str::<Change>(json).unwrap().field
    }

    #[test]
    fn absent_null_and_value_differ() {
        let after = |patch: Patch<u8>| {
            let mut field = Some(1);
            patch.apply_option(&mut field);
            field
        };
        assert_eq!(after(read("{}")), Some(1));
        assert_eq!(after(read(r#"{"field":null}"#)), None);
        assert_eq!(after(read(r#"{"field":2}"#)), Some(2));
        assert_eq!(after(read("{}").whole()), None);
    }
}
