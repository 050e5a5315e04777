//! Applying a mounted file when a process starts: it is read before anything else, and applied once the
//! API listens. Several gateways may do so at once, because everything has a name of its own. What does not
//! work is tried again; the process serves meanwhile.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::{execution, file, plan};
use crate::{
    client::{Server, local},
    exit::{Failure, Result},
};

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(10);

/// Fails if the file, or a secret that it refers to, cannot be read.
pub(crate) fn check(path: &std::path::Path) -> Result<()> {
    file::read(path).map(|_| ()).map_err(Failure::config)
}

/// Applies the file until nothing of it fails. It never removes anything.
pub(crate) async fn keep_applying(path: PathBuf, api: SocketAddr, token: SecretString) {
    loop {
        match apply(&path, api, token.clone()).await {
            Ok(0) => return,
            Ok(count) => tracing::error!(count, "declaration.not_applied_in_full"),
            Err(Failure::Config(errors)) => {
                tracing::error!(error = errors.join("; "), "declaration.not_applied");
            }
            Err(Failure::Runtime(error)) => tracing::error!(%error, "declaration.not_applied"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// How many things could not be applied.
async fn apply(path: &std::path::Path, api: SocketAddr, token: SecretString) -> Result<usize> {
    let declaration = file::read(path).map_err(Failure::config)?;
    let server = Server::new(local(api)?, token)?;
    let plan = plan(&server, path, &declaration, false).await?;
    let applied = execution::carry_out(&server, plan).await;
    for failure in &applied.failures {
        tracing::error!(failure, "declaration.failed");
    }
    let (changes, requests) = (applied.steps, server.requests());
    tracing::info!(file = %path.display(), changes, requests, "declaration.applied");
    Ok(applied.failures.len())
}
