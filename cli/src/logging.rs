//! Log lines go to stderr; stdout is for people at start.

use std::io;

use anyhow::anyhow;
use prometheus::Registry;
use tracing_subscriber::{
    EnvFilter, filter::ParseError, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    config::{LogFormat, LogSettings},
    exit,
    metrics::LogLines,
};

/// What libraries tell below this is of no use to operators. Said first, so that `log.level` can name
/// them and have it otherwise.
/// actix_http has an error for each client that sends what is no HTTP.
const LIBRARIES: &str = "fjall=warn,lsm_tree=warn,actix_server=warn,actix_http::h1::dispatcher=off";

/// What `log.level` lets through.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{LIBRARIES},{level}"))
}

/// Starts logging for the whole process.
pub(crate) fn start(settings: &LogSettings, metrics: &Registry) -> exit::Result<()> {
    let filter = filter(&settings.level).map_err(|error| anyhow!(error))?;
    let counted = LogLines::register(metrics).map_err(|error| anyhow!(error))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match settings.format {
        LogFormat::Text => lines.with_ansi(false).finish().with(counted).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().with(counted).try_init(),
    };
    started.map_err(|error| anyhow!(error).into())
}
