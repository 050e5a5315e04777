//! The dispatcher: pulls deliveries from the lanes it owns and brings them to their endpoints.
//!
//! Actors decide, tasks do the I/O:
//!
//! | actor | owns | talks to |
//! |---|---|---|
//! | [`node::Node`], one a process | which lanes this process holds | starts, drains and ends lanes |
//! | [`reader::Reader`], one a process | the blocking read | gives entries to lanes |
//! | [`lane::LaneActor`], one a lane | its endpoints' brains, what is in hand | settler; runs attempts as tasks |
//! | [`fetcher::Fetcher`] | the batch of bodies being read | answers lanes |
//! | [`settler::Settler`] | the batch being settled | answers lanes |

mod attempt;
mod batcher;
#[cfg(feature = "benchmarks")]
#[doc(hidden)]
pub mod benchmarks;
mod brain;
mod config;
mod connector;
mod credits;
mod descriptors;
mod destinations;
mod disabling;
mod distance;
mod errands;
mod fetcher;
mod lane;
mod log;
mod mail;
mod metrics;
mod named;
mod node;
mod operator;
mod outcome;
mod ownership;
mod parts;
mod persist;
mod placement;
mod reader;
mod retry;
mod routes;
mod ruling;
mod settler;
mod siding;
mod store_clock;
mod tenure;
mod traced;
mod workers;

use std::{net::IpAddr, sync::Arc, time::Duration};

use actix::{Actor, Addr, Arbiter};
pub use config::{Config, LogSettings};
pub use connector::Unresolved;
use connector::{Connector, Names};
pub use descriptors::{Descriptors, TooFew, descriptors};
use destinations::{Alive, Gauges};
pub use destinations::{Destinations, Page, Query, QueryError, Sort};
use fetcher::{Fetcher, Fetching};
use futures_util::future::join_all;
use mail::Resident;
use metrics::Metrics;
use node::{Leave, Node};
use ownership::Ownership;
use parts::Parts;
use prometheus::Registry;
use reader::Reader;
use retry::Schedule;
use routes::{Basis, RouteCache};
use settler::{Settler, Settling};
use shared::{
    guard::Guard,
    health::Probe,
    placement::SHARDS,
    store::{Owner, SharedStore},
};
use siding::Siding;
use workers::{Stages, Worker};

/// A running dispatcher.
pub struct Dispatcher {
    node: Addr<Node>,
    arbiters: Vec<Arbiter>,
    parts: Arc<Parts>,
    probes: Vec<Probe>,
    destinations: Destinations,
}

