//! Declarations: a file says what there is to be, and a running server is made to have it, through its
//! own API.
//!
//! | file | what |
//! |---|---|
//! | `file` | reading a file, with the line of everything in it |
//! | `entries` | the format: what a file may say of each thing |
//! | `reference` | secrets, which stand outside of the file |
//! | `remote` | what the server has, read by pages of lists |
//! | `plan`, `step` | what is to be done: the difference of both |
//! | `pruning` | what is to be removed |
//! | `sameness` | when two values mean the same |
//! | `execution` | doing it |
//! | `export` | a file of what the server has |
//! | `at_start` | applying a file when a process starts |

mod at_start;
mod entries;
mod execution;
mod export;
mod file;
mod plan;
mod pruning;
mod reference;
mod remote;
mod sameness;
mod step;

use std::path::Path;

use anyhow::anyhow;
pub(crate) use at_start::{check, keep_applying};
pub(crate) use export::export;

use self::{file::Declaration, plan::Plan, remote::Remote};
use crate::{
    arguments::ApplyFlags,
    client::Server,
    exit::{Failure, Result},
};

/// What an application of a file came to.
pub(crate) struct Applied {
    /// What there was to do.
    pub(crate) steps: usize,
    /// What could not be done, each with its line.
    pub(crate) failures: Vec<String>,
}

/// `sluicegate apply`.
pub(crate) async fn apply(flags: &ApplyFlags) -> Result<()> {
    let declaration = file::read(&flags.file).map_err(Failure::config)?;
    let server = Server::find(&flags.server)?;
    let plan = plan(&server, &flags.file, &declaration, flags.prune).await?;
    print!("{plan}");
    if flags.dry_run {
        return plan.problems_as_failure();
    }
    let applied = execution::carry_out(&server, plan).await;
    for failure in &applied.failures {
        eprintln!("sluicegate: {failure}");
    }
    let requests = server.requests();
    let Applied { steps, failures } = applied;
    println!(
        "{} of {steps} changes applied, with {requests} requests",
        steps - failures.len().min(steps)
    );
    match failures.len() {
        0 => Ok(()),
        count => Err(Failure::Runtime(anyhow!(
            "{count} could not be applied; the rest was, and it is safe to apply the file again"
        ))),
    }
}

/// What is to be done so that the server has what the file says.
async fn plan(
    server: &Server,
    path: &Path,
    declaration: &Declaration,
    prune: bool,
) -> Result<Plan> {
    let remote = Remote::read(server, |app| prune || declaration.names_application(app)).await?;
    let mut plan = Plan::new(path);
    let different = remote.compare_secrets(server, declaration).await?;
    plan.add(declaration, &remote, &different);
    if prune {
        plan.prune(declaration, &remote);
    }
    Ok(plan)
}
