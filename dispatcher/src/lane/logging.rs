//! What is logged of attempts: one wide line each. Of those that succeeded a sample; of those that failed
//! one a second of each endpoint, within the quota of all.

use std::time::Duration;

use shared::store::Verdict;
use tokio::time::Instant;

use super::{LaneActor, Seat};
use crate::{attempt::Ended, log::Line, metrics};

/// Between two lines about an endpoint's breaker.
const LOGGED: Duration = Duration::from_secs(60);
/// The same of lines about attempts that failed.
const FAILURES_APART: Duration = Duration::from_secs(1);

impl LaneActor {
    /// Writes the line about an attempt, if this is one to be written.
    pub(super) fn log_attempt(&mut self, ended: &Ended, verdict: &Verdict, now: Instant) {
        let chosen = self.chooses_line(ended, now);
        if chosen.is_none() && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let Ended { delivery, message, record, .. } = ended;
        let shown = self.parts.config.log.payload_bytes;
        let queueing_ms = (record.number == 1)
            .then(|| record.at.since(delivery.began(message.header.due_at())).as_millis() as u64);
        let connect_ms = ended.connecting.map(|took| took.as_millis() as u64);
        let host = ended.route.target.as_ref().and_then(|target| target.url.host_str());
        let next = record.next.map(|next| next.rfc3339());
        let trace_id = ended.trace.as_ref().map(|traced| traced.context().trace_id());
        let trace_id = trace_id.map(tracing::field::display);
        let payload = (shown > 0).then(|| beginning(&message.payload, shown));
        let response = (shown > 0).then(|| beginning(record.response.as_bytes(), shown));
        macro_rules! line {
            ($level:ident, $left_out:expr) => {
                tracing::$level!(
                    app = %delivery.app,
                    endpoint = %delivery.endpoint,
                    message_id = %delivery.message,
                    event_type = message.header.event_type,
                    attempt = record.number,
                    trigger = ?record.trigger,
                    outcome = ended.ruling.outcome.name(),
                    verdict = metrics::name(verdict),
                    status = record.code,
                    host,
                    bytes = message.payload.len(),
                    response_bytes = record.response.len(),
                    queueing_ms,
                    connect_ms,
                    attempt_ms = record.duration_ms,
                    next,
                    trace_id,
                    payload = payload.as_deref(),
                    response = response.as_deref(),
                    left_out = $left_out,
                    "delivery.attempted"
                )
            };
        }
        match chosen {
            Some(left_out) => line!(info, left_out),
            None => line!(debug, None::<u64>),
        }
    }

    /// Whether this one is written at the ordinary level; and how many were left out before it, if that
    /// is told.
    fn chooses_line(&mut self, ended: &Ended, now: Instant) -> Option<Option<u64>> {
        if ended.ruling.is_success() {
            let one_in = self.parts.config.log.successes;
            return (one_in > 0 && rand::random_range(0..one_in) == 0).then_some(None);
        }
        let metrics = &self.parts.metrics;
        let seat = self.seats.get_mut(&ended.delivery.destination());
        if seat.is_some_and(|seat| !seat.failure_line(now)) {
            metrics.leave_out(Line::Attempt);
            return None;
        }
        metrics.line(Line::Attempt).map(Some)
    }
}

impl Seat {
    /// Whether a line about its breaker may be logged now: an endpoint that flaps says so now and then.
    pub(super) fn line(&mut self, now: Instant) -> bool {
        is_apart(&mut self.logged, LOGGED, now)
    }

    /// Whether a line about an attempt that failed may be logged now.
    pub(super) fn failure_line(&mut self, now: Instant) -> bool {
        is_apart(&mut self.failure_logged, FAILURES_APART, now)
    }
}

/// Whether the last one is so long ago; this one is the last then.
fn is_apart(last: &mut Option<Instant>, pause: Duration, now: Instant) -> bool {
    let may = last.is_none_or(|last| now.duration_since(last) >= pause);
    if may {
        *last = Some(now);
    }
    may
}

/// The first bytes of a text, cut where a character ends.
fn beginning(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(most)]);
    match bytes.len() > most {
        true => text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned() + "…",
        false => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::beginning;

    #[test]
    fn a_text_is_cut_where_a_character_ends() {
        assert_eq!(beginning("abc".as_bytes(), 3), "abc");
        assert_eq!(beginning("abc".as_bytes(), 2), "ab…");
        assert_eq!(beginning("aé".as_bytes(), 2), "a…");
        assert_eq!(beginning(b"a\xff", 9), "a\u{fffd}");
    }
}
