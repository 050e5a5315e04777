//! A receiver that keeps what arrives, whole, and fails or hesitates as it is told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    http::StatusCode,
    web::{self, Bytes, Data},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use standardwebhooks::Webhook;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::process::PATIENCE;

/// A request that arrived.
pub(crate) struct Arrival {
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Arrival {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }

    /// A header, if it was sent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The id that is the same on each attempt.
    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// Checks the signature as a stranger would.
    pub(crate) fn verify(&self, secret: &str) {
        Webhook::new(secret).unwrap().verify(&self.body, &self.headers).unwrap();
    }
}

struct Shared {
    arrivals: mpsc::UnboundedSender<Arrival>,
    failures_left: AtomicUsize,
    failure: StatusCode,
    /// Answers leave only while it is true.
    answering: watch::Sender<bool>,
}

/// Receives on a free port, in the test's own system.
pub(crate) struct Receiver {
    address: SocketAddr,
    server: ServerHandle,
    shared: Arc<Shared>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
}

impl Receiver {
    fn new(failures: usize, failure: StatusCode, answering: bool) -> Self {
        let (send, arrivals) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            arrivals: send,
            failures_left: AtomicUsize::new(failures),
            failure,
            answering: watch::Sender::new(answering),
        });
        let served = shared.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(Data::from(served.clone())).default_service(web::to(receive))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Self { address, server: handle, shared, arrivals }
    }

    /// Answers 500 so many times, then 204.
    pub(crate) fn failing(times: usize) -> Self {
        Self::new(times, StatusCode::INTERNAL_SERVER_ERROR, true)
    }

    /// Answers 404 so many times, then 204.
    pub(crate) fn refusing(times: usize) -> Self {
        Self::new(times, StatusCode::NOT_FOUND, true)
    }

    /// Takes requests, and answers none before [`Receiver::answer`].
    pub(crate) fn hesitating() -> Self {
        Self::new(0, StatusCode::INTERNAL_SERVER_ERROR, false)
    }

    /// Answers what waits and what comes.
    pub(crate) fn answer(&self) {
        self.shared.answering.send_replace(true);
    }

    pub(crate) fn start() -> Self {
        Self::failing(0)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Waits for the next request.
    pub(crate) async fn next(&mut self) -> Arrival {
        let arrival = timeout(PATIENCE, self.arrivals.recv()).await;
        arrival.expect("nothing arrives").expect("the receiver runs")
    }

    /// What has arrived and was not asked for.
    pub(crate) fn rest(&mut self) -> usize {
        std::iter::from_fn(|| self.arrivals.try_recv().ok()).count()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn receive(shared: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    // Two generations of header types meet here.
    let headers = request.headers().iter().map(|(name, value)| {
        let name: HeaderName = name.as_str().parse().unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    let _ = shared.arrivals.send(Arrival { headers: headers.collect(), body });
    let _ = shared.answering.subscribe().wait_for(|answering| *answering).await;
    let less = |left: usize| left.checked_sub(1);
    match shared.failures_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
        Ok(_) => HttpResponse::build(shared.failure).body("not today"),
        Err(_) => HttpResponse::NoContent().finish(),
    }
}
