//! How the sink answers, by path.
//!
//! | path | answer |
//! |---|---|
//! | `/ok` | 200 |
//! | `/status/503` | that status |
//! | `/gone` | 410 |
//! | `/slow/250` | 200 after so many milliseconds |
//! | `/hang` | none, ever |
//! | `/fail/2` | 503 to the first two attempts of each delivery, then 200 |
//! | `/flaky/10` | 503 to the first attempt of one in ten messages, else 200 |
//! | `/random/20` | 503 to 20 of 100 attempts, picked by id and attempt, else 200 |
//! | `/picky/20` | the same with 409: no sign that the receiver is down |
//! | `/retry-after/3` | 429 with `Retry-After: 3` to the first attempt of each delivery, then 200 |

use std::time::Duration;

use actix_web::http::StatusCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Status(u16),
    Slow(Duration),
    Hang,
    Fail(u32),
    Flaky(u64),
    Random(u64),
    Picky(u64),
    RetryAfter(u32),
}

impl Behaviour {
    /// What this path asks for; none if it is no behaviour.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let mut segments = path.trim_matches('/').split('/');
        let name = segments.next()?;
        let number = segments.next();
        if segments.next().is_some() {
            return None;
        }
        Some(match (name, number) {
            ("ok", None) => Self::Status(200),
            ("gone", None) => Self::Status(410),
            ("hang", None) => Self::Hang,
            ("status", Some(status)) => {
                Self::Status(StatusCode::from_bytes(status.as_bytes()).ok()?.as_u16())
            }
            ("slow", Some(delay)) => Self::Slow(Duration::from_millis(delay.parse().ok()?)),
            ("fail", Some(attempts)) => Self::Fail(attempts.parse().ok()?),
            ("flaky", Some(one_in)) => Self::Flaky(one_in.parse().ok().filter(|n| *n > 0)?),
            ("random", Some(percent)) => Self::Random(percent.parse().ok().filter(|n| *n <= 100)?),
            ("picky", Some(percent)) => Self::Picky(percent.parse().ok().filter(|n| *n <= 100)?),
            ("retry-after", Some(seconds)) => Self::RetryAfter(seconds.parse().ok()?),
            _ => return None,
        })
    }

    /// Whether each delivery is accepted sooner or later.
    pub(crate) fn delivers(self) -> bool {
        match self {
            Self::Status(status) => (200..300).contains(&status),
            Self::Random(percent) | Self::Picky(percent) => percent < 100,
            Self::Hang => false,
            Self::Slow(_) | Self::Fail(_) | Self::Flaky(_) | Self::RetryAfter(_) => true,
        }
    }

    /// What an attempt of a delivery is answered.
    pub(crate) fn status(self, webhook_id: &str, attempt: u32) -> u16 {
        match self {
            Self::Status(status) => status,
            Self::Slow(_) => 200,
            Self::Hang => 0,
            Self::Fail(attempts) if attempt <= attempts => 503,
            Self::Flaky(one_in) if attempt == 1 && spread(webhook_id).is_multiple_of(one_in) => 503,
            Self::Random(percent) if picks(percent, webhook_id, attempt) => 503,
            Self::Picky(percent) if picks(percent, webhook_id, attempt) => 409,
            Self::RetryAfter(_) if attempt == 1 => 429,
            Self::Fail(_)
            | Self::Flaky(_)
            | Self::Random(_)
            | Self::Picky(_)
            | Self::RetryAfter(_) => 200,
        }
    }
}

/// Whether this attempt is one of so many in a hundred.
fn picks(percent: u64, webhook_id: &str, attempt: u32) -> bool {
    spread(&format!("{attempt}.{webhook_id}")) % 100 < percent
}

/// A number that is the same for the same id in every run, and spread evenly over ids (FNV-1a).
fn spread(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
