//! The runner of `up`: a process of its own, because its hard deadline ends the process.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use regreen_action::Options;
use regreen_bus::{Bus, connect};
use regreen_kit::{config::Config, shutdown};
use regreen_runner::providers;
use serde::{Deserialize, Serialize};

/// Name of the runner of `up`.
pub const NAME: &str = "main";
/// What the runner's process needs; readable by its owner only.
#[derive(Serialize, Deserialize)]
pub struct File {
    /// Address of NATS.
    pub nats: String,
    /// The domain.
    pub domain: String,
    /// Its seed.
    pub seed: Option<String>,
    /// Where the secrets are named.
    pub config: Option<PathBuf>,
    /// Its journal.
    pub journal: PathBuf,
}

pub fn run(file: &Path) -> anyhow::Result<ExitCode> {
    let file: File =
        serde_json::from_slice(&std::fs::read(file)?).with_context(|| format!("{}", file.display()))?;
    let config = file.config.as_ref().map(Config::read).transpose()?.unwrap_or_default();
    let providers = file.config.as_ref().map(providers::Options::read).transpose()?.unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let _telemetry = regreen_kit::telemetry::init(
            "regreen-runner",
            regreen_kit::telemetry::SERVICE,
            config.otlp_endpoint.as_deref(),
        )?;
        let options = connect::Options {
            url: file.nats,
            domain: file.domain.into(),
            user: format!("runner-{NAME}"),
            seed: file.seed,
        };
        let bus = Bus::connect(&options).await?;
        let (trigger, shutdown) = shutdown::channel();
        tokio::spawn(async move {
            shutdown::signals().await;
            trigger.end();
        });
        let host = Options {
            name: NAME.into(),
            zone: "main".into(),
            journal: file.journal,
            at_once: regreen_runner::process::AT_ONCE,
            ends_process: true,
            // Nothing is served here: what becomes of its calls is the engine's to tell.
            metrics: regreen_action::Metrics::default(),
        };
        regreen_runner::run(bus, host, &providers, &config.secrets, shutdown).await?;
        Ok(ExitCode::SUCCESS)
    })
}
