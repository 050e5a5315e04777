//! The tracer: decides what is recorded, and hands it on without ever waiting.

use std::{fmt, sync::Arc};

use tokio::sync::mpsc;

use super::{Span, TraceContext};

/// How traces are made and passed on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The share of messages without a context for which a trace begins, 0.0 to 1.0.
    pub ratio: f64,
    /// Spans that may wait for the exporter; what is beyond is dropped.
    pub queue: usize,
}

/// The end of the queue where spans go in. Cloned freely; the default one records nothing, and passes
/// contexts on.
#[derive(Clone)]
pub struct Tracer {
    recorder: Option<Arc<Recorder>>,
    accepts: bool,
    sends: bool,
}

struct Recorder {
    ratio: f64,
    queue: mpsc::Sender<Span>,
    dropped: prometheus::IntCounter,
}

/// The end where they come out. It ends with the last tracer.
pub type Spans = mpsc::Receiver<Span>;

impl Default for Tracer {
    fn default() -> Self {
        Self { recorder: None, accepts: true, sends: true }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recorder, accepts, sends } = self;
        write!(f, "Tracer(records: {}, accepts: {accepts}, sends: {sends})", recorder.is_some())
    }
}

impl Tracer {
    /// One that takes contexts over from requests or not, and sends them on to receivers or not.
    pub fn new(accepts: bool, sends: bool) -> Self {
        Self { recorder: None, accepts, sends }
    }

    /// The same, and records. `dropped` counts the spans for which there was no room.
    pub fn recording(self, sampling: Sampling, dropped: prometheus::IntCounter) -> (Self, Spans) {
        let (queue, spans) = mpsc::channel(sampling.queue.max(1));
        let recorder = Arc::new(Recorder { ratio: sampling.ratio, queue, dropped });
        (Self { recorder: Some(recorder), ..self }, spans)
    }

    /// Whether the context of a request is taken over.
    pub fn accepts(&self) -> bool {
        self.accepts
    }

    /// Whether a receiver is told the context.
    pub fn sends(&self) -> bool {
        self.sends
    }

    /// A new trace, if one is to begin here.
    pub fn root(&self) -> Option<TraceContext> {
        let ratio = self.recorder.as_ref()?.ratio;
        (ratio > 0.0 && rand::random::<f64>() < ratio).then(TraceContext::root)
    }

    /// A span below this one, if it is to be recorded.
    pub fn child(&self, parent: Option<&TraceContext>) -> Option<TraceContext> {
        let parent = parent.filter(|parent| parent.is_sampled())?;
        self.recorder.as_ref().map(|_| parent.child())
    }

    /// Hands on a span; drops it if too many wait.
    pub fn record(&self, span: Span) {
        if let Some(recorder) = &self.recorder
            && recorder.queue.try_send(span).is_err()
        {
            recorder.dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::trace::Stage;

    fn recording(ratio: f64) -> (Tracer, Spans, prometheus::IntCounter) {
        let dropped = prometheus::IntCounter::new("dropped", "dropped").unwrap();
        let sampling = Sampling { ratio, queue: 2 };
        let (tracer, spans) = Tracer::default().recording(sampling, dropped.clone());
        (tracer, spans, dropped)
    }

    #[test]
    fn a_tracer_that_is_off_begins_and_continues_nothing() {
        let (tracer, sampled) = (Tracer::default(), TraceContext::root());
        assert_eq!((tracer.root(), tracer.child(Some(&sampled))), (None, None));
    }

    #[test]
    fn only_sampled_traces_are_continued() {
        let (tracer, ..) = recording(0.0);
        let text = TraceContext::root().to_string();
        let unsampled = text.replace("-01", "-00").parse().unwrap();
        assert!(tracer.root().is_none() && tracer.child(None).is_none());
        assert!(tracer.child(Some(&unsampled)).is_none());
        assert!(tracer.child(Some(&TraceContext::root())).is_some());
        assert!(recording(1.0).0.root().is_some());
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let (tracer, mut spans, dropped) = recording(1.0);
        for _ in 0..5 {
            let context = TraceContext::root();
            tracer.record(Span::until_now(Stage::Pull, context, SystemTime::now()));
        }
        assert_eq!(dropped.get(), 3);
        assert!(spans.try_recv().is_ok());
        tracer.record(Span::until_now(Stage::Pull, TraceContext::root(), SystemTime::now()));
        assert_eq!(dropped.get(), 3);
    }
}
