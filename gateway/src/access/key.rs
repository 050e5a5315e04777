//! What an API key looks like: `sgk_`, 10 characters of id, 32 of secret and 6 of checksum, all of them
//! letters and digits. The secret has 190 random bits.
//!
//! The checksum tells a mistyped or made-up key from a real one without asking the store, and lets
//! scanners of source code recognise a leaked one. It is the xxh3-64 of all that stands before it, in
//! base 62, its last 6 digits, the greatest first.

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use xxhash_rust::xxh3::xxh3_64;

const PREFIX: &str = "sgk_";
const ID: usize = 10;
pub(super) const SECRET: usize = 32;
const CHECKSUM: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key that was shown, or has just been made.
#[derive(Debug)]
pub(crate) struct Key(SecretString);

impl Key {
    pub(crate) fn generate() -> Self {
        let text = format!("{PREFIX}{}{}", random(ID), secret());
        let checksum = checksum(&text);
        Self((text + &checksum).into())
    }

    /// The key, if this is one: right in length, alphabet and checksum.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let body = text.strip_prefix(PREFIX)?;
        let fits = body.len() == ID + SECRET + CHECKSUM
            && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (shown, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
        (fits && checksum(shown) == sum).then(|| Self(text.into()))
    }

    /// Its public part.
    pub(crate) fn id(&self) -> &str {
        &self.0.expose_secret()[PREFIX.len()..PREFIX.len() + ID]
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> String {
        STANDARD.encode(Sha256::digest(self.0.expose_secret()))
    }

    /// Whether it is the key of which this was stored. Takes the same time for all that is not.
    pub(crate) fn has_hash(&self, stored: &str) -> bool {
        self.hash().as_bytes().ct_eq(stored.as_bytes()).into()
    }

    /// The whole text, for its owner's eyes only.
    pub(crate) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The secret part of a key or token.
pub(super) fn secret() -> String {
    random(SECRET)
}

fn random(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(DIGITS[rng.random_range(0..DIGITS.len())])).collect()
}

fn checksum(text: &str) -> String {
    let mut hash = xxh3_64(text.as_bytes());
    let mut digits = [0; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(hash % 62) as usize];
        hash /= 62;
    }
    digits.map(char::from).iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_and_nothing_else() {
        let key = Key::generate();
        let text = key.reveal();
        let read = Key::parse(text.as_bytes()).unwrap();
        assert_eq!((read.id(), read.reveal()), (key.id(), text));
        assert!(read.has_hash(&key.hash()));
        assert!(!Key::generate().has_hash(&key.hash()));
        for wrong in
            [&text[1..], &text[..text.len() - 1], "", "sgk_", &text.replace("sgk_", "sgx_")]
        {
            assert!(Key::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
        for place in 0..text.len() {
            let mut wrong = text.as_bytes().to_vec();
            wrong[place] = if wrong[place] == b'a' { b'b' } else { b'a' };
            assert!(Key::parse(&wrong).is_none(), "a slip at {place} goes through");
        }
    }

    #[test]
    fn the_checksum_is_the_same_in_every_version() {
        assert_eq!(checksum("sgk_0123456789"), "E7NU6c");
    }

    #[test]
    fn it_does_not_show() {
        let key = Key::generate();
        assert!(!format!("{key:?}").contains(&key.reveal()[PREFIX.len()..]));
    }
}
