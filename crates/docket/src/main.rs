//! How people and programs reach Docket: the command line, HTTP, configuration. The only place with routes, flags,
//! environment and clock.

mod cli;
mod config;
mod http;
mod passphrase;
mod reload;
mod signing_command;
mod telemetry;
mod witnesses;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
