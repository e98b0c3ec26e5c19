//! A stand-in for a search node, as one process: it joins its cluster by seed hosts, votes, keeps documents, and
//! answers as Elasticsearch does where probes, runners and drills ask.

mod allocate;
mod change;
pub mod config;
mod disk;
mod documents;
mod errors;
mod health;
mod http;
mod lead;
mod member;
mod model;
mod node;
mod query;
mod seek;
mod settings;
mod transport;
mod voting;
mod wire;

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::Context as _;
pub use model::millis;

use config::{HTTP, Machine, TRANSPORT};
use node::Node;
use tokio::net::TcpListener;

/// `regreen-simcloud search-node`.
#[derive(clap::Args)]
pub struct Options {
    /// Its elasticsearch.yml.
    #[arg(long)]
    config: PathBuf,
    /// Where it keeps what it must not forget.
    #[arg(long)]
    data: PathBuf,
    /// The machine's address.
    #[arg(long)]
    address: Ipv4Addr,
    /// The machine's name: `${HOSTNAME}` of the configuration.
    #[arg(long)]
    hostname: String,
}

/// Runs the node until it is told to end.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let machine = Machine { hostname: options.hostname, address: options.address };
    let path = options.config.display();
    let text = std::fs::read_to_string(&options.config).with_context(|| format!("can't read {path}"))?;
    let config = config::read(&text, &machine)?;
    let bind = async |port| {
        let listener = TcpListener::bind((machine.address, port)).await;
        listener.with_context(|| format!("{}:{port} can't be listened on", machine.address))
    };
    let (http, transport) = (bind(HTTP).await?, bind(TRANSPORT).await?);
    let node = Node::open(config, machine.clone(), &options.data)?;
    let clients = axum::serve(http, http::routes(node.clone()));
    let members = axum::serve(transport, transport::routes(node.clone()));
    tokio::select! {
        ended = clients.into_future() => Ok(ended?),
        ended = members.into_future() => Ok(ended?),
        () = node.run() => Ok(()),
        () = regreen_kit::shutdown::signals() => Ok(()),
    }
}
