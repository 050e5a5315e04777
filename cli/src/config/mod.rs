//! The configuration: four layers, one meaning.
//!
//! Owns how settings are found, read and judged. It must never start anything or touch the store.

mod checks;
mod layer;
mod print;
mod settings;
mod traces;

use figment::{Figment, error::Kind};
pub(crate) use settings::{AtRest, LogFormat, LogSettings, Settings, StoreChoice};
pub(crate) use traces::TraceSettings;

use self::layer::Layer;
use crate::{
    arguments::{Flags, Role},
    exit::{Failure, Result},
};

/// The defaults, and their documentation.
const DEFAULTS: &str = include_str!("../default.toml");

/// A configuration that can work.
#[derive(Debug)]
pub(crate) struct Config {
    /// Its meaning.
    pub(crate) settings: Settings,
    /// Its layers, for showing where each setting comes from.
    layers: Figment,
}

impl Config {
    /// Loads and judges the settings for one kind of process.
    pub(crate) fn load(flags: &Flags, role: Role) -> Result<Self> {
        let environment: Vec<_> = std::env::vars_os()
            .map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            })
            .collect();
        Self::from_layers(&layer::all(flags, &environment)?, role)
    }

    fn from_layers(layers: &[Layer], role: Role) -> Result<Self> {
        let layers = layers.iter().fold(Figment::new(), Figment::merge);
        let settings: Settings = layers
            .extract()
            .map_err(|errors| Failure::Config(errors.into_iter().map(unreadable).collect()))?;
        let wrong = checks::contradictions(&settings, role);
        if wrong.is_empty() { Ok(Self { settings, layers }) } else { Err(Failure::Config(wrong)) }
    }

    /// The settings that hold as TOML, with their origins and without secrets.
    pub(crate) fn print(&self) -> Result<String> {
        print::print(&self.layers)
    }
}

/// Which setting cannot be read, why, and where it comes from.
fn unreadable(error: figment::Error) -> String {
    let why = match &error.kind {
        Kind::UnknownVariant(found, known) => format!("`{found}` is none of {}", known.join(", ")),
        other => other.to_string(),
    };
    let origin = error.metadata.map_or("nowhere".into(), |metadata| metadata.name);
    format!("{} ({origin}): {why}", error.path.join("."))
}

#[cfg(test)]
mod tests;
