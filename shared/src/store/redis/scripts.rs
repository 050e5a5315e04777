//! The scripts, and calls of them.
//!
//! All keys are declared. Scripts that bring new work are refused by a full server as a whole, before
//! they run; those that drain it are not (`allow-oom`).

use std::sync::LazyLock;

use ::redis::{
    Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind, aio::ConnectionLike,
};
use bytes::Bytes;

use super::vitals::Counts;

macro_rules! scripts {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("scripts/", $file, ".lua"))));)*
    };
}

scripts! {
    ACQUIRE = "acquire",
    ADVANCE_TASK = "advance_task",
    BEAT = "beat",
    BEGIN_TASK = "begin_task",
    CANCEL_TASK = "cancel_task",
    COMMIT = "commit",
    DUE = "due",
    EXPAND = "expand",
    EXPUNGE = "expunge",
    FORGET = "forget",
    INDEX = "index",
    PARK = "park",
    PROBE = "probe",
    PUBLISH = "publish",
    PUT_DOCUMENT = "put_document",
    RELEASE = "release",
    RENEW = "renew",
    RESEND = "resend",
    SETTLE = "settle",
    TAKE = "take",
    UNINDEX = "unindex",
}

/// How often a script is loaded for one call: somebody may flush the scripts again and again.
const LOADS: usize = 3;

/// A call of a script: flat lists of keys and arguments.
pub(super) struct Call {
    script: &'static Script,
    keys: Vec<String>,
    args: Vec<Bytes>,
}

impl Call {
    pub(super) fn new(script: &'static Script) -> Self {
        Self { script, keys: Vec::new(), args: Vec::new() }
    }

    pub(super) fn key(&mut self, key: String) -> &mut Self {
        self.keys.push(key);
        self
    }

    pub(super) fn arg(&mut self, arg: impl Into<Bytes>) -> &mut Self {
        self.args.push(arg.into());
        self
    }

    pub(super) fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.arg(number.into().to_string())
    }

    pub(super) fn count(&mut self, count: usize) -> &mut Self {
        self.number(count as u64)
    }

    fn command(&self) -> Cmd {
        let bytes: usize = self.keys.iter().map(String::len).sum::<usize>()
            + self.args.iter().map(Bytes::len).sum::<usize>();
        let mut command = Cmd::with_capacity(3 + self.keys.len() + self.args.len(), bytes + 64);
        command.arg("EVALSHA").arg(self.script.get_hash()).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        for arg in &self.args {
            command.arg(&arg[..]);
        }
        command
    }

    /// Calls the script; loads it where the server does not know it.
    pub(super) async fn invoke<T: FromRedisValue>(
        &self,
        connection: &mut (impl ConnectionLike + Send),
        counts: &Counts,
    ) -> RedisResult<T> {
        let command = self.command();
        let mut loads = 0;
        loop {
            let reply = command.query_async(connection).await;
            let Err(error) = &reply else { return reply };
            counts.script_failed(error);
            if error.kind() != ErrorKind::Server(ServerErrorKind::NoScript) || loads == LOADS {
                return reply;
            }
            self.script.load_async(connection).await?;
            loads += 1;
        }
    }
}
