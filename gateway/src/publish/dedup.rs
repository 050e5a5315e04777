//! Keys under which a message is not published twice.

use std::{fmt::Write, time::Duration};

use sha2::{Digest, Sha256};
use shared::store::{Dedup, Fingerprint};

const HOUR: Duration = Duration::from_secs(3600);
/// Life of the keys that SDKs make up by themselves: long enough for their own repetitions.
const AUTO_LIFETIME: Duration = Duration::from_secs(300);
/// What such keys start with.
const AUTO_PREFIX: &[u8] = b"auto_";
/// Life of all other idempotency keys.
const KEY_LIFETIME: Duration = HOUR.saturating_mul(12);
/// Life of event ids.
const EVENT_LIFETIME: Duration = HOUR.saturating_mul(24);
/// Longer keys are stored as their hash.
const MAX_PLAIN: usize = 64;

/// The key of a request with this `Idempotency-Key` and body.
pub(crate) fn idempotency_key(key: &[u8], body: &[u8]) -> Dedup {
    let lifetime = if key.starts_with(AUTO_PREFIX) { AUTO_LIFETIME } else { KEY_LIFETIME };
    Dedup { key: stored("k", key), fingerprint: fingerprint(body), lifetime }
}

/// The key of an event id.
pub(crate) fn event_key(event_id: &str, payload: &[u8]) -> Dedup {
    Dedup {
        key: stored("e", event_id.as_bytes()),
        fingerprint: fingerprint(payload),
        lifetime: EVENT_LIFETIME,
    }
}

fn fingerprint(bytes: &[u8]) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(&Sha256::digest(bytes)[..16]);
    fingerprint
}

/// Short visible ASCII stays as it is, behind `:`; everything else becomes its hash, behind `#`.
fn stored(kind: &str, key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if text.len() <= MAX_PLAIN && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            format!("{kind}:{text}")
        }
        _ => {
            let mut hashed = format!("{kind}#");
            for byte in Sha256::digest(key) {
                // Writing to a string never fails.
                let _ = write!(hashed, "{byte:02x}");
            }
            hashed
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stored_keys_are_visible_ascii_and_bounded(key: Vec<u8>) {
            let stored = stored("k", &key);
            prop_assert!(stored.len() <= 2 + MAX_PLAIN);
            prop_assert!(stored.bytes().all(|byte| byte.is_ascii_graphic()));
        }

        #[test]
        fn different_keys_stay_different(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(stored("k", &a) == stored("k", &b), a == b);
        }
    }

    #[test]
    fn keys_of_both_kinds_never_meet() {
        assert_ne!(event_key("x", b"").key, idempotency_key(b"x", b"").key);
    }

    #[test]
    fn made_up_keys_live_shorter() {
        assert_eq!(idempotency_key(b"auto_1", b"").lifetime, Duration::from_secs(300));
        assert_eq!(idempotency_key(b"mine", b"").lifetime, Duration::from_secs(12 * 3600));
    }
}
