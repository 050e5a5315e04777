//! Reading a file: a name that is not known is an error with its line; so is a secret that is not where the
//! file says, and what stands there twice.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::entries::{ApiKeyEntry, ApplicationEntry, EndpointEntry, EventTypeEntry, LimitEntry};

/// What marks the things that a file made, if it does not say otherwise.
const NAME: &str = "default";

/// A declaration.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Declaration {
    /// Marks what it makes, so that it may also remove it.
    #[serde(default = "name")]
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) limits: Vec<Lined<LimitEntry>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) event_types: Vec<Lined<EventTypeEntry>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) applications: Vec<Lined<ApplicationEntry>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) operational_endpoints: Vec<Lined<EndpointEntry>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) api_keys: Vec<Lined<ApiKeyEntry>>,
}

fn name() -> String {
    NAME.to_owned()
}

/// Something, and the line on which it begins.
#[derive(Debug, Default)]
pub(super) struct Lined<T> {
    pub(super) line: u64,
    pub(super) value: T,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lined<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), value: spanned.value })
    }
}

impl<T: Serialize> Serialize for Lined<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T> From<T> for Lined<T> {
    fn from(value: T) -> Self {
        Self { line: 0, value }
    }
}

/// Reads a file with all that it refers to. Errors name file and line.
pub(super) fn read(path: &Path) -> Result<Declaration, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let mut declaration: Declaration = serde_saphyr::from_str(&text).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        format!("{shown}:{line}: {}", error.without_snippet())
    })?;
    let directory = path.parent().unwrap_or(Path::new("."));
    declaration.resolve(directory).map_err(|(line, error)| format!("{shown}:{line}: {error}"))?;
    Ok(declaration)
}

type Fault = (u64, String);

impl Declaration {
    /// Follows all references, and looks for what is named twice.
    fn resolve(&mut self, directory: &Path) -> Result<(), Fault> {
        unique(&self.limits, "limit", |limit| Ok(limit.name.clone()))?;
        unique(&self.event_types, "event type", |event_type| Ok(event_type.name.clone()))?;
        unique(&self.applications, "application", ApplicationEntry::key)?;
        unique(&self.operational_endpoints, "operational endpoint", EndpointEntry::key)?;
        for Lined { value: application, .. } in &mut self.applications {
            unique(&application.endpoints, "endpoint", EndpointEntry::key)?;
            for Lined { line, value: endpoint } in &mut application.endpoints {
                endpoint.resolve(directory).map_err(|error| (*line, error))?;
            }
        }
        for Lined { line, value: endpoint } in &mut self.operational_endpoints {
            endpoint.resolve(directory).map_err(|error| (*line, error))?;
        }
        for Lined { line, value: key } in &mut self.api_keys {
            key.resolve(directory).map_err(|error| (*line, error))?;
        }
        unique(&self.api_keys, "API key", |key| Ok(key.id.clone().unwrap_or_default()))
    }

    /// Whether it says something about this application, as the server shows it.
    pub(super) fn names_application(&self, shown: &Value) -> bool {
        self.applications.iter().any(|one| one.value.is(shown))
    }
}

/// Fails if two have one key.
fn unique<T>(
    entries: &[Lined<T>],
    what: &str,
    key: impl Fn(&T) -> Result<String, String>,
) -> Result<(), Fault> {
    let mut seen = BTreeMap::new();
    for Lined { line, value } in entries {
        let key = key(value).map_err(|error| (*line, error))?;
        // It becomes part of a path.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !key.bytes().all(fits) || key.bytes().all(|byte| byte == b'.') {
            return Err((*line, format!("{what} {key:?}: expected 1 to 256 of a-z A-Z 0-9 - _ .")));
        }
        if let Some(before) = seen.insert(key.clone(), *line) {
            return Err((*line, format!("{what} {key} stands on line {before} already")));
        }
    }
    Ok(())
}
