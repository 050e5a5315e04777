//! The API's bearer token: set by the operator, or made once and kept in the data directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    config::Settings,
    exit::{Failure, Result},
    private::{self, private_directory},
};

const FILE: &str = "api-token";
const SHORTEST: usize = 16;

/// What a token must be.
pub(crate) const RULE: &str = "must be at least 16 visible ASCII characters: make a longer one";

/// The token, and what people need to know about it.
#[derive(Debug)]
pub(crate) struct ApiToken {
    /// The token.
    pub(crate) secret: SecretString,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

/// Where a token comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// The settings hold it.
    Settings,
    /// It lies in this file.
    File(PathBuf),
    /// It was just made, and lies in this file.
    Made(PathBuf),
}

/// Whether nobody will guess it.
pub(crate) fn is_strong(token: &str) -> bool {
    token.len() >= SHORTEST && token.bytes().all(|byte| byte.is_ascii_graphic())
}

impl ApiToken {
    /// The token of the settings, or that of the data directory, made now if there is none.
    ///
    /// Call it only while holding the store, so that no other process makes one at the same time.
    pub(crate) fn find_or_make(settings: &Settings) -> Result<Self> {
        if !settings.api_token.expose_secret().is_empty() {
            return Ok(Self { secret: settings.api_token.clone(), origin: Origin::Settings });
        }
        if !settings.api_token_file.as_os_str().is_empty() {
            let path = settings.api_token_file.clone();
            return Ok(Self {
                secret: read(&path).map_err(Failure::config)?,
                origin: Origin::File(path),
            });
        }
        let path = settings.data_dir.join(FILE);
        if !path.exists() {
            private_directory(&settings.data_dir)?;
            return Ok(Self { secret: make(&path)?, origin: Origin::Made(path) });
        }
        private::check(&path)?;
        Ok(Self { secret: read(&path).map_err(Failure::config)?, origin: Origin::File(path) })
    }
}

/// The token that a client of the server shows: never makes one.
pub(crate) fn find(settings: &Settings) -> Result<SecretString> {
    if !settings.api_token.expose_secret().is_empty() {
        return Ok(settings.api_token.clone());
    }
    let made = settings.data_dir.join(FILE);
    let path = match settings.api_token_file.as_os_str().is_empty() {
        true if !made.exists() => {
            return Err(Failure::config(
                "the server's API token is needed: set SLUICEGATE_API_TOKEN or api_token_file",
            ));
        }
        true => &made,
        false => &settings.api_token_file,
    };
    read(path).map_err(Failure::config)
}

/// Reads a token file; the error says what to do.
pub(crate) fn read(path: &Path) -> std::result::Result<SecretString, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("the token file {} cannot be read: {error}", path.display()))?;
    let token = text.trim();
    if is_strong(token) {
        Ok(token.to_owned().into())
    } else {
        Err(format!("the token in {} {RULE}", path.display()))
    }
}

fn make(path: &Path) -> Result<SecretString> {
    let token = format!("sg_{:032x}{:016x}", rand::random::<u128>(), rand::random::<u64>());
    private::write(path, &token)?;
    Ok(token.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_is_made_is_strong_private_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let made = make(&path).unwrap();
        assert!(is_strong(made.expose_secret()));
        assert!(made.expose_secret().starts_with("sg_"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        private::check(&path).unwrap();
        assert_eq!(read(&path).unwrap().expose_secret(), made.expose_secret());
    }

    #[test]
    fn weak_tokens_are_refused() {
        assert!(!is_strong("sg_short"));
        assert!(!is_strong("sixteen letters with spaces"));
        assert!(is_strong("0123456789abcdef"));
    }
}
