//! The object `ordering` of an endpoint.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use shared::domain::{OrderBy, Ordering, Poison};

use crate::ingest::Objects;

const MAX_POINTER: usize = 256;
const MAX_ATTEMPTS: u32 = 64;

/// Which messages arrive one after the other.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderingIn {
    /// Among which messages there is an order: all, or those with the same value at `pointer`.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["endpoint", "key"]))]
    by: String,
    /// A JSON pointer (RFC 6901) such as `/customer/id`.
    #[schemars(length(max = MAX_POINTER))]
    pointer: Option<String>,
    /// What becomes of a message that fails again and again.
    #[schemars(with = "Option<Poison>")]
    poison: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeadLetterIn {
    dead_letter_after: NonZeroU32,
}

impl OrderingIn {
    /// The ordering, or what is wrong with it.
    pub(super) fn read(&self) -> Result<Ordering, String> {
        let by = match (self.by.as_str(), &self.pointer) {
            ("endpoint", None) => OrderBy::Endpoint,
            ("endpoint", Some(_)) => {
                return Err("ordering.pointer needs ordering.by to be \"key\"".to_owned());
            }
            ("key", Some(pointer)) if is_pointer(pointer) => {
                OrderBy::Key { pointer: pointer.clone() }
            }
            ("key", _) => {
                return Err(format!(
                    "ordering.pointer must be a JSON pointer of at most {MAX_POINTER} characters, such as \
                     /customer/id"
                ));
            }
            _ => return Err("ordering.by must be \"endpoint\" or \"key\"".to_owned()),
        };
        let poison =
            self.poison.as_ref().map(|poison| read_poison(poison).ok_or_else(wrong_poison));
        let poison = poison.transpose()?;
        Ok(Ordering { by, poison })
    }
}

fn read_poison(poison: &Value) -> Option<Poison> {
    if poison == "block" {
        return Some(Poison::Block);
    }
    let read = DeadLetterIn::deserialize(Objects(poison));
    let DeadLetterIn { dead_letter_after: attempts } = read.ok()?;
    (attempts.get() <= MAX_ATTEMPTS).then_some(Poison::DeadLetterAfter(attempts))
}

fn wrong_poison() -> String {
    format!(
        "ordering.poison must be \"block\" or {{\"deadLetterAfter\": n}} with n from 1 to {MAX_ATTEMPTS}"
    )
}

/// RFC 6901, apart from the pointer to the whole document, which is no key.
fn is_pointer(text: &str) -> bool {
    text.len() <= MAX_POINTER
        && text.starts_with('/')
        && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_what_is_none() {
        for pointer in ["/", "/a", "/a/0/b", "/a~1b/~0", "/é"] {
            assert!(is_pointer(pointer), "{pointer}");
        }
        for other in ["", "a", "$.a", "/~", "/a~2", "/a~"] {
            assert!(!is_pointer(other), "{other}");
        }
        assert!(!is_pointer(&format!("/{}", "a".repeat(MAX_POINTER))));
    }
}
