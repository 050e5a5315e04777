//! Points in time as the records carry them: whole milliseconds since the Unix epoch.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. In records a number, in the API an RFC 3339 text ([`Millis::rfc3339`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The system's clock. Good for records and schedules, never for leases.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(since.unwrap_or_default().as_millis() as u64)
    }

    /// This much later.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis() as u64))
    }

    /// How long from `earlier` to this; zero if it lies before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// For example `2026-11-23T09:18:09.123Z`.
    pub fn rfc3339(self) -> String {
        Timestamp::from_millisecond(self.0 as i64)
            .map(|time| format!("{time:.3}"))
            .unwrap_or_default()
    }

    /// Reads an RFC 3339 text with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        let time: Timestamp = text.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok().map(Self)
    }
}

impl fmt::Debug for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Reads a duration such as `10s`, `1m 30s`, `500ms` or `3d`, a day being 24 hours; `None` if it is
/// none, or negative.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}

/// For `#[serde(with = "…")]`: durations as texts such as `10s`.
pub mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{Duration, SignedDuration, parse_duration};

    /// Writes a duration.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let duration = SignedDuration::try_from(*duration).unwrap_or(SignedDuration::MAX);
        serializer.collect_str(&format_args!("{duration:#}"))
    }

    /// Reads a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).ok_or_else(|| D::Error::custom("expected a duration such as 10s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parse_duration("1m 30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("3d"), Some(Duration::from_secs(3 * 86_400)));
        assert_eq!(parse_duration("-1s"), None);
        assert_eq!(parse_duration("10"), None);
    }

    #[test]
    fn rfc3339_round_trips() {
        let time = Millis(1_763_889_489_123);
        assert_eq!(time.rfc3339(), "2025-11-23T09:18:09.123Z");
        assert_eq!(Millis::parse(&time.rfc3339()), Some(time));
        assert_eq!(Millis::parse("2025-11-23T10:18:09.123+01:00"), Some(time));
        assert_eq!(Millis::parse("yesterday"), None);
    }
}
