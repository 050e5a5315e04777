//! The keys that encrypt what is secret in the store: set by the operator, or, for the embedded store,
//! made once and kept in the data directory.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use shared::{
    sealing::{KeyRing, SealError, SealingKey},
    store::SharedStore,
    time::Millis,
};

use crate::{
    config::{AtRest, Settings, StoreChoice},
    endpoints,
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

/// The keys of the settings, or those of the data directory, made now if there are none and nothing in
/// the store is sealed with one that was lost.
///
/// Call it only while holding the store, so that no other process makes some at the same time.
pub(crate) async fn find_or_make(settings: &Settings, store: &SharedStore) -> Result<Keys> {
    if let Some(keys) = find(settings)? {
        return Ok(keys);
    }
    let path = made(settings);
    if let Some(key) = lost(store).await? {
        let path = path.display();
        return Err(Failure::config(format!(
            "secrets in the store are encrypted with the key {key}, and the file that held it, {path}, \
             is missing: bring it back from a backup, or name the key in secrets.keys. If it is lost, \
             run `(umask 077; sluicegate secrets generate-key > {path})`: endpoints whose secrets cannot \
             be read get nothing until their secrets and headers are set anew"
        )));
    }
    private_directory(&settings.data_dir)?;
    private::write(&path, &SealingKey::generate())?;
    kept(&path)
}

/// The id of a key that something in the store is sealed with; `None`: nothing is sealed.
async fn lost(store: &SharedStore) -> Result<Option<String>> {
    let (none, mut missing) = (KeyRing::default(), None);
    endpoints::each(store, |app, endpoint| match endpoint.confidential(app, &none, Millis(0)) {
        Err(SealError::UnknownKey(key)) => {
            missing = Some(key);
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })
    .await?;
    Ok(missing)
}

/// Where the key lies that was made for this data directory.
fn made(settings: &Settings) -> PathBuf {
    settings.data_dir.join(FILE)
}

/// The keys of the settings, or those of the data directory; `None`: there are none yet.
pub(crate) fn find(settings: &Settings) -> Result<Option<Keys>> {
    let secrets = &settings.secrets;
    if secrets.at_rest == AtRest::Plain {
        tracing::warn!(
            "secrets.at_rest is \"plain\": signing secrets and headers of endpoints lie readable in \
             the store"
        );
        let told = "plain: readable for everybody who can read the store".to_owned();
        return Ok(Some(Keys { ring: KeyRing::default(), told }));
    }
    if let Some(ring) = set(settings).map_err(Failure::config)? {
        return Ok(Some(Keys { ring, told: "encrypted, with the configured keys".to_owned() }));
    }
    match settings.store {
        // The checks have refused this before.
        StoreChoice::Redis(_) => Err(Failure::config(MISSING)),
        StoreChoice::Embedded if !made(settings).exists() => Ok(None),
        StoreChoice::Embedded => kept(&made(settings)).map(Some),
    }
}

/// The keys in the file of the data directory.
fn kept(path: &Path) -> Result<Keys> {
    private::check(path)?;
    let ring = read(path).map_err(Failure::config)?;
    let told = format!("encrypted, with the key in {}: back it up", path.display());
    Ok(Keys { ring, told })
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
