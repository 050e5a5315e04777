//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{exit, top::Sort};

/// More often than this nobody can look.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// A webhook gateway: takes events over HTTP, keeps them, and delivers each to every subscribed
/// endpoint.
///
/// Without a subcommand it runs all in one process: API, dispatcher and an embedded store in a
/// directory.
#[derive(Debug, Parser)]
#[command(version, after_help = exit::HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// What to do; nothing: run all in one process.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Settings of all in one.
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run only the API, on Redis
    ///
    /// Gateways hold no state: run as many as you like behind a load balancer.
    Gateway(Flags),
    /// Run only the deliveries, on Redis
    ///
    /// Dispatchers share the lanes among themselves: run as many as you like.
    Dispatcher(Flags),
    /// Receive webhooks and print them, for trying things out
    Listen(ListenFlags),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make a running server have what a file says: applications, endpoints, event types, limits, keys
    ///
    /// It can be repeated: what is there already is left alone. See docs/declarative.md.
    Apply(ApplyFlags),
    /// Print what a running server has, as `apply` reads it, without secrets
    Export(ServerFlags),
    /// Keys that encrypt what is secret in the store
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Check settings, store, clock, network and secrets, and say what to do about what is wrong; exit 1 if
    /// anything fails
    ///
    /// It takes the settings of the process that is meant, changes nothing, and may run beside it, as the
    /// same user. Only if no process has the embedded store open does it open that, as a start would.
    Doctor(DoctorFlags),
    /// Show destinations as they change: which wait, how long, and how deliveries to them go
    ///
    /// It asks the admin addresses of dispatchers. On a terminal it draws them anew, and keys change the order;
    /// elsewhere it prints the table again and again.
    Top(TopFlags),
    /// Ask the process on admin-listen whether it is ready; exit 0 if so, else 1
    Health(Flags),
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Load everything and say what is wrong; exit 78 if anything is
    Check(ConfigFlags),
    /// Show the settings that hold, and where each comes from; secrets are left out
    Print(ConfigFlags),
}

/// What to do with the keys of secrets.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub(crate) enum SecretsCommand {
    /// Print a new key, for secrets.keys or secrets.keys_file
    GenerateKey,
    /// Print a new API key, for `apiKeys` of a file that is applied
    GenerateApiKey,
    /// Encrypt all secrets anew with the first key, through a running server
    ///
    /// It can be repeated, and interrupted. Once it says that nothing is left, the older keys can go.
    Rewrap(ServerFlags),
}

/// What to apply.
#[derive(Debug, Args)]
pub(crate) struct ApplyFlags {
    /// The file, in YAML
    #[arg(long, short, value_name = "PATH")]
    pub(crate) file: PathBuf,
    /// Only say what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Remove what an earlier apply of this declaration has made and the file does not name any more
    #[arg(long)]
    pub(crate) prune: bool,
    /// To which server.
    #[command(flatten)]
    pub(crate) server: ServerFlags,
}

/// A running server, and the token that it asks for.
#[derive(Debug, Args)]
pub(crate) struct ServerFlags {
    /// URL of the server [default: the setting `listen` on this machine]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<url::Url>,
    /// Where the token comes from, as for the server itself.
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// Which configuration is meant.
#[derive(Debug, Args)]
pub(crate) struct ConfigFlags {
    /// Which process it is for
    #[arg(long, value_enum, default_value_t = Role::AllInOne)]
    pub(crate) role: Role,
    /// The settings themselves.
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What is to be checked, and how it is told.
#[derive(Debug, Args)]
pub(crate) struct DoctorFlags {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Which configuration is meant.
    #[command(flatten)]
    pub(crate) of: ConfigFlags,
}

/// Which destinations are shown, and how.
#[derive(Debug, Args)]
pub(crate) struct TopFlags {
    /// Admin address of a dispatcher, such as http://host:8081; repeatable: all of them make the whole
    /// [default: the setting `admin_listen` on this machine]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Vec<url::Url>,
    /// What comes first
    #[arg(long, value_enum, default_value_t)]
    pub(crate) sort: Sort,
    /// How many destinations at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) limit: u16,
    /// How often to ask
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    pub(crate) every: Duration,
    /// Print a table, and end; exit 1 if a dispatcher does not answer
    #[arg(long)]
    pub(crate) once: bool,
    /// Print JSON, and end
    #[arg(long)]
    pub(crate) json: bool,
    /// Where `admin_listen` comes from.
    #[command(flatten)]
    pub(crate) flags: Flags,
}

fn interval(text: &str) -> Result<Duration, String> {
    match humantime_serde::re::humantime::parse_duration(text) {
        Ok(duration) if duration >= SHORTEST_INTERVAL => Ok(duration),
        Ok(_) => Err(format!("use {SHORTEST_INTERVAL:?} or more")),
        Err(error) => Err(error.to_string()),
    }
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Everything.
    AllInOne,
    /// The API.
    Gateway,
    /// The deliveries.
    Dispatcher,
}

impl Role {
    /// Whether it serves the API.
    pub(crate) fn takes_messages(self) -> bool {
        self != Self::Dispatcher
    }

    /// Whether it delivers.
    pub(crate) fn delivers(self) -> bool {
        self != Self::Gateway
    }
}

/// Settings that have a flag. They stay texts here: the configuration reads them the same way
/// wherever they come from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Flags {
    /// Configuration file [default: SLUICEGATE_CONFIG, or ./sluicegate.toml where it exists]
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Where the API listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Where /metrics, /livez and /readyz are served [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<String>,
    /// `embedded` (one process) or `redis://HOST[:PORT][/DATABASE]` [default: embedded]
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
    /// Directory of the embedded store and the generated API token [default: sluicegate-data]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<String>,
    /// Bearer token of the API; other users of this machine can see it, so prefer
    /// SLUICEGATE_API_TOKEN or --api-token-file [default: all in one makes one]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) api_token: Option<String>,
    /// File that holds the bearer token of the API
    #[arg(long, value_name = "PATH")]
    pub(crate) api_token_file: Option<String>,
    /// Network in which deliveries may be private, use http and any port; repeatable, or a comma list
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) allow_cidr: Vec<String>,
    /// What an accepted message survives: process, disk or replicated [default: disk]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) durability: Option<String>,
    /// How long work under way may take to end after SIGTERM [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) shutdown_grace: Option<String>,
}

impl Flags {
    /// The settings that were given, by name.
    pub(crate) fn given(&self) -> toml::Table {
        let texts = [
            ("listen", &self.listen),
            ("admin_listen", &self.admin_listen),
            ("store", &self.store),
            ("data_dir", &self.data_dir),
            ("api_token", &self.api_token),
            ("api_token_file", &self.api_token_file),
            ("durability", &self.durability),
            ("shutdown_grace", &self.shutdown_grace),
        ];
        let mut given: toml::Table = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into())))
            .collect();
        if !self.allow_cidr.is_empty() {
            given.insert("allow_cidr".into(), self.allow_cidr.clone().into());
        }
        given
    }
}

/// Settings of the receiver.
#[derive(Debug, Args)]
pub(crate) struct ListenFlags {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    pub(crate) listen: SocketAddr,
    /// Signing secret of the endpoint (`whsec_…`); without it signatures are not checked
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Option<String>,
    /// HTTP status to answer with
    #[arg(long, value_name = "STATUS", default_value_t = 204,
          value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) status: u16,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Arguments::command().debug_assert();
    }
}
