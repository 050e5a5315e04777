//! Whether this process should get traffic, and if not, why.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use shared::{health::Probe, store::SharedStore};
use tokio::{sync::watch, time};

const ASK_EVERY: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// An answer older than this says nothing any more.
const FRESH_FOR: Duration = Duration::from_secs(6);

/// What the store said when it was last asked.
#[derive(Debug, Clone)]
struct Answer {
    at: Instant,
    wrong: Option<String>,
}

/// Collects what must be alive. Cheap to clone and to ask.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    probes: Arc<[Probe]>,
    store: watch::Receiver<Answer>,
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    /// Watches the parts by their probes and the store by asking it again and again, in a task that
    /// lives as long as the runtime or until it is aborted.
    pub(crate) fn watch(
        probes: Vec<Probe>,
        store: SharedStore,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let unknown = Answer { at: Instant::now(), wrong: Some("store: not asked yet".to_owned()) };
        let (answers, store_answer) = watch::channel(unknown);
        let asking = actix_rt::spawn(async move {
            loop {
                let wrong = ask(&store).await.err();
                answers.send_replace(Answer { at: Instant::now(), wrong });
                time::sleep(ASK_EVERY).await;
            }
        });
        let readiness =
            Self { probes: probes.into(), store: store_answer, stopping: Arc::default() };
        (readiness, asking)
    }

    /// From now on not ready: the first step of stopping.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What is wrong; empty: ready.
    pub(crate) fn wrong(&self) -> Vec<String> {
        if self.stopping.load(Ordering::Relaxed) {
            // Parts that have ended by then are no news.
            return vec!["stopping".to_owned()];
        }
        let mut wrong = Vec::new();
        let answer = self.store.borrow().clone();
        let age = answer.at.elapsed();
        if let Some(what) = answer.wrong {
            wrong.push(what);
        } else if age > FRESH_FOR {
            wrong.push(format!("store: last answered {} s ago", age.as_secs()));
        }
        wrong.extend(
            self.probes.iter().filter_map(|probe| {
                probe.check().err().map(|what| format!("{}: {what}", probe.name))
            }),
        );
        wrong
    }
}

async fn ask(store: &SharedStore) -> Result<(), String> {
    match time::timeout(ANSWER_WITHIN, store.ready()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("store: {error}")),
        Err(_) => Err(format!("store: no answer within {ANSWER_WITHIN:?}")),
    }
}
