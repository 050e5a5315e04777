//! How the command ends: each failure says what to change, and its exit code tells a supervisor
//! whether a restart can help.

use std::process::ExitCode;

use dispatcher::StartError;
use shared::store::{ErrorKind, StoreError};

/// What `--help` says about exit codes.
pub(crate) const HELP: &str = "Exit codes:
  0   stopped as asked
  1   failed at run time: a restart may help
  2   command line not understood
  78  configuration that cannot work: a restart does not help";

const EX_CONFIG: u8 = 78;

/// Why the command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Settings that cannot work: everything that is wrong with them.
    Config(Vec<String>),
    /// Anything else.
    Runtime(anyhow::Error),
}

/// Result of a subcommand.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A configuration with one thing wrong.
    pub(crate) fn config(what: impl Into<String>) -> Self {
        Self::Config(vec![what.into()])
    }

    /// Tells people on stderr, and the supervisor by the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Config(wrong) => {
                eprintln!("sluicegate: the configuration cannot work:");
                for one in wrong {
                    eprintln!("  - {one}");
                }
                ExitCode::from(EX_CONFIG)
            }
            Self::Runtime(error) => {
                eprintln!("sluicegate: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            ErrorKind::Misconfigured => Self::config(error.to_string()),
            _ => Self::Runtime(anyhow::Error::msg(error.to_string()).context("store")),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Descriptors(error) => Self::config(error.to_string()),
            error => Self::Runtime(anyhow::Error::new(error).context("dispatcher")),
        }
    }
}
