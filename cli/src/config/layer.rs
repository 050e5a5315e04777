//! Layers: the places that settings come from, each checked against the defaults' shape.

use std::path::{Path, PathBuf};

use figment::{
    Metadata, Profile, Provider,
    value::{Dict, Map, Value as FigmentValue},
};
use toml::{Table, Value};

use super::DEFAULTS;
use crate::{
    arguments::Flags,
    exit::{Failure, Result},
};

const PREFIX: &str = "SLUICEGATE_";
const FILE_VARIABLE: &str = "SLUICEGATE_CONFIG";
const FILE_BY_DEFAULT: &str = "sluicegate.toml";

/// Settings from one place.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    origin: String,
    settings: Table,
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone()).interpolater(|_, path| path.join("."))
    }

    fn data(&self) -> std::result::Result<Map<Profile, Dict>, figment::Error> {
        let settings = FigmentValue::serialize(&self.settings)?.into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(settings))
    }
}

/// All layers, the weakest first.
pub(super) fn all(flags: &Flags, environment: &[(String, String)]) -> Result<Vec<Layer>> {
    let shape = parse(DEFAULTS, "the built-in defaults")?;
    let mut wrong = Vec::new();
    let mut layers = vec![Layer { origin: "default".into(), settings: shape.clone() }];
    if let Some(path) = file(flags, environment) {
        let layer = read(&path)?;
        misfits(&shape, &layer.settings, "", &mut |what| {
            wrong.push(format!("{what} in {}", layer.origin));
        });
        layers.push(layer);
    }
    layers.push(Layer {
        origin: "environment".into(),
        settings: variables(&shape, environment, &mut wrong),
    });
    layers.push(Layer { origin: "flag".into(), settings: flags.given() });
    if wrong.is_empty() { Ok(layers) } else { Err(Failure::Config(wrong)) }
}

/// The file that is meant; only one that was named must exist.
fn file(flags: &Flags, environment: &[(String, String)]) -> Option<PathBuf> {
    let named = environment.iter().find(|(name, _)| name == FILE_VARIABLE);
    flags
        .config
        .clone()
        .or_else(|| named.map(|(_, path)| path.into()))
        .or_else(|| Path::new(FILE_BY_DEFAULT).exists().then(|| FILE_BY_DEFAULT.into()))
}

fn read(path: &Path) -> Result<Layer> {
    let origin = format!("file {}", path.display());
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::config(format!("{origin} cannot be read: {error}")))?;
    Ok(Layer { settings: parse(&text, &origin)?, origin })
}

fn parse(text: &str, origin: &str) -> Result<Table> {
    // The parser's own display quotes the line, which may hold a secret.
    text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        Failure::config(format!("{origin}, line {line}: {}", error.message()))
    })
}

/// Names what the defaults do not know, or know as something else. Never shows a value: it may be a
/// secret.
fn misfits(shape: &Table, settings: &Table, path: &str, report: &mut dyn FnMut(String)) {
    for (name, value) in settings {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (shape.get(name), value) {
            (None, _) => report(format!("unknown setting {path}")),
            (Some(Value::Table(shape)), Value::Table(settings)) => {
                misfits(shape, settings, &path, report);
            }
            (Some(known), given) if known.same_type(given) => {}
            // 1 is a fraction too.
            (Some(Value::Float(_)), Value::Integer(_)) => {}
            (Some(known), _) => report(format!("{path} must be {}", kind(known))),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "something else",
    }
}

/// Reads the variables as what the defaults say they are, so that no text is ever taken for a number.
fn variables(shape: &Table, environment: &[(String, String)], wrong: &mut Vec<String>) -> Table {
    let mut settings = Table::new();
    for (name, text) in environment {
        let Some(path) = name.strip_prefix(PREFIX).filter(|_| name != FILE_VARIABLE) else {
            continue;
        };
        let path: Vec<_> = path.split("__").map(str::to_ascii_lowercase).collect();
        match known(shape, &path).map(|known| variable(known, text)) {
            Some(Ok(value)) => insert(&mut settings, &path, value),
            Some(Err(expected)) => {
                wrong.push(format!("environment variable {name} must be {expected}"))
            }
            None => wrong.push(format!("unknown environment variable {name}")),
        }
    }
    settings
}

fn known<'a>(shape: &'a Table, path: &[String]) -> Option<&'a Value> {
    match path {
        [name] => shape.get(name).filter(|value| !value.is_table()),
        [section, name] => shape.get(section)?.as_table()?.get(name),
        _ => None,
    }
}

fn variable(known: &Value, text: &str) -> std::result::Result<Value, &'static str> {
    match known {
        Value::String(_) => Ok(text.into()),
        Value::Array(_) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Value::Array(parts.map(Value::from).collect()))
        }
        Value::Float(_) => text.trim().parse().map(Value::Float).map_err(|_| kind(known)),
        Value::Boolean(_) => text.trim().parse().map(Value::Boolean).map_err(|_| kind(known)),
        other => text.trim().parse().map(Value::Integer).map_err(|_| kind(other)),
    }
}

fn insert(settings: &mut Table, path: &[String], value: Value) {
    match path {
        [name] => _ = settings.insert(name.clone(), value),
        [section, name] => {
            let section =
                settings.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(name.clone(), value);
            }
        }
        _ => {}
    }
}
