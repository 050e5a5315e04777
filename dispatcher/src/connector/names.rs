//! Names: what they resolve to, asked of the system's name servers, each name once at a time.
//!
//! A lookup is a task and not a thread, so one whose server hangs holds up no other. It ends after
//! [`LOOKUP`], and its failure is remembered for a moment: the attempts that follow fail at once. How
//! many there are at once is bounded by the credits. `/etc/hosts` is honoured.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
};
use moka::{Expiry, future::Cache};
use parking_lot::RwLock;
use tokio::time::timeout;

/// A lookup ends after this long…
const LOOKUP: Duration = Duration::from_secs(4);
/// …in which a lost question is asked once more.
const QUESTION: Duration = Duration::from_secs(2);
/// How long an answer holds, whatever its time to live says.
const SHORTEST_HOLD: Duration = Duration::from_secs(5);
const LONGEST_HOLD: Duration = Duration::from_secs(300);
/// How long a failure holds.
const FAILURE_HOLDS: Duration = Duration::from_secs(5);
/// Names that are remembered.
const MOST_NAMES: u64 = 50_000;
/// How often the system's configuration and hosts are read anew.
const CONFIGURED: Duration = Duration::from_secs(300);

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The name server says so, or cannot be reached.
    #[error("the name does not resolve")]
    Failed,
    /// It did not answer in time.
    #[error("the name server does not answer")]
    Late,
}

#[derive(Debug, Clone)]
struct Answer {
    addresses: Result<Arc<[IpAddr]>, Unresolved>,
    holds: Duration,
}

/// How long an answer is kept is part of it.
struct Holds;

impl Expiry<String, Answer> for Holds {
    fn expire_after_create(&self, _: &String, answer: &Answer, _: Instant) -> Option<Duration> {
        Some(answer.holds)
    }
}

/// The resolver of one process.
pub(crate) struct Names {
    /// With the time at which it was configured.
    resolver: RwLock<(Instant, TokioResolver)>,
    configure: fn() -> Result<TokioResolver, NetError>,
    answers: Cache<String, Answer>,
}

impl Names {
    /// As the system is configured.
    pub(crate) fn of_system() -> Result<Self, NetError> {
        Ok(Self::new(of_system()?, of_system))
    }

    fn new(resolver: TokioResolver, configure: fn() -> Result<TokioResolver, NetError>) -> Self {
        let answers = Cache::builder().max_capacity(MOST_NAMES).expire_after(Holds).build();
        Self { resolver: RwLock::new((Instant::now(), resolver)), configure, answers }
    }

    /// The addresses of a name, at least one. Who asks for a name that is being looked up waits for
    /// the same answer.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Arc<[IpAddr]>, Unresolved> {
        self.answers.get_with_by_ref(name, self.look_up(name)).await.addresses
    }

    async fn look_up(&self, name: &str) -> Answer {
        let resolver = self.resolver();
        let unresolved = |reason| Answer { addresses: Err(reason), holds: FAILURE_HOLDS };
        match timeout(LOOKUP, resolver.lookup_ip(name)).await {
            Err(_) => unresolved(Unresolved::Late),
            Ok(Err(NetError::Timeout)) => unresolved(Unresolved::Late),
            Ok(Err(_)) => unresolved(Unresolved::Failed),
            Ok(Ok(found)) => {
                let addresses: Arc<[_]> = found.iter().collect();
                if addresses.is_empty() {
                    return unresolved(Unresolved::Failed);
                }
                let left = found.valid_until().saturating_duration_since(Instant::now());
                let holds = left.clamp(SHORTEST_HOLD, LONGEST_HOLD);
                Answer { addresses: Ok(addresses), holds }
            }
        }
    }

    fn resolver(&self) -> TokioResolver {
        {
            let current = self.resolver.read();
            if current.0.elapsed() < CONFIGURED {
                return current.1.clone();
            }
        }
        let mut current = self.resolver.write();
        if current.0.elapsed() >= CONFIGURED {
            current.0 = Instant::now();
            match (self.configure)() {
                Ok(fresh) => current.1 = fresh,
                Err(error) => tracing::warn!(%error, "name servers cannot be configured anew"),
            }
        }
        current.1.clone()
    }
}

/// As `/etc/resolv.conf` says; without one, a name server on this machine, as its manual has it.
fn of_system() -> Result<TokioResolver, NetError> {
    let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
    let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
        let local = ResolverConfig::from_parts(None, Vec::new(), vec![local]);
        TokioResolver::builder_with_config(local, TokioRuntimeProvider::default())
    });
    configure(builder.options_mut());
    builder.build()
}

fn configure(options: &mut ResolverOpts) {
    options.timeout = options.timeout.min(QUESTION);
    // A connection goes to whichever of them works.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // Answers are kept here, with bounds of our own.
    options.cache_size = 0;
}

#[cfg(test)]
pub(super) mod tests;
