//! References: secrets stand in the environment or in files of their own, never in a declaration.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Where a secret is.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_env: Option<String>,
    /// Relative to the declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_file: Option<PathBuf>,
}

/// A header's value: a text, or a secret.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum HeaderValue {
    Text(String),
    Secret(Reference),
}

impl Reference {
    /// Reads the secret. Errors name where it should be, and never what is there.
    pub(super) fn resolve(&self, directory: &Path) -> Result<String, String> {
        let text = match (&self.from_env, &self.from_file) {
            (Some(name), None) => std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set"))?,
            (None, Some(path)) => {
                let path = directory.join(path);
                std::fs::read_to_string(&path)
                    .map_err(|error| format!("{} cannot be read: {error}", path.display()))?
            }
            _ => return Err("expected either `fromEnv` or `fromFile`".to_owned()),
        };
        match text.trim() {
            "" => Err("the secret that is referred to is empty".to_owned()),
            text => Ok(text.to_owned()),
        }
    }
}

/// Reads all headers.
pub(super) fn resolve_headers(
    headers: &BTreeMap<String, HeaderValue>,
    directory: &Path,
) -> Result<BTreeMap<String, String>, String> {
    let resolve = |(name, value): (&String, &HeaderValue)| match value {
        HeaderValue::Text(text) => Ok((name.clone(), text.clone())),
        HeaderValue::Secret(reference) => match reference.resolve(directory) {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(format!("header {name}: {error}")),
        },
    };
    headers.iter().map(resolve).collect()
}
