//! What happens to the server and the sink while the load goes on.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use anyhow::Context;
use serde::Serialize;

use super::{registration::Registered, server::Server, usage::Watch};
use crate::{
    description::{Action, Deed},
    sink::Sink,
};

/// Something that was done.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// What.
    pub what: String,
    /// When it began, in seconds since the load began.
    pub from_seconds: f64,
    /// When it was over: a part that was stopped is ready again.
    pub until_seconds: f64,
}

/// Does all of them at their times since `started`.
pub(super) async fn act(
    actions: &[Action],
    started: Instant,
    server: &mut Server,
    sink: &Sink,
    registered: &Registered,
    watch: &Watch,
) -> anyhow::Result<Vec<Done>> {
    let mut done = Vec::with_capacity(actions.len());
    for action in actions {
        tokio::time::sleep_until((started + action.at).into()).await;
        let from = started.elapsed();
        let deed = action.deed().context("an action that does nothing")?;
        let what = carry_out(deed, action.lasts, server, sink, registered)
            .await
            .with_context(|| format!("the action at {:?}", action.at))?;
        watch.running(server.pids());
        let (from_seconds, until_seconds) = (from.as_secs_f64(), started.elapsed().as_secs_f64());
        done.push(Done { what, from_seconds, until_seconds });
    }
    Ok(done)
}

async fn carry_out(
    deed: Deed,
    lasts: Duration,
    server: &mut Server,
    sink: &Sink,
    registered: &Registered,
) -> anyhow::Result<String> {
    Ok(match deed {
        Deed::Kill(part) => {
            server.kill(part)?;
            tokio::time::sleep(lasts).await;
            server.restart(part).await?;
            format!("kill {part:?}")
        }
        Deed::Terminate(part) => {
            server.terminate(part).await?;
            tokio::time::sleep(lasts).await;
            server.restart(part).await?;
            format!("terminate {part:?}")
        }
        Deed::Outage(status) => {
            sink.set_outage(Some(StatusCode::from_u16(status)?));
            tokio::time::sleep(lasts).await;
            sink.set_outage(None);
            format!("outage {status}")
        }
        Deed::Pause => {
            for application in &registered.applications {
                server.api().pause(application).await?;
            }
            tokio::time::sleep(lasts).await;
            for application in &registered.applications {
                server.api().resume(application).await?;
            }
            "pause".into()
        }
    })
}
