//! Secrets at rest: signing secrets and headers of endpoints lie encrypted in the store.
//!
//! A value is sealed with XChaCha20-Poly1305 under a random nonce. What it belongs to is part of what is
//! authenticated, so that a ciphertext which somebody copies to another application, endpoint or field
//! is refused there. Who holds no key writes plainly, and everybody reads what was written plainly.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::id::{AppId, EndpointId};

/// What a sealed text starts with; the number is that of the format.
const PREFIX: &str = "sealed:1:";
const NONCE: usize = 24;
const KEY: usize = 32;

/// A value as it lies in the store. It never shows in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum AtRest<T> {
    /// Written without a key.
    Plain(T),
    /// Encrypted.
    Sealed(Envelope<T>),
}

/// An encrypted value: `sealed:1:<key id>:<base64 of nonce and ciphertext>`. It may be anything behind
/// the prefix until it is opened, so that one that was damaged does no harm to what lies beside it.
pub struct Envelope<T>(String, PhantomData<fn() -> T>);

/// What a value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The application.
    pub app: AppId,
    /// Its endpoint.
    pub endpoint: EndpointId,
    /// The endpoint's field.
    pub field: Field,
}

/// A field whose values are secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// One of its signing secrets.
    Secret,
    /// Its headers.
    Headers,
}

/// Why a value cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed with a key that is not on the ring.
    #[error(
        "it is encrypted with the key {0}, which this process does not have: add that key to secrets.keys"
    )]
    UnknownKey(String),
    /// It was changed, or belongs to something else.
    #[error("its ciphertext was changed, or belongs to something else: set it anew")]
    Refused,
    /// It cannot be encrypted.
    #[error("it cannot be encrypted")]
    Unsealable,
}

/// A text that is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a key: expected base64 of 32 bytes, as `sluicegate secrets generate-key` prints it")]
pub struct InvalidKey;

/// A key of the ring.
#[derive(Clone)]
pub struct SealingKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// Keys: the first one seals, all of them open. An empty ring leaves everything plain.
#[derive(Debug, Clone, Default)]
pub struct KeyRing(Vec<SealingKey>);

impl SealingKey {
    /// The text of a new key.
    pub fn generate() -> String {
        STANDARD.encode(rand::random::<[u8; KEY]>())
    }

    /// Reads the text of a key.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let key = STANDARD.decode(text.trim()).map_err(|_| InvalidKey)?;
        let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| InvalidKey)?;
        // Made of the key itself, so that nobody can give two keys one name.
        let digest = Sha256::new().chain_update("sluicegate key id").chain_update(&key).finalize();
        let id = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, cipher })
    }

    /// Its name in what it sealed.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

impl KeyRing {
    /// A ring of these keys.
    pub fn new(keys: Vec<SealingKey>) -> Self {
        Self(keys)
    }

    /// Its keys, the one that seals first.
    pub fn keys(&self) -> &[SealingKey] {
        &self.0
    }

    /// The value as it is to lie in the store.
    pub fn seal<T: Serialize>(&self, place: Place, value: T) -> Result<AtRest<T>, SealError> {
        let Some(key) = self.0.first() else { return Ok(AtRest::Plain(value)) };
        let msg = serde_json::to_vec(&value).map_err(|_| SealError::Unsealable)?;
        let nonce = rand::random::<[u8; NONCE]>();
        let payload = Payload { msg: &msg, aad: &place.bound() };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| SealError::Unsealable)?;
        let text = STANDARD.encode([&nonce[..], &sealed].concat());
        Ok(AtRest::Sealed(Envelope(format!("{PREFIX}{}:{text}", key.id), PhantomData)))
    }

    /// The value that lies in the store.
    pub fn open<T: DeserializeOwned + Clone>(
        &self,
        place: Place,
        value: &AtRest<T>,
    ) -> Result<T, SealError> {
        let envelope = match value {
            AtRest::Plain(value) => return Ok(value.clone()),
            AtRest::Sealed(envelope) => envelope,
        };
        let (id, text) = envelope.parts().ok_or(SealError::Refused)?;
        let key = self.0.iter().find(|key| key.id == id);
        // An id that was damaged may hold anything: what is shown is short.
        let unknown = || SealError::UnknownKey(id.chars().take(16).collect());
        let key = key.ok_or_else(unknown)?;
        let bytes = STANDARD.decode(text).map_err(|_| SealError::Refused)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(SealError::Refused)?;
        let payload = Payload { msg: sealed, aad: &place.bound() };
        let opened = key.cipher.decrypt(&XNonce::from(*nonce), payload);
        let opened = opened.map_err(|_| SealError::Refused)?;
        serde_json::from_slice(&opened).map_err(|_| SealError::Refused)
    }

    /// Whether the value lies there as it would if it were written now.
    pub fn is_current<T>(&self, value: &AtRest<T>) -> bool {
        match (self.0.first(), value) {
            (None, _) => true,
            (Some(_), AtRest::Plain(_)) => false,
            (Some(key), AtRest::Sealed(envelope)) => {
                envelope.parts().is_some_and(|(id, _)| id == key.id)
            }
        }
    }
}

