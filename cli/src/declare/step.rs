//! A step: one request, why it is made, and how people read it.

use std::{fmt, path::Path};

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::sameness::{is_nothing, same};

/// Fields of `sluicegate` that are no declaration's business.
pub(super) const NOT_DECLARED: [&str; 4] = ["paused", "managedBy", "disabledReason", "disabledAt"];

/// One request.
#[derive(Debug)]
pub(super) struct Step {
    /// Where the file wants it; for removals there is no such place.
    pub(super) line: Option<u64>,
    /// To what it happens.
    pub(super) what: String,
    pub(super) verb: Verb,
    /// What changes, for people. Never a secret.
    pub(super) changes: Vec<String>,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    Create,
    Change,
    Remove,
}

/// What a step is about.
pub(super) struct Subject<'a> {
    pub(super) line: u64,
    pub(super) what: String,
    pub(super) path: String,
    /// As the server shows it now.
    pub(super) found: Option<&'a Value>,
}

impl Step {
    /// A removal.
    pub(super) fn removal(what: &str, path: &str) -> Self {
        Self {
            line: None,
            what: what.to_owned(),
            verb: Verb::Remove,
            changes: Vec::new(),
            method: Method::DELETE,
            path: path.to_owned(),
            body: None,
        }
    }

    /// To what it happens, with its line.
    pub(super) fn place(&self, file: &Path) -> String {
        match self.line {
            Some(line) => format!("{}:{line}: {}", file.display(), self.what),
            None => self.what.clone(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.verb {
            Verb::Create => '+',
            Verb::Change => '~',
            Verb::Remove => '-',
        };
        writeln!(f, "{sign} {}", self.what)?;
        for change in &self.changes {
            writeln!(f, "    {change}")?;
        }
        Ok(())
    }
}

/// Marks what is to be made.
pub(super) fn mark(body: &mut Map<String, Value>, by: &str) {
    body.insert("managedBy".to_owned(), by.into());
}

/// Marks it in its object `sluicegate`.
pub(super) fn mark_inside(body: &mut Map<String, Value>, by: &str) {
    let ours = body.entry("sluicegate").or_insert_with(|| json!({}));
    if let Value::Object(ours) = ours {
        mark(ours, by);
    }
}

/// The step that puts what is wanted in the place of what there is; none, if both mean the same. What is
/// new is marked.
pub(super) fn put(
    subject: Subject<'_>,
    mut body: Map<String, Value>,
    mark: impl FnOnce(&mut Map<String, Value>),
) -> Option<Step> {
    let mut changes = Vec::new();
    for (field, wanted) in &body {
        match subject.found {
            None if is_nothing(wanted) => {}
            None => changes.push(format!("{field}: {wanted}")),
            Some(found) => {
                let found = declared(&found[field]);
                if !same(wanted, &found) {
                    changes.push(format!("{field}: {found} → {wanted}"));
                }
            }
        }
    }
    let verb = match subject.found {
        None => {
            mark(&mut body);
            Verb::Create
        }
        Some(_) if changes.is_empty() => return None,
        Some(found) => {
            // A whole one has its uid, or loses it.
            if let Some(uid) = found["uid"].as_str() {
                body.insert("uid".to_owned(), uid.into());
            }
            Verb::Change
        }
    };
    Some(Step {
        line: Some(subject.line),
        what: subject.what,
        verb,
        changes,
        method: Method::PUT,
        path: subject.path,
        body: Some(Value::Object(body)),
    })
}

/// What of a shown field a declaration can say something about.
fn declared(shown: &Value) -> Value {
    let mut shown = shown.clone();
    if let Value::Object(fields) = &mut shown {
        fields.retain(|name, _| !NOT_DECLARED.contains(&name.as_str()));
    }
    shown
}
