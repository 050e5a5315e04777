//! What an error of Redis means for the call that met it.

use ::redis::{ErrorKind as Redis, RedisError, ServerErrorKind as Server};
use deadpool_redis::PoolError;

use crate::store::{ErrorKind, StoreError};

/// The error of a request that may have been sent.
pub(super) fn failed(error: RedisError) -> StoreError {
    let kind = kind(&error);
    let what = match kind {
        ErrorKind::Unavailable => "redis cannot serve now",
        ErrorKind::Ambiguous => "the answer of redis was lost",
        ErrorKind::Full => "redis refuses new work",
        ErrorKind::Corrupt => "redis holds something unreadable",
        ErrorKind::Misconfigured => "redis refuses this client",
        ErrorKind::Fenced | ErrorKind::Conflict | ErrorKind::NoPlace => "redis refused",
    };
    StoreError::caused_by(kind, what, error)
}

/// The error of an attempt to connect: nothing was sent.
pub(super) fn unreachable(error: RedisError) -> StoreError {
    match kind(&error) {
        ErrorKind::Ambiguous => {
            StoreError::caused_by(ErrorKind::Unavailable, "redis cannot be reached", error)
        }
        _ => failed(error),
    }
}

/// The error of taking a connection from the pool.
pub(super) fn unpooled(error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => unreachable(error),
        other => StoreError::caused_by(
            ErrorKind::Unavailable,
            "no connection to redis is free",
            other.to_string(),
        ),
    }
}

/// A reply or record that cannot be read.
pub(super) fn corrupt(
    what: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::caused_by(ErrorKind::Corrupt, what, source)
}

/// Whether the connection must be replaced: it is broken, silent, or leads to a server that is not
/// the master any more.
pub(super) fn is_broken(error: &RedisError) -> bool {
    matches!(error.kind(), Redis::Io | Redis::Server(Server::ReadOnly | Server::MasterDown))
        || error.is_unrecoverable_error()
}

/// What is not known to be a definite no counts as ambiguous: every call is safe to repeat.
fn kind(error: &RedisError) -> ErrorKind {
    match error.kind() {
        Redis::Io if error.is_connection_refusal() => ErrorKind::Unavailable,
        Redis::Server(server) => match server {
            Server::BusyLoading
            | Server::TryAgain
            | Server::ClusterDown
            | Server::MasterDown
            | Server::ReadOnly
            | Server::NoScript => ErrorKind::Unavailable,
            Server::Moved | Server::Ask | Server::CrossSlot | Server::NoPerm => {
                ErrorKind::Misconfigured
            }
            _ => ErrorKind::Ambiguous,
        },
        Redis::Extension => match error.code() {
            Some("OOM" | "MISCONF" | "NOREPLICAS") => ErrorKind::Full,
            Some("BUSY") => ErrorKind::Unavailable,
            Some("WRONGTYPE") => ErrorKind::Corrupt,
            Some("NOAUTH" | "WRONGPASS") => ErrorKind::Misconfigured,
            _ => ErrorKind::Ambiguous,
        },
        Redis::Parse | Redis::UnexpectedReturnType => ErrorKind::Corrupt,
        Redis::AuthenticationFailed
        | Redis::InvalidClientConfig
        | Redis::Client
        | Redis::RESP3NotSupported => ErrorKind::Misconfigured,
        _ => ErrorKind::Ambiguous,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use ::redis::Value;
    use rstest::rstest;

    use super::*;

    /// An error as it comes over the wire.
    fn reply(line: &str) -> RedisError {
        match ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
            Ok(Value::ServerError(error)) => error.into(),
            other => panic!("no error: {other:?}"),
        }
    }

    #[rstest]
    #[case("LOADING Redis is loading the dataset in memory", ErrorKind::Unavailable)]
    #[case("BUSY Redis is busy running a script", ErrorKind::Unavailable)]
    #[case("TRYAGAIN Multiple keys request during rehashing of slot", ErrorKind::Unavailable)]
    #[case("CLUSTERDOWN The cluster is down", ErrorKind::Unavailable)]
    #[case("MASTERDOWN Link with MASTER is down", ErrorKind::Unavailable)]
    #[case("READONLY You can't write against a read only replica.", ErrorKind::Unavailable)]
    #[case("NOSCRIPT No matching script.", ErrorKind::Unavailable)]
    #[case("OOM allow-oom flag is not set on the script", ErrorKind::Full)]
    #[case("MISCONF Errors writing to the AOF file", ErrorKind::Full)]
    #[case("NOREPLICAS Not enough good replicas to write.", ErrorKind::Full)]
    #[case("WRONGTYPE Operation against a key holding the wrong kind", ErrorKind::Corrupt)]
    #[case("NOAUTH Authentication required.", ErrorKind::Misconfigured)]
    #[case("MOVED 3999 127.0.0.1:6381", ErrorKind::Misconfigured)]
    #[case("ERR Error running script", ErrorKind::Ambiguous)]
    #[case("SOMETHING new", ErrorKind::Ambiguous)]
    fn replies(#[case] line: &str, #[case] expected: ErrorKind) {
        assert_eq!(failed(reply(line)).kind(), expected);
    }

    #[rstest]
    #[case(io::ErrorKind::TimedOut, ErrorKind::Ambiguous, ErrorKind::Unavailable)]
    #[case(io::ErrorKind::UnexpectedEof, ErrorKind::Ambiguous, ErrorKind::Unavailable)]
    #[case(io::ErrorKind::ConnectionReset, ErrorKind::Ambiguous, ErrorKind::Unavailable)]
    #[case(io::ErrorKind::BrokenPipe, ErrorKind::Ambiguous, ErrorKind::Unavailable)]
    #[case(io::ErrorKind::ConnectionRefused, ErrorKind::Unavailable, ErrorKind::Unavailable)]
    fn transport(
        #[case] io: io::ErrorKind,
        #[case] sent: ErrorKind,
        #[case] while_connecting: ErrorKind,
    ) {
        let error = RedisError::from(io::Error::from(io));
        assert!(is_broken(&error));
        assert_eq!(failed(error.clone()).kind(), sent);
        assert_eq!(unreachable(error).kind(), while_connecting);
    }

    #[test]
    fn a_demoted_master_costs_the_connection() {
        assert!(is_broken(&reply("READONLY You can't write against a read only replica.")));
        assert!(!is_broken(&reply("OOM command not allowed")));
    }
}
