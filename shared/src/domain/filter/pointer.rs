//! JSON pointers (RFC 6901), split once.

use serde_json::Value;

/// Most bytes of a pointer.
pub(super) const MAX_POINTER: usize = 256;

/// A place in a payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pointer(Vec<Box<str>>);

impl Pointer {
    /// Reads a pointer. The empty one names the whole payload.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let escapes = |text: &str| text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let fits = text.len() <= MAX_POINTER && text.starts_with('/') && escapes(text);
        fits.then(|| {
            let tokens = text.split('/').skip(1);
            Self(tokens.map(|token| token.replace("~1", "/").replace("~0", "~").into()).collect())
        })
    }

    /// What stands there.
    pub(super) fn get<'v>(&self, mut value: &'v Value) -> Option<&'v Value> {
        for token in &self.0 {
            value = match value {
                Value::Object(fields) => fields.get(token.as_ref())?,
                Value::Array(items) => items.get(index(token)?)?,
                _ => return None,
            };
        }
        Some(value)
    }
}

/// Digits without a sign or a leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+']);
    if plain { token.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_lead_where_serde_json_says() {
        let value = json!({"a": {"b/c": [1, {"~": 2}]}, "": {"": 3}, "01": 4, "x": [5]});
        for text in [
            "",
            "/",
            "//",
            "/a",
            "/a/b~1c/0",
            "/a/b~1c/1/~0",
            "/a/b~1c/2",
            "/a/b~1c/01",
            "/x/+0",
            "/x/-1",
            "/01",
            "/nowhere/at/all",
        ] {
            let pointer = Pointer::parse(text).unwrap();
            assert_eq!(pointer.get(&value), value.pointer(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["a", "$.a", "/~", "/a~2", "#/a", &format!("/{}", "a".repeat(MAX_POINTER))] {
            assert_eq!(Pointer::parse(text), None, "{text}");
        }
    }
}
