//! The simulated cloud, from behind: what the drill does to it, what it looks at, and its effect log.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use regreen_schemas::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::set::GROUP;
use crate::{drill::stage::Stage, programs, up::child_command};

/// Where search nodes answer.
pub const PORT: u16 = 9200;
/// What a cluster counts while shards move.
const MOVES: [&str; 3] = ["relocating_shards", "initializing_shards", "unassigned_shards"];
/// Between two looks whether they do.
const PAUSE: Duration = Duration::from_millis(200);

/// What the search nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Search {
    /// Small ones that answer as Elasticsearch does.
    StandIn,
    /// OpenSearch; `make opensearch` gets it.
    Real,
}

impl Search {
    /// The word, of the option and in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::StandIn => "stand-in",
            Self::Real => "real",
        }
    }

    /// How long an action of the cloud takes: a real node has work of its own beside.
    const fn action_time(self) -> &'static str {
        match self {
            Self::StandIn => "500ms",
            Self::Real => "2s",
        }
    }

    /// How long the first nodes may take.
    const fn patience(self) -> Duration {
        match self {
            Self::StandIn => Duration::from_secs(60),
            Self::Real => Duration::from_secs(300),
        }
    }
}

/// How a droplet's machine fails.
#[derive(Clone, Copy, Debug)]
pub enum Harm {
    /// It dies.
    Kill,
    /// It dies, and nothing brings it back, whatever the API says.
    KillAndBreak,
}

impl Harm {
    /// The word, of the request and in the effect log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillAndBreak => "kill_and_break",
        }
    }
}

/// A droplet.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Droplet {
    /// The provider's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
}

/// A line of the effect log.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// `reboot`, `kill`, …
    pub what: String,
    /// The id.
    pub droplet: u64,
    /// Its name.
    pub name: String,
    /// The request that wanted it; none: it was done behind the API's back.
    pub by: Option<String>,
}

/// The running cloud.
pub struct Cloud {
    http: reqwest::Client,
    /// Where its API is.
    pub api: String,
    token: String,
    effects: PathBuf,
    /// Requests of the drill's own.
    own: Vec<String>,
}

impl Cloud {
    /// Starts it with the nodes of one cluster, and waits until they have formed it.
    pub async fn start(
        stage: &mut Stage,
        alertmanager: &str,
        search: Search,
        token: &str,
    ) -> anyhow::Result<Self> {
        let effects = stage.dir.join("effects.jsonl");
        let mut command = child_command()?;
        command
            .arg(programs::find(&["regreen-simcloud"], "run `make build`")?)
            .args(["digitalocean", "--tag", GROUP, "--token", token])
            .args(["--droplets", &super::set::NODES.to_string()])
            .args(["--network", &network(), "--search", search.word()])
            .args(["--action-time", search.action_time(), "--alertmanager", alertmanager])
            .arg("--effects")
            .arg(&effects)
            .arg("--dir")
            .arg(stage.dir.join("droplets"));
        let first = stage.start_told("simcloud", &mut command, search.patience()).await?;
        let api = first["api"].as_str().context("the cloud does not say where it is")?.to_owned();
        Ok(Self { http: reqwest::Client::new(), api, token: token.to_owned(), effects, own: Vec::new() })
    }

    /// Droplets that are there.
    pub async fn droplets(&self) -> anyhow::Result<Vec<Droplet>> {
        let answer = self.http.get(format!("{}/sim/state", self.api)).send().await?.error_for_status()?;
        let state: Value = answer.json().await?;
        Ok(serde_json::from_value(state["droplets"].clone())?)
    }

    /// Waits until no shard moves. A primary that is being handed over when the quorum is lost may stay closed to writes
    /// for ever (seen of OpenSearch 2.19): that is no matter of the act that follows.
    pub async fn at_rest(&self, within: Duration) -> anyhow::Result<()> {
        let droplets = self.droplets().await?;
        let node = droplets.first().context("there is no droplet")?;
        let url = format!("http://{}:{PORT}/_cluster/health", node.address);
        let until = Instant::now() + within;
        loop {
            let asked = self.http.get(&url).timeout(within).send().await?.error_for_status()?;
            let health: Value = asked.json().await?;
            if MOVES.iter().all(|count| health[count] == 0) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < until, "shards go on moving: {health}");
            sleep(PAUSE).await;
        }
    }

    /// Nodes that the cluster keeps shards away from: after a repair, nobody.
    pub async fn excluded(&self) -> anyhow::Result<Option<String>> {
        const EXCLUDED: &str = "cluster.routing.allocation.exclude._name";
        let droplets = self.droplets().await?;
        let node = droplets.first().context("there is no droplet")?;
        let url = format!("http://{}:{PORT}/_cluster/settings?flat_settings=true", node.address);
        let settings: Value = self.http.get(url).send().await?.error_for_status()?.json().await?;
        let names =
            ["persistent", "transient"].map(|level| settings[level][EXCLUDED].as_str().unwrap_or_default());
        Ok(names.into_iter().find(|names| !names.is_empty()).map(str::to_owned))
    }

    /// Makes a machine fail; returns when it did.
    pub async fn fail(&self, droplet: &Droplet, how: Harm) -> anyhow::Result<Timestamp> {
        let url = format!("{}/sim/droplets/{}/fail", self.api, droplet.id);
        self.http.post(url).json(&json!({"how": how.word()})).send().await?.error_for_status()?;
        let lines = self.effects()?;
        let done = lines.iter().rev().find(|line| line.what == how.word() && line.name == droplet.name);
        done.map(|line| line.at).context("the effect log does not say that it failed")
    }

    /// Asks the API for a power cycle, as an operator would.
    pub async fn power_cycle(&mut self, droplet: &Droplet) -> anyhow::Result<()> {
        let url = format!("{}/v2/droplets/{}/actions", self.api, droplet.id);
        let request = self.http.post(url).bearer_auth(&self.token).json(&json!({"type": "power_cycle"}));
        let answer = request.send().await?.error_for_status()?;
        let id = answer.headers().get("x-request-id").and_then(|id| id.to_str().ok());
        self.own.push(id.context("the cloud gives its requests no id")?.to_owned());
        Ok(())
    }

    /// Whether the drill itself asked for it, or did it behind the API's back.
    pub fn is_own(&self, line: &Line) -> bool {
        line.by.as_ref().is_none_or(|by| self.own.contains(by))
    }

    /// Where the effect log is.
    pub const fn log(&self) -> &PathBuf {
        &self.effects
    }

    /// The effect log as it is now.
    pub fn effects(&self) -> anyhow::Result<Vec<Line>> {
        let text = fs::read_to_string(&self.effects)?;
        let line =
            |line: &str| serde_json::from_str(line).with_context(|| format!("in the effect log: {line}"));
        text.lines().map(line).collect()
    }
}

/// A network of this process's own, so that two drills don't meet.
fn network() -> String {
    let id = std::process::id();
    format!("127.{}.{}.0/24", 64 + id / 250 % 128, id % 250)
}
