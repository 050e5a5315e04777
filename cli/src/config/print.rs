//! Shows the settings that hold. Secrets never leave this module.

use std::fmt::Write;

use figment::Figment;
use toml::{Table, Value};

use super::settings::StoreChoice;
use crate::exit::{Failure, Result};

/// One line per setting, with its origin as a comment.
pub(super) fn print(layers: &Figment) -> Result<String> {
    let settings: Table =
        layers.extract().map_err(|error| Failure::Runtime(anyhow::Error::new(error)))?;
    let (sections, top): (Vec<_>, Vec<_>) =
        settings.into_iter().partition(|(_, value)| value.is_table());
    let mut text = String::new();
    for (name, value) in top {
        line(&mut text, layers, &name, &name, value);
    }
    for (section, settings) in sections {
        let Value::Table(settings) = settings else { continue };
        text.push_str(&format!("\n[{section}]\n"));
        for (name, value) in settings {
            line(&mut text, layers, &name, &format!("{section}.{name}"), value);
        }
    }
    Ok(text)
}

fn line(text: &mut String, layers: &Figment, name: &str, path: &str, value: Value) {
    let shown = redacted(path, value);
    let origin = layers.find_metadata(path).map_or("default", |metadata| &metadata.name);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:<60} # {origin}", format!("{name} = {shown}"));
}

fn redacted(path: &str, value: Value) -> Value {
    match (path, value) {
        ("api_token", Value::String(token)) if !token.is_empty() => "***".into(),
        ("secrets.keys" | "traces.headers", Value::Array(keys)) => {
            keys.iter().map(|_| Value::from("***")).collect::<Vec<_>>().into()
        }
        ("store", Value::String(store)) => {
            StoreChoice::try_from(store).map_or("***".into(), |store| store.to_string().into())
        }
        (_, value) => value,
    }
}
