//! The services that share `up`'s process: engine, ingest, probe, notifier, each as its own user of NATS.

use std::path::PathBuf;

use anyhow::Context as _;
use regreen_bus::{
    Bus, connect,
    rights::Role,
    streams::{self, Sizing},
};
use regreen_engine::{Status, loader};
use regreen_kit::{Shutdown, clock, config::Config, health::Health};
use regreen_probe::expose;
use regreen_schemas::Domain;
use tokio::{sync::watch, task::JoinSet};

use super::{Options, nats::Place, runner};
use crate::{client, out};

/// Everything that the services need.
pub struct Services {
    pub options: Options,
    pub config: Config,
    pub paths: Vec<PathBuf>,
    pub domain: Domain,
    pub place: Place,
    pub shutdown: Shutdown,
}

impl Services {
    /// Writes what the runner's process needs.
    pub fn runner_file(&self) -> anyhow::Result<PathBuf> {
        let role = Role::Runner { name: runner::NAME.into() };
        let dir = std::path::absolute(&self.options.data_dir)?;
        let file = runner::File {
            nats: self.place.url.clone(),
            domain: self.domain.to_string(),
            seed: self.place.seed(&role),
            config: self.options.config.as_ref().map(std::path::absolute).transpose()?,
            journal: dir.join("runner.journal"),
        };
        let path = dir.join("runner.json");
        client::write_private(&path, &serde_json::to_vec(&file)?)?;
        Ok(path)
    }

    async fn connect(&self, role: &Role) -> anyhow::Result<Bus> {
        let (url, domain) = (self.place.url.clone(), self.domain.clone());
        let options = connect::Options::of(role, url, domain, self.place.seed(role));
        Ok(Bus::connect(&options).await?)
    }

    /// A probe for each vantage: its name, its connection, and what it sees itself.
    async fn probes(&self) -> anyhow::Result<Vec<(String, Bus, watch::Sender<expose::Own>)>> {
        let mut probes = Vec::new();
        for vantage in &self.options.vantage {
            let probe = self.connect(&Role::Probe { vantage: vantage.as_str().into() }).await?;
            probes.push((vantage.clone(), probe, watch::Sender::new(expose::Own::default())));
        }
        Ok(probes)
    }

    /// Runs until told to end, or until a service can't go on.
    pub async fn run(self) -> anyhow::Result<()> {
        if self.place.own {
            let admin = self.connect(&Role::Admin).await?;
            // Only our own empty directory is initialised unasked (rule 1).
            let sizing = Sizing { replicas: 1, bytes: self.place.store / 100 * 95 };
            streams::init(&admin, sizing, clock::wall(), false).await?;
            for drift in streams::drift(&admin, 1).await? {
                tracing::warn!(
                    stream = drift.stream,
                    setting = drift.setting,
                    wanted = drift.wanted,
                    found = drift.found,
                    "a stream has drifted"
                );
            }
        }
        let health = Health::default();
        health.say("engine", Err("starting".into()));
        let (status, mut watched) = watch::channel(Status::default());
        let ingest = self.connect(&Role::Ingest).await?;
        let probes = self.probes().await?;
        // All of them look from here: what one sees itself is what is said while nobody decides.
        let (_, first, own) = probes.first().context("--vantage names none")?;
        let app = regreen_ingest::router(&ingest, &self.config, &health)?
            .merge(health.router())
            .merge(expose::router(first, own.subscribe()).await?);
        // Whoever may send alerts need not read policy.
        let app =
            if self.options.listen.ip().is_loopback() { app.merge(health.reload_router()) } else { app };
        let (bound, address) = tokio::sync::oneshot::channel();
        let tls = self.config.tls.clone();
        let (listen, shutdown) = (self.options.listen, self.shutdown.clone());
        let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
        tasks.spawn(async move {
            // Nobody waits for it once the services end.
            let tell = |address| _ = bound.send(address);
            regreen_ingest::serve(app, listen, tls.as_ref(), tell, shutdown)
                .await
                .with_context(|| format!("{listen} can't be served"))
        });
        if let Ok(address) = address.await {
            self.write_client(&address.to_string())?;
            tokio::spawn(async move {
                while watched.changed().await.is_ok() {
                    let now = watched.borrow_and_update().clone();
                    if now.phase != "catching up" && !now.phase.is_empty() {
                        out::error(&format!(
                            "regreen is {}; webhooks at http://{address}/webhooks/alertmanager",
                            now.phase
                        ));
                        return;
                    }
                }
            });
        }
        let engine = self.connect(&Role::Engine).await?;
        let options = regreen_engine::Options {
            own_server: self.place.own,
            files: loader::follow(self.paths.clone(), loader::Hangup::Ends, &health),
            snapshots: self.config.snapshots,
            janitor: Some(self.connect(&Role::Janitor).await?),
        };
        let (engine_health, shutdown) = (health.clone(), self.shutdown.clone());
        tasks.spawn(async move {
            Ok(regreen_engine::run(engine, options, engine_health, status, shutdown).await?)
        });
        for (vantage, probe, own) in probes {
            let (reference, shutdown) = (self.config.reference.clone(), self.shutdown.clone());
            let looker = regreen_probe::Looker::new(self.config.secrets.clone(), self.config.ca.clone())?;
            tasks.spawn(async move {
                Ok(regreen_probe::run(probe, vantage.into(), reference, looker, own, shutdown).await?)
            });
        }
        let notifier = self.connect(&Role::Notifier).await?;
        let host = regreen_notifier::options(self.options.data_dir.join("notifier.journal"));
        let settings = regreen_notifier::Settings {
            secrets: self.config.secrets.clone(),
            channels: self.config.channels(),
            deadman: self.config.deadman.clone(),
        };
        let shutdown = self.shutdown.clone();
        tasks.spawn(
            async move { Ok(regreen_notifier::run(notifier, host, settings, &health, shutdown).await?) },
        );
        // The first service that ends takes the others with it: half a system is worse than none.
        let mut outcome = Ok(());
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.unwrap_or_else(|panic| Err(anyhow::anyhow!("a service panicked: {panic}")));
            if let Err(error) = ended {
                tasks.abort_all();
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }

    /// Leaves word for the other commands.
    fn write_client(&self, listen: &str) -> anyhow::Result<()> {
        let operator = "local".to_owned();
        let client = client::Client {
            nats: self.place.url.clone(),
            domain: self.domain.to_string(),
            seed: self.place.seed(&Role::Operator { name: operator.clone() }),
            operator,
            listen: Some(listen.to_owned()),
        };
        client::write_private(
            &self.options.data_dir.join("client.json"),
            &serde_json::to_vec_pretty(&client)?,
        )
    }
}
