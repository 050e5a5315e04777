//! The keys that encrypt what is secret in the store: set by the operator, or, for the embedded store,
//! made once and kept in the data directory.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use shared::sealing::{KeyRing, SealingKey};

use crate::{
    config::{AtRest, Settings, StoreChoice},
    exit::{Failure, Result},
    private::{self, private_directory},
};

const FILE: &str = "secrets-keys";

/// The keys, and what people need to know about them.
pub(crate) struct Keys {
    pub(crate) ring: KeyRing,
    /// How secrets lie in the store.
    pub(crate) told: String,
}

/// The keys of the settings, or those of the data directory, made now if there are none.
///
/// Call it only while holding the store, so that no other process makes some at the same time.
pub(crate) fn find_or_make(settings: &Settings) -> Result<Keys> {
    let secrets = &settings.secrets;
    if secrets.at_rest == AtRest::Plain {
        tracing::warn!(
            "secrets.at_rest is \"plain\": signing secrets and headers of endpoints lie readable in \
             the store"
        );
        let told = "plain: readable for everybody who can read the store".to_owned();
        return Ok(Keys { ring: KeyRing::default(), told });
    }
    if let Some(ring) = set(settings).map_err(Failure::config)? {
        return Ok(Keys { ring, told: "encrypted, with the configured keys".to_owned() });
    }
    match settings.store {
        // The checks have refused this before.
        StoreChoice::Redis(_) => Err(Failure::config(MISSING)),
        StoreChoice::Embedded => {
            let path = settings.data_dir.join(FILE);
            if !path.exists() {
                private_directory(&settings.data_dir)?;
                private::write(&path, &SealingKey::generate())?;
            }
            private::check(&path)?;
            let ring = read(&path).map_err(Failure::config)?;
            let told = format!("encrypted, with the key in {}: back it up", path.display());
            Ok(Keys { ring, told })
        }
    }
}

/// What is to be done where no key is set and none can be made.
pub(crate) const MISSING: &str = "secrets in Redis are encrypted, and there is no key: make one with `sluicegate secrets \
     generate-key` and give it to all gateways and dispatchers as SLUICEGATE_SECRETS__KEYS or \
     secrets.keys_file; secrets.at_rest = \"plain\" stores them readable instead";

/// The keys that the settings name, if any.
pub(crate) fn set(settings: &Settings) -> std::result::Result<Option<KeyRing>, String> {
    let secrets = &settings.secrets;
    if !secrets.keys_file.as_os_str().is_empty() {
        return read(&secrets.keys_file).map(Some);
    }
    if secrets.keys.is_empty() {
        return Ok(None);
    }
    parse(secrets.keys.iter().map(SecretString::expose_secret), "secrets.keys").map(Some)
}

/// Reads a file of keys, one a line. Lines that start with # are comments.
fn read(path: &Path) -> std::result::Result<KeyRing, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the key file {} cannot be read: {error}", path.display()))?;
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    parse(lines, &format!("the key file {}", path.display()))
}

/// The error never repeats a key.
fn parse<'a>(
    keys: impl Iterator<Item = &'a str>,
    origin: &str,
) -> std::result::Result<KeyRing, String> {
    let parsed = keys.enumerate().map(|(at, key)| {
        SealingKey::parse(key).map_err(|error| format!("{origin}, key {}: {error}", at + 1))
    });
    let ring = KeyRing::new(parsed.collect::<std::result::Result<_, _>>()?);
    if ring.keys().is_empty() { Err(format!("{origin} holds no key")) } else { Ok(ring) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_hold_several_keys_and_comments() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let (new, old) = (SealingKey::generate(), SealingKey::generate());
        std::fs::write(&path, format!("# since May\n{new}\n\n  {old}\n")).unwrap();
        let ring = read(&path).unwrap();
        let ids: Vec<_> = ring.keys().iter().map(|key| key.id().to_owned()).collect();
        assert_eq!(ids, [&new, &old].map(|key| SealingKey::parse(key).unwrap().id().to_owned()));
        for wrong in ["", "# nothing\n", "canary\n"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(!read(&path).unwrap_err().contains("canary"));
        }
    }
}
