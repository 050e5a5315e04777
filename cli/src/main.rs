//! `sluicegate`: runs the gateway, the dispatcher, or both in one process.

mod admin;
mod arguments;
mod config;
mod exit;
mod health;
mod listen;
mod logging;
mod readiness;
mod serve;
mod store;
mod sweep;
mod token;
mod welcome;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    arguments::{Arguments, Command, ConfigCommand, Flags, Role},
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
