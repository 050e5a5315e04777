//! Runs a process: starts its parts bottom up, waits, and stops them in phases.

use std::time::Duration;

use anyhow::Context;
use dispatcher::Dispatcher;
use gateway::Gateway;
use prometheus::Registry;
use shared::{health::Probe, sealing::KeyRing, store::SharedStore, trace::Tracer};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{self, Instant},
};

use crate::{
    admin,
    arguments::Role,
    config::{Config, Settings},
    declare,
    exit::{Failure, Result},
    keys, logging, metrics,
    readiness::Readiness,
    store, sweep,
    token::ApiToken,
    traces,
    welcome::{self, Welcome},
};

/// What a part that overruns the common deadline still gets before it is left behind.
const OVERRUN: Duration = Duration::from_secs(1);

/// Serves until it is told to stop, or a part dies.
pub(crate) async fn serve(config: Config, role: Role) -> Result<()> {
    let settings = config.settings;
    let metrics = Registry::new();
    logging::start(&settings.log, &metrics)?;
    let mut signals = Signals::listen()?;
    let declared = Some(settings.apply_at_start.clone())
        .filter(|path| role.takes_messages() && !path.as_os_str().is_empty());
    if let Some(path) = &declared {
        declare::check(path)?;
    }
    let store = store::open(&settings, &metrics).await?;
    let token = role.takes_messages().then(|| ApiToken::find_or_make(&settings)).transpose()?;
    let keys = keys::find_or_make(&settings, &store).await?;
    let (tracer, exporter) = traces::start(&settings.traces, role, &metrics)?;
    let shared = Shared { keys: &keys.ring, tracer, store: &store, metrics: &metrics };
    let parts = Parts::start(&settings, role, token.as_ref(), shared).await?;
    let (readiness, asking) = Readiness::watch(parts.probes(), store.clone());
    metrics::register(&metrics, &settings, role, readiness.clone())
        .context("metrics of the process")?;
    let sweeping = actix_rt::spawn(sweep::run(store.clone()));
    let destinations = parts.dispatcher.as_ref().map(Dispatcher::destinations);
    let shown = admin::Shown { metrics, readiness: readiness.clone(), destinations };
    let admin = match admin::bind(settings.admin_listen, shown) {
        Ok(admin) => admin,
        Err(error) => {
            parts.stop(Instant::now() + settings.shutdown_grace).await;
            return Err(cannot_listen("admin_listen", settings.admin_listen, error));
        }
    };
    welcome::print(&Welcome {
        settings: &settings,
        role,
        api: parts.gateway.as_ref().map(Gateway::address),
        admin: admin.address,
        secrets: &keys.told,
        durability: store.durability(),
        token: token.as_ref(),
    });
    tracing::info!(role = ?role, store = %settings.store, "process.started");

    if let (Some(path), Some(token), Some(gateway)) = (declared, &token, &parts.gateway) {
        let (api, token) = (gateway.address(), token.secret.clone());
        actix_rt::spawn(declare::keep_applying(path, api, token));
    }
    let mut admin_server = actix_rt::spawn(admin.server);
    let died = tokio::select! {
        () = signals.stop() => None,
        dead = readiness.death() => Some(format!("a part has died: {dead}")),
        ended = &mut admin_server => Some(format!("the admin server died: {ended:?}")),
    };
    if let Some(what) = &died {
        tracing::error!(%what, "process.part_died");
    }
    tracing::info!(grace = ?settings.shutdown_grace, "process.stopping");
    actix_rt::spawn(async move {
        signals.stop().await;
        tracing::warn!("process.stopped_at_once");
        std::process::exit(1);
    });
    readiness.stop();
    parts.stop(Instant::now() + settings.shutdown_grace).await;
    if let Some(exporter) = exporter {
        exporter.stop().await;
    }
    for task in [asking, sweeping] {
        task.abort();
        // Aborted tasks end with an error; what matters is that they let go of the store.
        _ = task.await;
    }
    admin.handle.stop(false).await;
    drop(store);
    tracing::info!("process.stopped");
    died.map_or(Ok(()), |what| Err(Failure::Runtime(anyhow::Error::msg(what))))
}

/// What both halves are started with.
struct Shared<'a> {
    keys: &'a KeyRing,
    tracer: Tracer,
    store: &'a SharedStore,
    metrics: &'a Registry,
}

/// The halves that this process runs.
struct Parts {
    gateway: Option<Gateway>,
    dispatcher: Option<Dispatcher>,
}

impl Parts {
    /// The gateway comes first: its address may be taken, and nothing else has started then.
    async fn start(
        settings: &Settings,
        role: Role,
        token: Option<&ApiToken>,
        shared: Shared<'_>,
    ) -> Result<Self> {
        let Shared { keys, tracer, store, metrics } = shared;
        let mut parts = Self { gateway: None, dispatcher: None };
        if let Some(token) = token {
            let config = settings.gateway(token.secret.clone(), keys.clone(), tracer.clone());
            let started = Gateway::start(config, store.clone(), metrics).await;
            parts.gateway =
                Some(started.map_err(|error| cannot_listen("listen", settings.listen, error))?);
        }
        if role.delivers() {
            let config = settings.dispatcher(keys.clone(), tracer);
            match Dispatcher::start(config, store.clone(), metrics).await {
                Ok(dispatcher) => parts.dispatcher = Some(dispatcher),
                Err(error) => {
                    parts.stop(Instant::now() + settings.shutdown_grace).await;
                    return Err(error.into());
                }
            }
        }
        Ok(parts)
    }

    fn probes(&self) -> Vec<Probe> {
        let gateway = self.gateway.iter().flat_map(Gateway::probes);
        gateway.chain(self.dispatcher.iter().flat_map(Dispatcher::probes)).collect()
    }

    /// The gateway stops first, so that what it still accepts may still be delivered.
    async fn stop(self, deadline: Instant) {
        let left = || deadline.saturating_duration_since(Instant::now());
        if let Some(gateway) = self.gateway {
            in_time("gateway", left(), gateway.stop(left())).await;
        }
        if let Some(dispatcher) = self.dispatcher {
            in_time("dispatcher", left(), dispatcher.stop(left())).await;
        }
    }
}

async fn in_time(part: &str, left: Duration, stop: impl Future<Output = ()>) {
    if time::timeout(left + OVERRUN, stop).await.is_err() {
        tracing::error!(part, "process.part_overran_shutdown_grace");
    }
}

fn cannot_listen(setting: &str, address: std::net::SocketAddr, error: std::io::Error) -> Failure {
    let what = format!("cannot listen on {address}: choose another address with `{setting}`");
    Failure::Runtime(anyhow::Error::new(error).context(what))
}

/// The signals that mean: stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
