//! Ids: 128 bits, ordered by time, written as 22 characters.
//!
//! An id is a UUID version 7 (RFC 9562) in base 62 with the digits in ASCII order, so that the order
//! of the texts is the order of creation. Outside, it carries a prefix that names its kind
//! (`msg_0Ahb…`); in keys of the store it stands bare, to save memory.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Digits of base 62 in ASCII order.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^22 > 2^128, so each id has exactly this many digits.
pub const TEXT_LEN: usize = 22;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected `{prefix}` followed by {TEXT_LEN} letters and digits")]
pub struct InvalidId {
    prefix: &'static str,
}

/// Digits that fit into 64 bits.
const GROUP: usize = 10;
/// 62^10.
const OF_GROUP: u64 = 62u64.pow(GROUP as u32);

/// Ids are written and read often, and divisions and checked products of 128 bits are many times slower
/// than those of 64. So digits go in groups: two, ten, and ten.
fn encode(value: u128) -> [u8; TEXT_LEN] {
    let mut text = [b'0'; TEXT_LEN];
    let (mut rest, mut end) = (value, TEXT_LEN);
    while end > 0 {
        let start = end.saturating_sub(GROUP);
        let above = rest / u128::from(OF_GROUP);
        // Below 62^10, so its lower 64 bits are all of it.
        let mut group = (rest as u64).wrapping_sub((above as u64).wrapping_mul(OF_GROUP));
        for digit in text[start..end].iter_mut().rev() {
            *digit = DIGITS[(group % 62) as usize];
            group /= 62;
        }
        (rest, end) = (above, start);
    }
    text
}

fn decode(text: &str) -> Option<u128> {
    let text: &[u8; TEXT_LEN] = text.as_bytes().try_into().ok()?;
    let (first, groups) = text.split_at(TEXT_LEN % GROUP);
    let first = u128::from(decode_group(first)?);
    groups.chunks(GROUP).try_fold(first, |value, group| {
        value.checked_mul(u128::from(OF_GROUP))?.checked_add(u128::from(decode_group(group)?))
    })
}

/// At most [`GROUP`] digits.
fn decode_group(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        Some(value * 62 + u64::from(digit))
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What the text form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, greater than all that this process made before.
            #[expect(clippy::new_without_default, reason = "a default id would not be unique news")]
            pub fn new() -> Self {
                Self(Uuid::now_v7().as_u128())
            }

            /// The id with these 128 bits.
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// The 128 bits.
            pub const fn bits(self) -> u128 {
                self.0
            }

            /// Milliseconds since the Unix epoch at which the id was made.
            pub const fn made_at_ms(self) -> u64 {
                (self.0 >> 80) as u64
            }

            /// The 22 characters without the prefix, as keys of the store carry them.
            pub fn bare(self) -> Bare {
                Bare(encode(self.0))
            }

            /// Reads the 22 characters without the prefix.
            pub fn from_bare(text: &str) -> Result<Self, InvalidId> {
                decode(text).map(Self).ok_or(InvalidId { prefix: "" })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(self.bare().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .and_then(decode)
                    .map(Self)
                    .ok_or(InvalidId { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let pattern = format!("^{}[0-9A-Za-z]{{{TEXT_LEN}}}$", $prefix);
                json_schema!({ "type": "string", "pattern": pattern })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// The 22 characters of an id, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bare([u8; TEXT_LEN]);

impl Bare {
    /// The characters.
    pub fn as_str(&self) -> &str {
        // Each byte comes from DIGITS, so this never falls back.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

id!(
    /// An application: a tenant of the gateway.
    AppId,
    "app_"
);
id!(
    /// An endpoint: a destination of deliveries.
    EndpointId,
    "ep_"
);
id!(
    /// A message: an event that an application published.
    MessageId,
    "msg_"
);
id!(
    /// An attempt: one HTTP request of a delivery.
    AttemptId,
    "atmpt_"
);
id!(
    /// A task: many deliveries that are sent again.
    TaskId,
    "qtask_"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_round_trips_and_keeps_order(a: u128, b: u128) {
            let (x, y) = (MessageId::from_bits(a), MessageId::from_bits(b));
            prop_assert_eq!(x.to_string().parse::<MessageId>(), Ok(x));
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
        }
    }

    #[test]
    fn ids_grow_and_carry_their_time() {
        let (a, b) = (MessageId::new(), MessageId::new());
        assert!(a < b);
        assert!(a.made_at_ms() > 1_700_000_000_000);
    }

    #[test]
    fn refuses_what_is_not_an_id() {
        for text in [
            "",
            "msg_",
            "app_0000000000000000000000",
            "msg_000000000000000000000!",
            "msg_zzzzzzzzzzzzzzzzzzzzzz",
        ] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
    }
}
