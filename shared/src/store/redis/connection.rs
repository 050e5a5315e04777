//! Connections: how requests reach Redis, and what happens when they do not.
//!
//! - [`Link`]: one multiplexed connection for the hot path. It connects again by itself with the next
//!   request after it broke, and repeats nothing.
//! - a pool for rare requests, and for writers that wait for replicas: WAIT speaks of the writes of
//!   its own connection and blocks it.
//!
//! The tasks that drive the links live on the runtime on which the store was opened, whoever asks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo,
    Pipeline, ProtocolVersion, RedisResult, Value, aio::MultiplexedConnection,
    io::tcp::TcpSettings,
};
use deadpool_redis::{Connection as Pooled, Manager, Pool, Runtime};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{
    error::{failed, is_broken, unpooled, unreachable},
    scripts::Call,
    vitals::Counts,
};
use crate::store::{ErrorKind, Result, StoreError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than an fsync of a slow disk, and than a blocking read.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a writer waits for a replica. Less than [`RESPONSE_TIMEOUT`].
const REPLICA_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(10);
const POOLED: usize = 16;

/// Makes connections.
#[derive(Clone)]
pub(super) struct Dialer {
    client: Client,
    config: AsyncConnectionConfig,
    runtime: Handle,
}

impl Dialer {
    /// Fails if the URL cannot be read; does not connect.
    pub(super) fn new(url: &str) -> Result<Self> {
        let client = Client::open(connection_info(url)?).map_err(unreachable)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        Ok(Self { client, config, runtime: Handle::current() })
    }

    /// Connects. What drives the connection outlives a caller that gives up.
    pub(super) async fn dial(&self) -> Result<MultiplexedConnection> {
        let Self { client, config, runtime } = self.clone();
        runtime
            .spawn(
                async move { client.get_multiplexed_async_connection_with_config(&config).await },
            )
            .await
            .map_err(|error| {
                StoreError::caused_by(ErrorKind::Unavailable, "the store is shutting down", error)
            })?
            .map_err(unreachable)
    }

    /// A pool of such connections.
    pub(super) fn pool(&self) -> Result<Pool> {
        let info = self.client.get_connection_info().clone();
        let manager = Manager::new_with_config(info, self.config.clone()).map_err(unreachable)?;
        Pool::builder(manager)
            .max_size(POOLED)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(RESPONSE_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(RESPONSE_TIMEOUT))
            .build()
            .map_err(|error| {
                StoreError::caused_by(ErrorKind::Misconfigured, "the pool cannot be built", error)
            })
    }
}

fn connection_info(url: &str) -> Result<ConnectionInfo> {
    let info = url.into_connection_info().map_err(|error| {
        // The text of the error does not carry the URL, which may hold a password.
        StoreError::caused_by(ErrorKind::Misconfigured, "not a URL of a redis server", error)
    })?;
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))
        .set_user_timeout(KEEPALIVE);
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    Ok(info.set_tcp_settings(tcp).set_redis_settings(settings))
}

/// One shared connection that is replaced when it breaks.
pub(super) struct Link {
    dialer: Dialer,
    counts: Arc<Counts>,
    current: Mutex<Option<Numbered>>,
    /// Held while connecting; when that failed last.
    connecting: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Numbered {
    number: u64,
    connection: MultiplexedConnection,
}

impl Link {
    pub(super) fn new(dialer: Dialer, counts: Arc<Counts>) -> Self {
        Self {
            dialer,
            counts,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// Sends one command.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let mut used = self.connection().await?;
        let reply = command.query_async(&mut used.connection).await;
        self.judge(used.number, reply)
    }

    /// Sends several commands at once.
    pub(super) async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T> {
        let mut used = self.connection().await?;
        let reply = pipeline.query_async(&mut used.connection).await;
        self.judge(used.number, reply)
    }

    /// Calls a script.
    pub(super) async fn call<T: FromRedisValue>(&self, call: &Call) -> Result<T> {
        let mut used = self.connection().await?;
        let reply = call.invoke(&mut used.connection, &self.counts).await;
        self.judge(used.number, reply)
    }

    fn judge<T>(&self, number: u64, reply: RedisResult<T>) -> Result<T> {
        reply.map_err(|error| {
            if is_broken(&error) {
                let mut current = self.current.lock();
                if current.as_ref().is_some_and(|current| current.number == number) {
                    *current = None;
                    self.counts.broke();
                }
            }
            failed(error)
        })
    }

    async fn connection(&self) -> Result<Numbered> {
        let current = self.current.lock().clone();
        match current {
            Some(current) => Ok(current),
            None => self.connect().await,
        }
    }

    async fn connect(&self) -> Result<Numbered> {
        let asked = Instant::now();
        let mut failed_at = self.connecting.lock().await;
        // Whoever waited meanwhile shares the result, good or bad.
        if let Some(current) = self.current.lock().clone() {
            return Ok(current);
        }
        if failed_at.is_some_and(|failed_at| failed_at > asked) {
            return Err(StoreError::new(ErrorKind::Unavailable, "redis cannot be reached"));
        }
        match self.dialer.dial().await {
            Ok(connection) => {
                let new = Numbered { number: rand::random(), connection };
                *self.current.lock() = Some(new.clone());
                Ok(new)
            }
            Err(error) => {
                *failed_at = Some(Instant::now());
                Err(error)
            }
        }
    }
}

/// A connection for a rare request.
pub(super) async fn pooled(pool: &Pool) -> Result<Pooled> {
    pool.get().await.map_err(unpooled)
}

/// Calls a script and waits until a replica has what it wrote.
pub(super) async fn call_replicated<T: FromRedisValue>(
    pool: &Pool,
    call: &Call,
    counts: &Counts,
) -> Result<T> {
    let mut connection = pooled(pool).await?;
    let reply = call.invoke(&mut connection, counts).await.map_err(failed)?;
    let replicas: u64 = ::redis::cmd("WAIT")
        .arg(1)
        .arg(REPLICA_TIMEOUT.as_millis() as u64)
        .query_async(&mut connection)
        .await
        .map_err(failed)?;
    if replicas == 0 {
        return Err(StoreError::new(ErrorKind::Ambiguous, "no replica confirmed the write"));
    }
    Ok(reply)
}

/// Reads a reply.
pub(super) fn decode<T: FromRedisValue>(value: Value) -> Result<T> {
    ::redis::from_redis_value(value).map_err(|error| failed(error.into()))
}
