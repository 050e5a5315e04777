//! The load tests' command.

use std::net::SocketAddr;

use clap::{Parser, Subcommand};
use loadtests::sink::Sink;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(version, about = "Load generator, receiver, verifier and fault tests")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A receiver that behaves as its paths say and writes down every request
    Sink {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Sink { listen } => {
            let sink = Sink::start(listen)?;
            println!("listening on {}", sink.address());
            sink.join();
            Ok(())
        }
    }
}