/// Why a dispatcher does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The HTTP client cannot be built, for example because there are no root certificates.
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[from] reqwest::Error),
    /// Names cannot be resolved.
    #[error("name servers cannot be configured: {0}")]
    Names(hickory_resolver::net::NetError),
    /// There are not enough file descriptors.
    #[error(transparent)]
    Descriptors(#[from] descriptors::TooFew),
    /// A metric is registered twice.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What these names resolve to, asked of the name servers that deliveries ask, all at once.
///
/// # Errors
/// If name servers cannot be configured; a name that does not resolve is no error of this kind.
pub async fn resolve(
    names: &[String],
) -> Result<Vec<Result<Arc<[IpAddr]>, Unresolved>>, StartError> {
    let resolver = Names::of_system().map_err(StartError::Names)?;
    Ok(join_all(names.iter().map(|name| resolver.addresses(name))).await)
}

impl Dispatcher {
    /// Starts the actors, each before the ones that need its address. Call it inside an actix system.
    pub async fn start(
        config: Config,
        store: SharedStore,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let owner = Owner::new(&format!("{}-{:016x}", host(), rand::random::<u64>()));
        let guard = Arc::new(Guard::new(config.allow_cidr.clone()));
        let (ttl, workers) = (config.lease_ttl, config.workers.max(1));
        descriptors::ensure(&config)?;
        let names = Arc::new(Names::of_system().map_err(StartError::Names)?);
        // One a worker, and the siding's.
        let idle = descriptors::idle(&config, workers + 1);
        let connector = || {
            let (guard, names) = (Arc::clone(&guard), Arc::clone(&names));
            Connector::new(guard, names, config.request_timeout, idle.clone()).map(Arc::new)
        };
        let mut arbiters: Vec<_> = (0..workers).map(|_| Arbiter::new()).collect();
        let workers = arbiters
            .iter()
            .map(|arbiter| Ok(Worker { arbiter: arbiter.handle(), connector: connector()? }))
            .collect::<Result<Vec<_>, reqwest::Error>>()?;
        let (attempts, loads) = (Arbiter::new(), Arbiter::new());
        for arbiter in [&attempts, &loads] {
            arbiter.spawn_fn(siding::let_others_go_first);
        }
        let siding = Siding::new(attempts.handle(), connector()?);
        let metrics = Metrics::new(registry)?;
        let basis = Basis {
            schedule: Arc::new(Schedule::new(config.retry_schedule.clone())),
            keys: config.keys.clone(),
            metrics: metrics.clone(),
        };
        let routes = RouteCache::new(Arc::clone(&store), basis, loads.handle());
        arbiters.extend([attempts, loads]);
        let parts = Parts::new(config, store, metrics, routes, siding);
        let count = if parts.store.spans_shards() { 1 } else { usize::from(SHARDS) };
        let settlers: Vec<_> = (0..count)
            .map(|_| Settler::new(Settling::default(), Arc::clone(&parts)).start())
            .collect();
        let fetchers: Vec<_> = (0..count)
            .map(|_| Fetcher::new(Fetching::default(), Arc::clone(&parts)).start())
            .collect();
        actix_rt::spawn(named::keep_up(Arc::downgrade(&parts)));
        let reader = Reader::new(Arc::clone(&parts)).start();
        let name = owner.to_string();
        let ownership = Ownership::new(Arc::clone(&parts.store), owner, ttl);
        let stages = Stages {
            fetchers: fetchers.iter().cloned().map(Resident::here).collect(),
            settlers: settlers.iter().cloned().map(Resident::here).collect(),
        };
        let node = Node::new(Arc::clone(&parts), ownership, workers, stages, reader.clone());
        let dead = node.dead_lanes();
        let node = node.start();
        let lanes = Probe::new("lanes", move || match dead.lock().as_slice() {
            [] => Ok(()),
            dead => Err(format!("actors died: {dead:?}; restart this process")),
        });
        let mut probes = vec![alive("node", &node), alive("reader", &reader), lanes];
        probes.extend(settlers.iter().map(|settler| alive("settler", settler)));
        probes.extend(fetchers.iter().map(|fetcher| alive("fetcher", fetcher)));
        let mut actors = vec![lives("node", &node), lives("reader", &reader)];
        actors.extend(settlers.iter().map(|settler| lives("settler", settler)));
        actors.extend(fetchers.iter().map(|fetcher| lives("fetcher", fetcher)));
        let (board, credits) = (Arc::clone(&parts.board), parts.credits.clone());
        let most = parts.config.worst_endpoints;
        let gauges = Gauges::new(board, credits, parts.metrics.clone(), actors, most)?;
        registry.register(Box::new(gauges))?;
        let destinations = Destinations::new(node.clone(), name);
        Ok(Self { node, arbiters, parts, probes, destinations })
    }

    /// What must be alive for it to be ready.
    pub fn probes(&self) -> Vec<Probe> {
        self.probes.clone()
    }

    /// The endpoints that it serves.
    pub fn destinations(&self) -> Destinations {
        self.destinations.clone()
    }

    /// Stops pulling, finishes what is in flight, settles, releases the lanes; at most until the
    /// deadline. What is then unsettled is delivered again by the lanes' next owner.
    pub async fn stop(self, deadline: Duration) {
        let leaving = async {
            // A node that has died has nothing to give up.
            let _ = self.node.send(Leave).await;
            self.parts.operator.all_told().await;
        };
        if tokio::time::timeout(deadline, leaving).await.is_err() {
            tracing::warn!("the deadline passed: what is in flight will be delivered again");
        }
        for arbiter in self.arbiters {
            arbiter.stop();
        }
    }
}

fn alive<A: Actor<Context = actix::Context<A>>>(name: &str, address: &Addr<A>) -> Probe {
    let address = address.clone();
    Probe::new(name, move || {
        if address.connected() {
            Ok(())
        } else {
            Err("the actor died: restart this process".into())
        }
    })
}

fn lives<A: Actor<Context = actix::Context<A>>>(
    name: &'static str,
    address: &Addr<A>,
) -> (&'static str, Alive) {
    let address = address.clone();
    (name, Box::new(move || address.connected()))
}

fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).take(40).collect()
}

#[cfg(test)]
mod tests {
    use actix::{ActorContext, Context, Handler, Message};

    use super::*;

    struct Mortal;

    impl Actor for Mortal {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Die;

    impl Handler<Die> for Mortal {
        type Result = ();

        fn handle(&mut self, _: Die, ctx: &mut Self::Context) {
            ctx.stop();
        }
    }

    #[actix_rt::test]
    async fn a_dead_actor_fails_its_probe() {
        let address = Mortal.start();
        let probe = alive("mortal", &address);
        assert_eq!(probe.check(), Ok(()));
        address.send(Die).await.unwrap();
        while address.connected() {
            tokio::task::yield_now().await;
        }
        assert!(probe.check().unwrap_err().contains("restart"));
    }
}
