//! How the commands of a person reach NATS: by the data directory of `up`, or by address and key.

use std::{os::unix::fs::OpenOptionsExt as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use regreen_bus::{Bus, connect};
use serde::{Deserialize, Serialize};

use crate::args::Connect;

/// `client.json`, written by `up`, and by `users` for who runs apart.
#[derive(Serialize, Deserialize)]
pub struct Client {
    /// Address of NATS.
    pub nats: String,
    /// The domain.
    pub domain: String,
    /// The operator's name: source of what they do.
    pub operator: String,
    /// Seed of the operator's nkey; none where the server has no users.
    pub seed: Option<String>,
    /// Where `up` listens; nowhere in a domain whose services run apart.
    pub listen: Option<String>,
}

/// A connection, and who is connected.
pub struct Connected {
    /// The bus.
    pub bus: Bus,
    /// The operator's name.
    pub operator: String,
    /// Where `up` listens, if it is known.
    pub listen: Option<String>,
}

/// Runs a command's future.
pub fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let _telemetry = regreen_kit::telemetry::init("regreen", regreen_kit::telemetry::COMMAND, None)?;
    block_on_screen(command)
}

/// As [`block_on`], without logs: the whole screen is the command's own.
pub fn block_on_screen(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(command)
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    let next = path.with_extension("next");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&next, path).with_context(|| format!("{} can't be written", path.display()))
}

/// The seed in the file of `--creds`, if one is given.
pub fn read_seed(creds: Option<&Path>) -> anyhow::Result<Option<String>> {
    let text = creds.map(std::fs::read_to_string).transpose().context("--creds can't be read")?;
    Ok(text.map(|text| text.trim().to_owned()))
}

pub async fn connect(options: &Connect) -> anyhow::Result<Connected> {
    let (client, listen) = match &options.nats {
        Some(nats) => {
            let seed = read_seed(options.creds.as_deref())?;
            let (nats, domain) = (nats.clone(), options.domain.clone());
            (Client { nats, domain, operator: options.operator.clone(), seed, listen: None }, None)
        }
        None => {
            let file = options.data_dir.join("client.json");
            let text = std::fs::read_to_string(&file).with_context(|| {
                format!(
                    "{} is not there: is `regreen up --data-dir {}` running?",
                    file.display(),
                    options.data_dir.display()
                )
            })?;
            let client: Client =
                serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
            let listen = client.listen.clone();
            (client, listen)
        }
    };
    let options = connect::Options {
        url: client.nats,
        domain: client.domain.into(),
        user: format!("operator-{}", client.operator),
        seed: client.seed,
    };
    Ok(Connected { bus: Bus::connect(&options).await?, operator: client.operator, listen })
}
