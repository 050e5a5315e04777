//! `sluicegate`: runs the gateway, the dispatcher, or both in one process.

mod admin;
mod arguments;
mod client;
mod config;
mod declare;
mod doctor;
mod endpoints;
mod exit;
mod health;
mod keys;
mod listen;
mod logging;
mod metrics;
mod private;
mod readiness;
mod rewrap;
mod serve;
mod store;
mod sweep;
mod token;
mod top;
mod traces;
mod welcome;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    arguments::{Arguments, Command, ConfigCommand, Flags, Role, SecretsCommand},
    config::Config,
    exit::Result,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        None => serve(&arguments.flags, Role::AllInOne),
        Some(Command::Gateway(flags)) => serve(&flags, Role::Gateway),
        Some(Command::Dispatcher(flags)) => serve(&flags, Role::Dispatcher),
        Some(Command::Listen(flags)) => actix_rt::System::new().block_on(listen::listen(&flags)),
        Some(Command::Config(ConfigCommand::Check(of))) => {
            Config::load(&of.flags, of.role)?;
            println!("the configuration can work");
            Ok(())
        }
        Some(Command::Config(ConfigCommand::Print(of))) => {
            print!("{}", Config::load(&of.flags, of.role)?.print()?);
            Ok(())
        }
        Some(Command::Secrets(SecretsCommand::GenerateKey)) => {
            println!("{}", shared::sealing::SealingKey::generate());
            Ok(())
        }
        Some(Command::Secrets(SecretsCommand::GenerateApiKey)) => {
            println!("{}", gateway::generate_api_key());
            Ok(())
        }
        Some(Command::Apply(flags)) => actix_rt::System::new().block_on(declare::apply(&flags)),
        Some(Command::Export(flags)) => actix_rt::System::new().block_on(declare::export(&flags)),
        Some(Command::Secrets(SecretsCommand::Rewrap(server))) => {
            actix_rt::System::new().block_on(rewrap::rewrap(&server))
        }
        Some(Command::Doctor(flags)) => actix_rt::System::new().block_on(doctor::doctor(&flags)),
        Some(Command::Top(flags)) => actix_rt::System::new().block_on(top::top(&flags)),
        Some(Command::Health(flags)) => {
            let settings = Config::load(&flags, Role::AllInOne)?.settings;
            Ok(health::ask(settings.admin_listen)?)
        }
    }
}

fn serve(flags: &Flags, role: Role) -> Result<()> {
    let config = Config::load(flags, role)?;
    actix_rt::System::new().block_on(serve::serve(config, role))
}