impl Place {
    /// What a ciphertext is bound to.
    fn bound(self) -> Vec<u8> {
        let field = match self.field {
            Field::Secret => "secret",
            Field::Headers => "headers",
        };
        format!("sluicegate endpoint {} {} {field}", self.app, self.endpoint).into_bytes()
    }
}

impl<T> Envelope<T> {
    /// The key's id, and the rest.
    fn parts(&self) -> Option<(&str, &str)> {
        self.0.strip_prefix(PREFIX)?.split_once(':')
    }
}

impl<T> Clone for Envelope<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T> PartialEq for Envelope<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Envelope<T> {}

impl<K: Ord, V> AtRest<BTreeMap<K, V>> {
    /// Whether it is known to hold nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Plain(map) if map.is_empty())
    }
}

impl<T> From<T> for AtRest<T> {
    fn from(value: T) -> Self {
        Self::Plain(value)
    }
}

impl<T: Default> Default for AtRest<T> {
    fn default() -> Self {
        Self::Plain(T::default())
    }
}

impl<T> fmt::Debug for AtRest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Serialize> Serialize for AtRest<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Sealed(envelope) => serializer.serialize_str(&envelope.0),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for AtRest<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match value {
            serde_json::Value::String(text) if text.starts_with(PREFIX) => {
                Ok(Self::Sealed(Envelope(text, PhantomData)))
            }
            // The error must not repeat the value.
            plain => serde_json::from_value(plain)
                .map(Self::Plain)
                .map_err(|_| de::Error::custom("a secret value cannot be read")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[&str]) -> KeyRing {
        KeyRing::new(keys.iter().map(|key| SealingKey::parse(key).unwrap()).collect())
    }

    fn place() -> Place {
        Place { app: AppId::new(), endpoint: EndpointId::new(), field: Field::Secret }
    }

    #[test]
    fn what_is_sealed_is_opened_in_its_place_only() {
        let (ring, place) = (ring(&[&SealingKey::generate()]), place());
        let sealed = ring.seal(place, "canary".to_owned()).unwrap();
        let json = serde_json::to_string(&sealed).unwrap();
        assert!(json.starts_with("\"sealed:1:") && !json.contains("canary"), "{json}");
        let read: AtRest<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(ring.open(place, &read), Ok("canary".to_owned()));
        for other in [
            Place { app: AppId::new(), ..place },
            Place { endpoint: EndpointId::new(), ..place },
            Place { field: Field::Headers, ..place },
        ] {
            assert_eq!(ring.open(other, &read), Err(SealError::Refused));
        }
        assert_ne!(ring.seal(place, "canary".to_owned()).unwrap(), read, "nonces are random");
    }

    #[test]
    fn the_first_key_seals_and_all_of_them_open() {
        let (old, new, place) = (SealingKey::generate(), SealingKey::generate(), place());
        let before = ring(&[&old]).seal(place, 1).unwrap();
        let both = ring(&[&new, &old]);
        assert_eq!(both.open(place, &before), Ok(1));
        assert!(!both.is_current(&before) && !both.is_current(&AtRest::Plain(1)));
        let after = both.seal(place, 1).unwrap();
        assert!(both.is_current(&after));
        assert_eq!(ring(&[&new]).open(place, &after), Ok(1));
        let id = SealingKey::parse(&old).unwrap().id().to_owned();
        assert_eq!(ring(&[&new]).open(place, &before), Err(SealError::UnknownKey(id)));
    }

    #[test]
    fn damaged_ciphertexts_are_refused_and_only_when_they_are_opened() {
        let (ring, place) = (ring(&[&SealingKey::generate()]), place());
        let json = serde_json::to_string(&ring.seal(place, 1).unwrap()).unwrap();
        let id = ring.keys()[0].id();
        for (damaged, error) in [
            (
                json.replacen("\"sealed:1:", "\"sealed:1:x", 1),
                SealError::UnknownKey(format!("x{id}")),
            ),
            (flipped(&json), SealError::Refused),
            ("\"sealed:1:\"".to_owned(), SealError::Refused),
            (format!("\"sealed:1:{id}:AAAA\""), SealError::Refused),
            (format!("\"sealed:1:{id}:%\""), SealError::Refused),
        ] {
            let read: AtRest<i32> = serde_json::from_str(&damaged).unwrap();
            assert_eq!(ring.open(place, &read), Err(error), "{damaged}");
        }
    }

    /// Another character somewhere in the ciphertext.
    fn flipped(json: &str) -> String {
        let at = json.len() - 12;
        let other = if &json[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &json[..at], &json[at + 1..])
    }

    #[test]
    fn without_a_key_all_is_plain() {
        let plain = KeyRing::default().seal(place(), 1).unwrap();
        assert_eq!(plain, AtRest::Plain(1));
        assert!(KeyRing::default().is_current(&plain));
        assert_eq!(serde_json::to_string(&plain).unwrap(), "1");
    }

    #[test]
    fn keys_and_values_do_not_show() {
        let key = SealingKey::generate();
        assert!(!format!("{:?}", ring(&[&key])).contains(&key));
        assert_eq!(format!("{:?}", AtRest::Plain("canary")), "***");
        assert!(SealingKey::parse("short").is_err() && SealingKey::parse("").is_err());
    }
}
