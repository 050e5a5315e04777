//! What is secret of an endpoint: put in sealed, taken out opened.

use std::collections::BTreeMap;

use super::{Endpoint, Secret, SigningSecret};
use crate::{
    id::AppId,
    sealing::{Field, KeyRing, Place, SealError},
    time::Millis,
};

/// Headers by name.
pub type Headers = BTreeMap<String, String>;

/// What is secret of an endpoint, opened.
#[derive(Debug, Clone)]
pub struct Confidential {
    /// Headers sent with each attempt.
    pub headers: Headers,
    /// The secrets that have not expired, newest first.
    pub secrets: Vec<SigningSecret<Secret>>,
}

impl Endpoint {
    /// All that is secret, but for what has expired.
    pub fn confidential(
        &self,
        app: AppId,
        ring: &KeyRing,
        now: Millis,
    ) -> Result<Confidential, SealError> {
        let current = self.secrets.iter().filter(|signing| signing.signs_at(now));
        let secrets = current.map(|signing| self.open_secret(app, ring, signing));
        Ok(Confidential {
            headers: self.open_headers(app, ring)?,
            secrets: secrets.collect::<Result<_, _>>()?,
        })
    }

    /// The headers.
    pub fn open_headers(&self, app: AppId, ring: &KeyRing) -> Result<Headers, SealError> {
        ring.open(self.place(app, Field::Headers), &self.headers)
    }

    /// Replaces the headers.
    pub fn seal_headers(
        &mut self,
        app: AppId,
        ring: &KeyRing,
        headers: Headers,
    ) -> Result<(), SealError> {
        self.headers = match headers.is_empty() {
            true => headers.into(),
            false => ring.seal(self.place(app, Field::Headers), headers)?,
        };
        Ok(())
    }

    /// One of its secrets.
    pub fn open_secret(
        &self,
        app: AppId,
        ring: &KeyRing,
        signing: &SigningSecret,
    ) -> Result<SigningSecret<Secret>, SealError> {
        let secret = ring.open(self.place(app, Field::Secret), &signing.secret)?;
        Ok(SigningSecret { secret, expires_at: signing.expires_at })
    }

    /// Makes this the newest secret, which does not expire.
    pub fn seal_secret(
        &mut self,
        app: AppId,
        ring: &KeyRing,
        secret: Secret,
    ) -> Result<(), SealError> {
        let secret = ring.seal(self.place(app, Field::Secret), secret)?;
        self.secrets.insert(0, SigningSecret { secret, expires_at: None });
        Ok(())
    }

    /// Seals anew what was written plainly or with another key than the first one; whether there was
    /// any. If something cannot be opened, nothing is changed.
    pub fn rewrap(&mut self, app: AppId, ring: &KeyRing) -> Result<bool, SealError> {
        let mut new = self.clone();
        if !self.headers.is_empty() && !ring.is_current(&self.headers) {
            new.seal_headers(app, ring, self.open_headers(app, ring)?)?;
        }
        for (old, new) in self.secrets.iter().zip(&mut new.secrets) {
            if !ring.is_current(&old.secret) {
                let opened = self.open_secret(app, ring, old)?;
                new.secret = ring.seal(self.place(app, Field::Secret), opened.secret)?;
            }
        }
        let changed = new != *self;
        *self = new;
        Ok(changed)
    }

    fn place(&self, app: AppId, field: Field) -> Place {
        Place { app, endpoint: self.id, field }
    }
}
