//! The engine on a Redis server, 7.0 or newer.
//!
//! Every write is one script, so that it happens as a whole and its reply tells what became of it.
//! Nothing here decides anything: the rules are the store's contract, the scripts hold them.
//!
//! | file | what |
//! |---|---|
//! | `connection` | how requests reach the server |
//! | `scripts`, `keys`, `entry` | what is written, and under which names |
//! | `publish`, `lanes`, `settle`, `reader`, `leases`, `limits`, `documents`, `history`, `tasks` | the contract |
//! | `durability`, `error` | what the server promises, and what its errors mean |
//! | `inspection` | what the server says of itself, for diagnostics |

#[cfg(feature = "benchmarks")]
pub(crate) mod benchmarks;
mod connection;
mod depths;
mod documents;
mod durability;
mod entry;
mod error;
mod heads;
mod history;
mod inspection;
mod keys;
mod lanes;
mod leases;
mod limits;
mod listing;
mod log;
mod places;
mod publish;
mod reader;
mod scripts;
mod settle;
mod tasks;
mod vitals;

use std::{collections::HashMap, sync::Arc, time::Duration};

use ::redis::{FromRedisValue, cmd};
use deadpool_redis::Pool;
pub use durability::Setting;
pub use inspection::{Layout, OLDEST, Server, Skew};

use self::{
    connection::{Dialer, Link, call_replicated, pooled},
    error::failed,
    scripts::{Call, PROBE},
    vitals::Counts,
};
use super::{Durability, ErrorKind, Lifetimes, Result, Store, StoreError, Swept, Vitals};

/// A Redis server as a store.
pub struct Redis {
    dialer: Dialer,
    /// For what gateways write: large requests, small replies.
    publishing: Link,
    /// For what owners of lanes do: small requests, large replies.
    serving: Link,
    pool: Pool,
    /// Connections of writers that wait for replicas, so that they never keep others waiting.
    writers: Pool,
    durability: Durability,
    lifetimes: Lifetimes,
    counts: Arc<Counts>,
}

/// Connects to a server and checks that it keeps the promised durability and carries this version's
/// layout; writes the layout into an empty one.
///
/// # Errors
/// [`ErrorKind::Misconfigured`] names the setting that does not fit; [`ErrorKind::Unavailable`] if the
/// server cannot be reached.
pub async fn open(url: &str, durability: Durability, lifetimes: Lifetimes) -> Result<Arc<Redis>> {
    let redis = unchecked(url, durability, lifetimes)?;
    redis.check_durability().await?;
    redis.check_layout().await?;
    Ok(redis)
}

/// A server that was not asked anything yet: it may not keep the durability, hold another layout, or be
/// missing. For diagnostics, which must not write.
///
/// # Errors
/// [`ErrorKind::Misconfigured`] if the URL cannot be read.
pub fn unchecked(url: &str, durability: Durability, lifetimes: Lifetimes) -> Result<Arc<Redis>> {
    let dialer = Dialer::new(url)?;
    let counts = Arc::<Counts>::default();
    Ok(Arc::new(Redis {
        publishing: Link::new(dialer.clone(), Arc::clone(&counts)),
        serving: Link::new(dialer.clone(), Arc::clone(&counts)),
        pool: dialer.pool()?,
        writers: dialer.pool()?,
        dialer,
        durability,
        lifetimes,
        counts,
    }))
}

impl Redis {
    async fn check_durability(&self) -> Result<()> {
        durability::check(self.durability, &self.configured().await?)
    }

    async fn configured(&self) -> Result<HashMap<String, String>> {
        self.serving.command(cmd("CONFIG").arg("GET").arg(&durability::SETTINGS)).await
    }

    async fn check_layout(&self) -> Result<()> {
        let mut found = self.layout().await?;
        if found == Layout::None {
            let mut write = cmd("SET");
            write.arg(keys::layout()).arg(inspection::layout()).arg("NX").arg("GET");
            found = Layout::of(self.serving.command(&write).await?);
        }
        match found {
            Layout::Other(theirs) => Err(StoreError::new(
                ErrorKind::Misconfigured,
                format!(
                    "the store was written with `{theirs}`, this version works with `{}`: use \
                     the version that wrote it, or an empty database",
                    inspection::layout(),
                ),
            )),
            Layout::None | Layout::Ours => Ok(()),
        }
    }

    /// Calls a script whose writes must be durable when it answers.
    async fn write<T: FromRedisValue>(&self, call: &Call) -> Result<T> {
        match self.durability {
            Durability::Replicated => call_replicated(&self.writers, call, &self.counts).await,
            Durability::Process | Durability::Disk => self.publishing.call(call).await,
        }
    }

    /// Sends a rare command.
    async fn ask<T: FromRedisValue>(&self, command: &::redis::Cmd) -> Result<T> {
        command.query_async(&mut pooled(&self.pool).await?).await.map_err(failed)
    }

    /// Sends rare commands at once.
    async fn ask_all<T: FromRedisValue>(&self, pipeline: &::redis::Pipeline) -> Result<T> {
        pipeline.query_async(&mut pooled(&self.pool).await?).await.map_err(failed)
    }
}

/// A lifetime or delay as scripts take it.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait::async_trait]
impl Store for Redis {
    fn durability(&self) -> Durability {
        self.durability
    }

    fn spans_shards(&self) -> bool {
        keys::SPANS_SHARDS
    }

    async fn ready(&self) -> Result<()> {
        self.check_durability().await?;
        let mut call = Call::new(&PROBE);
        call.key(keys::probe());
        self.publishing.call(&call).await
    }

    async fn incarnation(&self) -> Result<String> {
        let info: ::redis::InfoDict = self.serving.command(&cmd("INFO")).await?;
        let field = |name| info.get::<String>(name).unwrap_or_default();
        Ok(format!("{} {}", field("run_id"), field("role")))
    }

    async fn sweep(&self) -> Result<Swept> {
        Ok(Swept::All)
    }

    async fn vitals(&self) -> Result<Vitals> {
        self.tell_vitals().await
    }
}
