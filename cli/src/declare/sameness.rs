//! When what a file says and what the server shows mean the same, although they are not written alike:
//! what is left out is null or empty, `60s` is `1m`, and URLs are normal on the server.

use serde_json::Value;
use url::Url;

/// Whether both mean the same.
pub(super) fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (wanted, found) if is_nothing(wanted) || is_nothing(found) => {
            is_nothing(wanted) && is_nothing(found)
        }
        (Value::Object(wanted), Value::Object(found)) => {
            let names = wanted.keys().chain(found.keys());
            names.into_iter().all(|name| {
                let of = |object: &serde_json::Map<String, Value>| object.get(name).cloned();
                same(&of(wanted).unwrap_or_default(), &of(found).unwrap_or_default())
            })
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(one, other)| same(one, other))
        }
        (Value::Number(wanted), Value::Number(found)) => {
            wanted == found || wanted.as_f64() == found.as_f64()
        }
        (Value::String(wanted), Value::String(found)) => {
            wanted == found || same_duration(wanted, found) || same_url(wanted, found)
        }
        (wanted, found) => wanted == found,
    }
}

/// What is the same as leaving it out.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Number(_) => false,
    }
}

fn same_duration(wanted: &str, found: &str) -> bool {
    let read = |text| shared::time::parse_duration(text);
    match (read(wanted), read(found)) {
        (Some(wanted), Some(found)) => wanted == found,
        _ => false,
    }
}

fn same_url(wanted: &str, found: &str) -> bool {
    matches!((Url::parse(wanted), Url::parse(found)), (Ok(wanted), Ok(found)) if wanted == found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_differently_may_mean_the_same() {
        for (wanted, found) in [
            (json!(null), json!([])),
            (json!({"a": null}), json!({})),
            (
                json!({"limits": [{"count": 1, "per": "60s"}]}),
                json!({"limits": [{"count": 1, "per": "1m"}]}),
            ),
            (json!("HTTPS://Example.com"), json!("https://example.com/")),
            (json!(1), json!(1.0)),
            (json!(false), json!(null)),
        ] {
            assert!(same(&wanted, &found), "{wanted} {found}");
        }
        for (wanted, found) in [
            (json!(null), json!(0)),
            (json!({"a": 1}), json!({})),
            (json!({}), json!({"a": 1})),
            (json!(["a", "b"]), json!(["b", "a"])),
            (json!("60s"), json!("61s")),
            (json!("https://a/"), json!("https://a/b")),
            (json!(true), json!(null)),
        ] {
            assert!(!same(&wanted, &found), "{wanted} {found}");
        }
    }
}
