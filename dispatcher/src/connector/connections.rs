//! Counts the connections that a client opens, and times them for the requests that wait for them.

use std::{
    cell::Cell,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    static OPENING: Cell<Option<Duration>>;
}

/// Makes a request; answers also how long it took to open a connection for it, name and TLS session
/// included, if one was.
pub(super) async fn timed<T>(request: impl Future<Output = T>) -> (T, Option<Duration>) {
    let timed = async { (request.await, OPENING.with(Cell::get)) };
    OPENING.scope(Cell::new(None), timed).await
}

/// The count, as a layer of the client's connector.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// How many were opened.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts anew, as if so many had been opened.
    pub(super) fn restart(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }
}

impl<S> Layer<S> for Counted {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { inner, count: self.clone() }
    }
}

/// A connector whose connections are counted.
#[derive(Debug, Clone)]
pub(super) struct Counting<S> {
    inner: S,
    count: Counted,
}

impl<S, Target> Service<Target> for Counting<S>
where
    S: Service<Target>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let (opening, count) = (self.inner.call(target), self.count.clone());
        let began = Instant::now();
        Box::pin(async move {
            let opened = opening.await;
            if opened.is_ok() {
                count.0.fetch_add(1, Ordering::Relaxed);
                // One that a request did not wait for after all is opened beside it.
                let _ = OPENING.try_with(|opening| opening.set(Some(began.elapsed())));
            }
            opened
        })
    }
}
