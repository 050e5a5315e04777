//! The connector: the one way out of this process.
//!
//! No redirects, no proxies from the environment, verified TLS, no retries of its own; only what found
//! its pooled connection closed before a byte was written goes over another one (hyper does that), and an address
//! is connected to only after the [`Guard`] let it pass: a literal one when the URL is judged, a
//! resolved one in the [`resolver`], and the peer's once more when it has answered.
//!
//! One connection carries one request at a time (HTTP/1.1): on a connection of HTTP/2 a receiver that
//! does not read would hold up all the others that share it.

mod connections;
mod names;
mod resolver;
#[cfg(test)]
mod tests;

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use connections::{Counted, timed};
use http::{HeaderMap, header::RETRY_AFTER};
pub(crate) use names::Names;
pub use names::Unresolved;
use parking_lot::Mutex;
use reqwest::{Client, Response, redirect::Policy};
use resolver::{Forbidden, Resolver};
use shared::guard::{Guard, Reach};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{outcome::Outcome, retry::retry_after};

/// A pooled connection is dropped when it was idle for this long…
const IDLE: Duration = Duration::from_secs(30);
/// …and all of them when the client is this old, so that changed names take effect, or when the process has
/// too many.
const CLIENT_AGE: Duration = Duration::from_secs(300);
/// How much of a response's body is read and kept, in bytes.
const RESPONSE_CAP: usize = 4096;

/// A request that the connector is to make.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// HTTP status, 0 where there was none.
    pub(crate) status: u16,
    /// Its Retry-After.
    pub(crate) wait: Option<Duration>,
    /// The receiver's host refused the connection: nothing of the request can have arrived.
    pub(crate) refused: bool,
    /// How long it took to open a connection, if one was opened for it.
    pub(crate) connecting: Option<Duration>,
    /// The beginning of the response's body.
    pub(crate) body: String,
}

/// What bounds the connections that are kept while nobody uses them.
#[derive(Clone)]
pub(crate) struct Idle {
    /// Before there can be so many more of a connector, it is asked…
    pub(crate) unasked: usize,
    /// …whether all that the process has open is too much.
    pub(crate) is_too_much: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// HTTP clients for one thread: their connections live on the runtime that opened them.
pub(crate) struct Connector {
    guard: Arc<Guard>,
    names: Arc<Names>,
    timeout: Duration,
    idle: Idle,
    clients: Mutex<Clients>,
    /// Requests under way.
    in_use: AtomicUsize,
}

struct Clients {
    made: Instant,
    opened: Counted,
    public: Client,
    allowed_only: Client,
}

impl Clients {
    fn new(guard: &Arc<Guard>, names: &Arc<Names>) -> reqwest::Result<Self> {
        let opened = Counted::default();
        let client = |reach| {
            Client::builder()
                .dns_resolver(Resolver::new(Arc::clone(names), Arc::clone(guard), reach))
                .connector_layer(opened.clone())
                .http1_only()
                .redirect(Policy::none())
                .no_proxy()
                .retry(reqwest::retry::never())
                .referer(false)
                .pool_idle_timeout(IDLE)
                .build()
        };
        let (public, allowed_only) = (client(Reach::Public)?, client(Reach::AllowedOnly)?);
        Ok(Self { made: Instant::now(), opened, public, allowed_only })
    }
}

/// Counts a request for as long as it lives, however it ends.
struct InUse<'a>(&'a AtomicUsize);

