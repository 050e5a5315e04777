//! What texts and numbers look like: types that stand for them in schemas only.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::api::attempt::Status;

macro_rules! shape {
    ($(#[$doc:meta])* $name:ident, $schema:tt) => {
        $(#[$doc])*
        pub(in crate::api) struct $name;

        impl_shape!($name, $schema);
    };
}

macro_rules! impl_shape {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

shape!(
    /// A name that programs use.
    Name,
    { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,256}$" }
);
shape!(
    /// A name that people read.
    Title,
    { "type": "string", "minLength": 1, "maxLength": 256 }
);
shape!(
    /// A time, as RFC 3339 writes it.
    Time,
    { "type": "string", "format": "date-time" }
);
shape!(
    /// A duration.
    Span,
    { "type": "string", "examples": ["10s", "5m", "2h", "3d"] }
);
shape!(
    /// A rate per second.
    Rate,
    { "type": "integer", "format": "uint32", "minimum": 1, "maximum": 4_294_967_295_u32 }
);
shape!(
    /// The name of a [`Status`].
    StatusText,
    { "type": "string", "enum": ["success", "pending", "fail", "sending", "canceled"] }
);
impl_shape!(
    Status,
    {
        "type": "integer",
        "enum": [0, 1, 2, 3, 4],
        "description": "0 success, 1 pending, 2 fail, 3 sending, 4 canceled"
    }
);
