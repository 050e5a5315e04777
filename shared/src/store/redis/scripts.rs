//! The scripts, and calls of them.
//!
//! All keys are declared. Scripts that bring new work are refused by a full server as a whole, before
//! they run; those that drain it are not (`allow-oom`).

use std::sync::LazyLock;

use ::redis::{
    Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind, aio::ConnectionLike,
};

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
    keys: Texts,
    args: Texts,
}

/// Texts in one piece of memory: a call has hundreds.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    fn add_to(&self, command: &mut Cmd) {
        let mut start = 0;
        for end in &self.ends {
            command.arg(&self.bytes[start..*end]);
            start = *end;
        }
    }
}

impl Call {
    pub(super) fn new(script: &'static Script) -> Self {
        Self { script, keys: Texts::default(), args: Texts::default() }
    }

    pub(super) fn key(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.keys.push(key.as_ref());
        self
    }

    pub(super) fn arg(&mut self, arg: impl AsRef<[u8]>) -> &mut Self {
        self.args.push(arg.as_ref());
        self
    }

    pub(super) fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.arg(number.into().to_string())
    }

    pub(super) fn count(&mut self, count: usize) -> &mut Self {
        self.number(count as u64)
    }

    fn command(&self) -> Cmd {
        let texts = 3 + self.keys.ends.len() + self.args.ends.len();
        let bytes = self.keys.bytes.len() + self.args.bytes.len();
        let mut command = Cmd::with_capacity(texts, bytes + 64);
        command.arg("EVALSHA").arg(self.script.get_hash()).arg(self.keys.ends.len());
        self.keys.add_to(&mut command);
        self.args.add_to(&mut command);
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
