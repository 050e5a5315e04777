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

    /// What is wrong; empty: ready. Once it is stopping, parts are expected to end.
    pub(crate) fn wrong(&self) -> Vec<String> {
        if self.stopping.load(Ordering::Relaxed) {
            return vec!["stopping".to_owned()];
        }
        let answer = self.store.borrow().clone();
        let age = answer.at.elapsed();
        let store = match answer.wrong {
            Some(what) => Some(what),
            None if age > FRESH_FOR => {
                Some(format!("store: last answered {} s ago", age.as_secs()))
            }
            None => None,
        };
        store.into_iter().chain(self.dead()).collect()
    }

    /// All parts, and whether each is well.
    pub(crate) fn parts(&self) -> Vec<(String, bool)> {
        let store = self.store.borrow().clone();
        let answers = store.wrong.is_none() && store.at.elapsed() <= FRESH_FOR;
        let mut parts = vec![("store".to_owned(), answers)];
        for probe in self.probes.iter() {
            let well = probe.check().is_ok();
            match parts.iter_mut().find(|(name, _)| *name == probe.name) {
                Some((_, all_well)) => *all_well &= well,
                None => parts.push((probe.name.clone(), well)),
            }
        }
        parts
    }

    /// Parts that have died.
    fn dead(&self) -> impl Iterator<Item = String> {
        self.probes
            .iter()
            .filter_map(|probe| probe.check().err().map(|what| format!("{}: {what}", probe.name)))
    }

    /// Waits until a part dies, and answers which. A dead part never comes back: only another process
    /// can help.
    pub(crate) async fn death(&self) -> String {
        loop {
            if let Some(dead) = self.dead().next() {
                return dead;
            }
            time::sleep(ASK_EVERY).await;
        }
    }
}

async fn ask(store: &SharedStore) -> Result<(), String> {
    match time::timeout(ANSWER_WITHIN, store.ready()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("store: {error}")),
        Err(_) => Err(format!("store: no answer within {ANSWER_WITHIN:?}")),
    }
}

#[cfg(test)]
mod tests {
    use shared::store::{Durability, Lifetimes, embedded};

    use super::*;

    #[actix_rt::test]
    async fn what_is_dead_is_told_until_it_is_stopping() {
        let directory = tempfile::tempdir().unwrap();
        let store =
            embedded::open(directory.path(), Durability::Process, Lifetimes::default()).unwrap();
        let alive = Arc::new(AtomicBool::new(true));
        let asked = alive.clone();
        let probe = Probe::new("heart", move || {
            asked.load(Ordering::Relaxed).then_some(()).ok_or("stopped".to_owned())
        });
        let (mut readiness, asking) = Readiness::watch(vec![probe], store);
        assert_eq!(readiness.wrong(), ["store: not asked yet"]);
        readiness.store.changed().await.unwrap();
        assert_eq!(readiness.wrong(), [""; 0]);
        alive.store(false, Ordering::Relaxed);
        assert_eq!(readiness.death().await, "heart: stopped");
        assert_eq!(readiness.wrong(), ["heart: stopped"]);
        readiness.stop();
        assert_eq!(readiness.wrong(), ["stopping"]);
        asking.abort();
    }
}
