//! `regreen-simcloud`: what drills break. Small services, or a cloud that speaks DigitalOcean's API and whose droplets
//! are processes of this machine. And a page that catches what people would have been told of it.

mod cloud;
mod page;
mod search;
mod services;

use std::{net::SocketAddr, process::ExitCode};

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
    /// One page that catches what people would have got by Slack, PagerDuty, e-mail and webhooks.
    Page(page::Options),
    /// Asks who listens there: exits 0 when the answer is 200. For health checks of containers.
    Ask {
        /// Where: 127.0.0.1:9000.
        address: SocketAddr,
        /// What: /metrics.
        path: String,
    },
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
        Command::Page(options) => page::run(options).await?,
        Command::Ask { address, path } => regreen_kit::ready::ask(address, &path)?,
        Command::Child(options) => return Ok(regreen_kit::child::run(&options)?),
    }
    Ok(ExitCode::SUCCESS)
}
