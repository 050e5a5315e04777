//! Standard Webhooks 1.0.0, symmetric scheme `v1`.
//!
//! The signed bytes are `{webhook-id}.{webhook-timestamp}.{body}`; a signature is `v1,` and base64 of
//! their HMAC-SHA256. While a secret is being rotated, the header carries one signature per secret,
//! separated by spaces.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::Secret;

/// Header with the message's id: the same on each attempt.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the attempt's time in whole seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// How far, in seconds, a receiver lets the timestamp lie from its own clock, either way.
pub const TOLERANCE_S: u64 = 300;

/// Why a receiver refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The timestamp is no number.
    #[error("the timestamp is not a number")]
    Timestamp,
    /// The timestamp is too far from now.
    #[error("the timestamp is more than {TOLERANCE_S} s from now")]
    Stale,
    /// No signature fits.
    #[error("no signature fits the secret")]
    Signature,
}

fn mac(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length, so this arm is never empty-handed.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.key()) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The value of [`SIGNATURE_HEADER`] for an attempt at `timestamp` (seconds).
pub fn sign<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    timestamp: u64,
    body: &[u8],
) -> String {
    let timestamp = timestamp.to_string();
    let mut header = String::with_capacity(48);
    for secret in secrets {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str("v1,");
        STANDARD.encode_string(mac(secret, id, &timestamp, body), &mut header);
    }
    header
}

/// What a receiver does: checks the three headers against its secret at `now` (seconds).
pub fn verify(
    secret: &Secret,
    (id, timestamp, signatures): (&str, &str, &str),
    body: &[u8],
    now: u64,
) -> Result<(), Refused> {
    let sent: u64 = timestamp.parse().map_err(|_| Refused::Timestamp)?;
    if sent.abs_diff(now) > TOLERANCE_S {
        return Err(Refused::Stale);
    }
    let wanted = mac(secret, id, timestamp, body);
    let fits = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).any(|encoded| {
        STANDARD.decode(encoded).is_ok_and(|given| bool::from(given.ct_eq(wanted.as_slice())))
    });
    if fits { Ok(()) } else { Err(Refused::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn secret() -> Secret {
        Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    #[test]
    fn matches_the_published_vector() {
        assert_eq!(
            sign([&secret()], ID, 1_614_265_330, BODY),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn the_public_library_accepts_it_during_rotation() {
        let now = crate::time::Millis::now().0 / 1000;
        let (old, new) = (secret(), Secret::generate());
        let header = sign([&new, &old], ID, now, BODY);
        for secret in [old, new] {
            let oracle = standardwebhooks::Webhook::new(&secret.reveal()).unwrap();
            let mut headers = http::HeaderMap::new();
            headers.insert(ID_HEADER, ID.parse().unwrap());
            headers.insert(TIMESTAMP_HEADER, now.to_string().parse().unwrap());
            headers.insert(SIGNATURE_HEADER, header.parse().unwrap());
            oracle.verify(BODY, &headers).unwrap();
            verify(&secret, (ID, &now.to_string(), &header), BODY, now).unwrap();
        }
    }

    #[test]
    fn refuses_what_is_stale_or_changed() {
        let header = sign([&secret()], ID, 1000, BODY);
        let check = |timestamp: &str, body: &[u8], now| {
            verify(&secret(), (ID, timestamp, &header), body, now)
        };
        assert_eq!(check("1000", BODY, 1300), Ok(()));
        assert_eq!(check("1000", BODY, 1301), Err(Refused::Stale));
        assert_eq!(check("1000", BODY, 699), Err(Refused::Stale));
        assert_eq!(check("1001", BODY, 1000), Err(Refused::Signature));
        assert_eq!(check("1000", b"{}", 1000), Err(Refused::Signature));
        assert_eq!(check("soon", BODY, 1000), Err(Refused::Timestamp));
    }
}