impl<'a> InUse<'a> {
    fn count(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connector {
    /// A connector whose requests end within `timeout`: connect, headers and body together.
    pub(crate) fn new(
        guard: Arc<Guard>,
        names: Arc<Names>,
        timeout: Duration,
        idle: Idle,
    ) -> reqwest::Result<Self> {
        let clients = Mutex::new(Clients::new(&guard, &names)?);
        Ok(Self { guard, names, timeout, idle, clients, in_use: AtomicUsize::new(0) })
    }

    /// Makes a POST request.
    pub(crate) async fn post(&self, request: Request) -> Answer {
        let reach = match self.guard.url(&request.url) {
            Ok(reach) => reach,
            Err(_) => return Answer::without_response(Outcome::Forbidden),
        };
        let deadline = Instant::now() + self.timeout;
        let _in_use = InUse::count(&self.in_use);
        let sent =
            self.client(reach).post(request.url).headers(request.headers).body(request.body).send();
        let (sent, connecting) = timed(timeout_at(deadline, sent)).await;
        match sent {
            Ok(Ok(response)) => {
                let answer = self.read(response, reach, deadline).await;
                Answer { connecting, ..answer }
            }
            Ok(Err(error)) => {
                Answer { refused: is_refused(&error), ..Answer::without_response(classify(&error)) }
            }
            Err(_) => Answer::without_response(Outcome::Timeout),
        }
    }

    fn client(&self, reach: Reach) -> Client {
        let mut clients = self.clients.lock();
        let old = clients.made.elapsed() > CLIENT_AGE || self.keeps_too_many(&clients.opened);
        // What is under way on the connections of the one before goes on.
        if old && let Ok(fresh) = Clients::new(&self.guard, &self.names) {
            *clients = fresh;
        }
        match reach {
            Reach::Public => clients.public.clone(),
            Reach::AllowedOnly => clients.allowed_only.clone(),
        }
    }

    /// Whether connections must be closed. The client does not tell how many are idle: no more than it has
    /// opened and nobody uses, and often far fewer, because receivers close theirs and a burst opens some
    /// in vain. So before all are given up, which busy receivers would feel, it is looked at what is open.
    fn keeps_too_many(&self, opened: &Counted) -> bool {
        let in_use = self.in_use.load(Ordering::Relaxed);
        if opened.count().saturating_sub(in_use) < self.idle.unasked {
            return false;
        }
        let too_many = (self.idle.is_too_much)();
        if !too_many {
            opened.restart(in_use);
        }
        too_many
    }

    async fn read(&self, mut response: Response, reach: Reach, deadline: Instant) -> Answer {
        let status = response.status().as_u16();
        let peer = response.remote_addr().map(|peer| peer.ip());
        if peer.is_some_and(|peer| !self.guard.address(peer, reach)) {
            return Answer::without_response(Outcome::Forbidden);
        }
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, SystemTime::now()));
        let mut body = Vec::new();
        while body.len() < RESPONSE_CAP {
            match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let room = RESPONSE_CAP - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                Ok(Ok(None)) => break,
                // The status has arrived; that the body broke off, or comes too slowly, does not
                // change the verdict.
                Ok(Err(_)) | Err(_) => break,
            }
        }
        let outcome = Outcome::of_status(status, wait);
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer { outcome, status, wait, refused: false, connecting: None, body }
    }
}

impl Answer {
    pub(crate) fn without_response(outcome: Outcome) -> Self {
        Self {
            outcome,
            status: 0,
            wait: None,
            refused: false,
            connecting: None,
            body: String::new(),
        }
    }
}

/// Whether this is true of an error, or of something that caused it.
fn is_caused(error: &reqwest::Error, is_it: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if is_it(current) {
            return true;
        }
        cause = current.source();
    }
    false
}

fn is_refused(error: &reqwest::Error) -> bool {
    let refused = |cause: &(dyn Error + 'static)| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
    };
    error.is_connect() && is_caused(error, refused)
}

fn classify(error: &reqwest::Error) -> Outcome {
    if is_caused(error, |cause| cause.is::<Forbidden>()) {
        return Outcome::Forbidden;
    }
    if error.is_builder() {
        Outcome::Unsendable
    } else if error.is_timeout() {
        Outcome::Timeout
    } else if error.is_connect() {
        Outcome::ConnectFailed
    } else {
        Outcome::Broken
    }
}
