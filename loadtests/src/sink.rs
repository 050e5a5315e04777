//! A receiver of webhooks that behaves as its path says and writes down every request.
//!
//! The paths are listed in [`crate::behaviour`]. A query may follow, to tell destinations of one
//! behaviour apart. Over HTTP, `/_sink/summary` gives the counts and `/_sink/arrivals` one line of
//! JSON for each request.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, http::StatusCode, web,
};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    behaviour::Behaviour,
    journal::{BodyHash, Journal},
    signatures::{Signatures, header},
};

const BODY_LIMIT: usize = 64 << 20;

/// A running sink, on a thread of its own; stopped when dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    state: Arc<State>,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// One line of `/_sink/arrivals`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArrivalLine {
    /// The header `webhook-id`.
    pub webhook_id: String,
    /// Path and query.
    pub path: String,
    /// Hash of the body.
    pub sha256: BodyHash,
    /// Which request of this delivery it was.
    pub attempt: u32,
    /// What it was answered; 0 for never.
    pub status: u16,
    /// When it came, in milliseconds since the sink's start.
    pub received_ms: u64,
}

#[derive(Debug)]
struct State {
    started: Instant,
    journal: Mutex<Journal>,
    arrived: Notify,
    open: AtomicUsize,
    /// The status that all requests get while it is not 0.
    outage: AtomicU16,
    signatures: OnceLock<Signatures>,
}

impl State {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts a sink on `address`; port 0 takes a free one.
    pub fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .with_context(|| format!("the sink cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            started: Instant::now(),
            journal: Mutex::default(),
            arrived: Notify::new(),
            open: AtomicUsize::new(0),
            outage: AtomicU16::new(0),
            signatures: OnceLock::new(),
        });
        let (ready, started) = mpsc::channel();
        let served = state.clone();
        let thread = std::thread::Builder::new()
            .name("sink".into())
            .spawn(move || serve(listener, served, &ready))?;
        let server = started.recv().context("the sink's thread ended")??;
        Ok(Self { address, state, server, thread: Some(thread) })
    }

    /// Starts a sink on a free port of the loopback address.
    pub fn start_local() -> anyhow::Result<Self> {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, such as `/fail/2`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks something of what has arrived. Nothing is received meanwhile, so ask briefly.
    pub fn ask<T>(&self, question: impl FnOnce(&Journal) -> T) -> T {
        question(&self.state.journal())
    }

    /// Takes everything that has arrived, and starts anew.
    pub fn take(&self) -> Journal {
        std::mem::take(&mut self.state.journal())
    }

    /// Requests that were received and not yet answered.
    pub fn in_flight(&self) -> usize {
        self.state.open.load(Ordering::Relaxed)
    }

    /// Answers every request with `status`, whatever its path, until told `None`.
    pub fn set_outage(&self, status: Option<StatusCode>) {
        self.state.outage.store(status.map_or(0, |status| status.as_u16()), Ordering::Relaxed);
    }

    /// From now on every request is verified, and those that are not signed are noted in the
    /// [`Journal`]; they are answered as ever. Fails if it was called before.
    pub fn verify_signatures(&self, signatures: Signatures) -> anyhow::Result<()> {
        self.state.signatures.set(signatures).ok().context("the sink has its secrets already")
    }

    /// Waits until `predicate` holds; it is asked after each arrival.
    ///
    /// An error says what had arrived when `patience` was over.
    pub async fn wait_until(
        &self,
        patience: Duration,
        mut predicate: impl FnMut(&Journal) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let arrival = self.state.arrived.notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            if self.ask(&mut predicate) {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, arrival).await.is_err() {
                let summary = self.ask(Journal::summary);
                bail!("not seen at the sink within {patience:?}; so far: {summary:?}");
            }
        }
    }

    /// Waits until `count` deliveries were accepted.
    pub async fn wait_for(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        self.wait_until(patience, |journal| journal.delivered() >= count).await
    }

    /// Blocks for as long as the sink runs.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.server.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    listener: TcpListener,
    state: Arc<State>,
    ready: &mpsc::Sender<std::io::Result<ServerHandle>>,
) {
    actix_web::rt::System::new().block_on(async move {
        let state = web::Data::from(state);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .app_data(web::PayloadConfig::new(BODY_LIMIT))
                .route("/_sink/summary", web::get().to(summary))
                .route("/_sink/arrivals", web::get().to(arrivals))
                .default_service(web::to(receive))
        })
        .workers(1)
        .max_connections(100_000)
        .keep_alive(Duration::from_secs(600))
        .disable_signals()
        .listen(listener);
        match server {
            Ok(server) => {
                let server = server.run();
                let _ = ready.send(Ok(server.handle()));
                let _ = server.await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

async fn summary(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.journal().summary())
}

async fn arrivals(state: web::Data<State>) -> HttpResponse {
    let mut lines = Vec::new();
    for arrival in state.journal().arrivals() {
        let line = ArrivalLine {
            webhook_id: arrival.webhook_id.to_string(),
            path: arrival.path.to_string(),
            sha256: arrival.sha256,
            attempt: arrival.attempt,
            status: arrival.status,
            received_ms: (arrival.received - state.started).as_millis() as u64,
        };
        if serde_json::to_writer(&mut lines, &line).is_err() {
            return HttpResponse::InternalServerError().finish();
        }
        lines.push(b'\n');
    }
    HttpResponse::Ok().content_type("application/jsonl").body(lines)
}

/// Counts a request as open for as long as it lives, however it ends.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn count(open: &'a AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn receive(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let _open = Open::count(&state.open);
    let Some(behaviour) = Behaviour::of(request.path()) else {
        return HttpResponse::NotFound().body("the sink knows no such behaviour\n");
    };
    let webhook_id = header(request.headers(), "id").unwrap_or_default();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let sha256 = BodyHash::of(&body);
    let outage = state.outage.load(Ordering::Relaxed);
    let signed = state
        .signatures
        .get()
        .is_none_or(|signatures| signatures.verify(path, request.headers(), &body));
    let status = {
        let mut journal = state.journal();
        if !signed {
            journal.note_badly_signed(path);
        }
        journal
            .record(webhook_id, path, sha256, |attempt| {
                if outage == 0 { behaviour.status(webhook_id, attempt) } else { outage }
            })
            .status
    };
    state.arrived.notify_waiters();
    match behaviour {
        Behaviour::Hang if outage == 0 => std::future::pending().await,
        Behaviour::Slow(delay) => tokio::time::sleep(delay).await,
        _ => {}
    }
    let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap_or_default());
    if let (Behaviour::RetryAfter(seconds), 429) = (behaviour, status) {
        response.insert_header(("retry-after", seconds.to_string()));
    }
    response.finish()
}
