//! Checks of single fields, collected so that a client learns of all faults at once.

use std::collections::BTreeMap;

use crate::error::{ApiError, Fault, Result};

/// Longest uid, event id, event type, channel.
const MAX_NAME: usize = 256;
/// Longest name for people.
const MAX_TITLE: usize = 256;
/// Longest description.
const MAX_DESCRIPTION: usize = 4096;
/// Greatest sum of all keys and values of metadata, in bytes.
const MAX_METADATA: usize = 8192;

/// Whether a text is made of ASCII letters, digits, `-`, `_` and `.` only, and neither empty nor long.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// How deeply arrays and objects are nested in a text that is known to be JSON.
pub(crate) fn json_depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string) = (0usize, 0, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            // In JSON a backslash stands only in strings; what follows it never ends one.
            b'\\' => _ = bytes.next(),
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Faults found so far in a body.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault of a field.
    pub(crate) fn add(&mut self, field: &'static str, msg: impl Into<String>) {
        self.0.push(Fault {
            loc: vec!["body".into(), field.into()],
            msg: msg.into(),
            kind: "value_error",
        });
    }

    /// Adds a fault somewhere within a field.
    pub(crate) fn within(
        &mut self,
        field: &'static str,
        path: impl IntoIterator<Item = String>,
        msg: impl Into<String>,
    ) {
        let field = ["body".into(), field.into()];
        let loc = field.into_iter().chain(path.into_iter().map(Into::into)).collect();
        self.0.push(Fault { loc, msg: msg.into(), kind: "value_error" });
    }

    /// A name that programs use.
    pub(crate) fn name(&mut self, field: &'static str, text: &str) {
        if !is_name(text) {
            self.add(field, format!("expected 1 to {MAX_NAME} of: a-z A-Z 0-9 - _ ."));
        }
    }

    /// Names that programs use.
    pub(crate) fn names(&mut self, field: &'static str, texts: &[String], most: usize) {
        if texts.len() > most {
            self.add(field, format!("more than {most}"));
        }
        if texts.iter().any(|text| !is_name(text)) {
            self.add(field, format!("each must have 1 to {MAX_NAME} of: a-z A-Z 0-9 - _ ."));
        }
    }

    /// The name of a declaration.
    pub(crate) fn managed_by(&mut self, field: &'static str, name: Option<&String>) {
        if name.is_some_and(|name| !is_name(name)) {
            self.add(field, format!("managedBy must be 1 to {MAX_NAME} of: a-z A-Z 0-9 - _ ."));
        }
    }

    /// A uid: a name that nobody can take for an id.
    pub(crate) fn uid(&mut self, uid: Option<&String>, is_id: impl Fn(&str) -> bool) {
        if let Some(uid) = uid {
            self.name("uid", uid);
            if is_id(uid) {
                self.add("uid", "looks like an id");
            }
        }
    }

    /// A name that people read.
    pub(crate) fn title(&mut self, field: &'static str, text: &str) {
        if text.is_empty() || text.len() > MAX_TITLE {
            self.add(field, format!("expected 1 to {MAX_TITLE} bytes"));
        }
    }

    /// A description.
    pub(crate) fn description(&mut self, text: &str) {
        if text.len() > MAX_DESCRIPTION {
            self.add("description", format!("longer than {MAX_DESCRIPTION} bytes"));
        }
    }

    /// Metadata.
    pub(crate) fn metadata(&mut self, metadata: &BTreeMap<String, String>) {
        let size: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        if size > MAX_METADATA {
            self.add("metadata", format!("more than {MAX_METADATA} bytes"));
        }
    }

    /// A rate per second.
    pub(crate) fn rate(&mut self, rate: Option<u32>) {
        if rate == Some(0) {
            self.add("throttleRate", "must be at least 1");
        }
    }

    /// All faults.
    pub(crate) fn into_list(self) -> Vec<Fault> {
        self.0
    }

    /// Fails if there was any fault.
    pub(crate) fn into_result(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for text in ["a", "user.signup", "A-1_z."] {
            assert!(is_name(text), "{text}");
        }
        for text in ["", "a b", "ä", "a/b", "a\n", &"a".repeat(257)] {
            assert!(!is_name(text), "{text}");
        }
    }

    #[test]
    fn depth_ignores_strings() {
        assert_eq!(json_depth("1"), 0);
        assert_eq!(json_depth(r#"{"a":[{}],"b":[]}"#), 3);
        assert_eq!(json_depth(r#"{"[[[\"[[":"{\\"}"#), 1);
    }
}
