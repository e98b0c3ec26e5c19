//! `regreen-simcloud`: what drills break. Small services, or a cloud that speaks DigitalOcean's API and whose droplets
//! are processes of this machine.

mod cloud;
mod search;
mod services;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What drills break.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Services that can break.
    Services(services::Options),
    /// A cloud whose droplets are processes, with search nodes in them.
    Digitalocean(Box<cloud::Options>),
    /// A stand-in for a search node: what runs on a droplet.
    SearchNode(search::Options),
    /// Becomes a program that ends with its parent.
    #[command(hide = true)]
    Child(regreen_kit::child::Options),
}

/// One thread: the kernel ties children to the thread that started them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    regreen_kit::init_tls();
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    logs.with_max_level(tracing::Level::INFO).init();
    match Args::parse().command {
        Command::Services(options) => services::run(options).await?,
        Command::Digitalocean(options) => cloud::run(*options).await?,
        Command::SearchNode(options) => search::run(options).await?,
        Command::Child(options) => return Ok(regreen_kit::child::run(&options)?),
    }
    Ok(ExitCode::SUCCESS)
}
