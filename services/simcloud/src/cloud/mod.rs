//! A cloud that speaks DigitalOcean's API, and whose droplets are processes of this machine, one loopback address each.

mod api;
mod boot;
mod complaints;
mod effects;
mod fault;
mod line;
mod machine;
mod network;
mod sim;
mod state;
mod work;

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::{
    api::{Limit, errors::Refused, show::now},
    effects::Effects,
    fault::Faults,
    line::{Cut, Door},
    machine::{Kind, Machine},
    network::Network,
    state::{Progress, State, Wish},
};
use crate::search::config::HTTP;

/// How long the first nodes may take to form their cluster: Java on a busy machine takes its time.
const FORMING: Duration = Duration::from_secs(180);
/// Pause between two looks whether they have.
const FORMING_PAUSE: Duration = Duration::from_millis(100);

/// `regreen-simcloud digitalocean`.
#[derive(clap::Args)]
pub struct Options {
    /// Droplets that are there when it begins; they are one cluster.
    #[arg(long, default_value_t = 3)]
    droplets: u8,
    /// Their tag, and the name of their cluster; they are called by it, with a number.
    #[arg(long)]
    tag: String,
    /// Their network, on loopback: 127.83.7.0/24.
    #[arg(long)]
    network: Network,
    /// The token that the API wants.
    #[arg(long)]
    token: String,
    /// Where effects are written, a line of JSON each.
    #[arg(long)]
    effects: PathBuf,
    /// Where the droplets' disks are.
    #[arg(long)]
    dir: PathBuf,
    /// What search nodes are.
    #[arg(long, value_enum, default_value = "stand-in")]
    search: Kind,
    /// Alertmanager: http://host:port. None: nobody complains.
    #[arg(long)]
    alertmanager: Option<String>,
    /// How long an action takes: 2s, 500ms.
    #[arg(long, default_value = "2s", value_parser = span)]
    action_time: Duration,
}

/// The cloud.
pub struct Cloud {
    state: Mutex<State>,
    /// Beside the state: a machine takes its time.
    machines: Mutex<BTreeMap<u64, Arc<tokio::sync::Mutex<Machine>>>>,
    effects: Effects,
    faults: Faults,
    limit: Limit,
    requests: AtomicU64,
    token: String,
    /// `http://127.0.0.1:PORT`.
    base: String,
    netmask: Ipv4Addr,
    kind: Kind,
    dir: PathBuf,
    action_time: Duration,
}

fn span(text: &str) -> Result<Duration, String> {
    let millis = crate::search::millis(text).and_then(|millis| u64::try_from(millis).ok());
    millis.map(Duration::from_millis).ok_or_else(|| format!("`{text}` is no span such as 2s or 500ms"))
}

/// Runs it until it is told to end.
pub async fn run(options: Options) -> anyhow::Result<()> {
    if options.search == Kind::Real {
        machine::opensearch()?;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let base = format!("http://{}", listener.local_addr()?);
    std::fs::create_dir_all(&options.dir).with_context(|| format!("can't make {}", options.dir.display()))?;
    let cloud = Arc::new(Cloud {
        netmask: options.network.netmask(),
        state: Mutex::new(State::new(options.network)),
        machines: Mutex::default(),
        effects: Effects::open(&options.effects)?,
        faults: Faults::default(),
        limit: Limit::new(),
        requests: AtomicU64::new(1),
        token: options.token,
        base,
        kind: options.search,
        dir: options.dir.canonicalize()?,
        action_time: options.action_time,
    });
    let routes = api::routes(cloud.clone()).merge(sim::routes(cloud.clone()));
    let service = routes.into_make_service_with_connect_info::<Cut>();
    let serving = axum::serve(Door(listener), service);
    let work = async {
        cloud.begin(&options.tag, options.droplets).await?;
        if let Some(alertmanager) = options.alertmanager {
            tokio::spawn(complaints::run(cloud.clone(), alertmanager, options.tag.clone()));
        }
        std::future::pending::<anyhow::Result<()>>().await
    };
    let ended = tokio::select! {
        ended = serving.into_future() => ended.map_err(Into::into),
        failed = work => failed,
        () = regreen_kit::shutdown::signals() => Ok(()),
    };
    cloud.end().await;
    ended
}

impl Cloud {
    /// Looks at the state, or changes it.
    fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        what(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A droplet's machine.
    fn machine(&self, droplet: u64) -> Option<Arc<tokio::sync::Mutex<Machine>>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).get(&droplet).cloned()
    }

    fn take_machine(&self, droplet: u64) -> Option<Arc<tokio::sync::Mutex<Machine>>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).remove(&droplet)
    }

    /// Gives a new droplet its machine, which is off.
    fn give_machine(&self, droplet: u64) {
        let made = self.with(|state| {
            let one = &state.droplets[&droplet];
            let folder = self.dir.join(format!("{}-{}", one.id, one.name));
            Machine::new(self.kind, &one.name, one.address, &folder, one.wish.user_data.as_deref())
        });
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        machines.insert(droplet, Arc::new(tokio::sync::Mutex::new(made)));
    }

    /// Makes the first droplets, and says on stdout where everybody is when their cluster is formed.
    async fn begin(&self, tag: &str, count: u8) -> anyhow::Result<()> {
        let names: Vec<String> = (1..=count).map(|number| format!("{tag}-{number}")).collect();
        let refused = |refused: Refused| anyhow::anyhow!("the first droplets: {}", refused.message);
        let mut made = Vec::new();
        for name in &names {
            let wish = json!({"name": name, "region": "fra1", "size": "s-4vcpu-8gb", "image": "es-8", "tags": [tag]});
            let wish: Wish = serde_json::from_value(wish)?;
            made.extend(self.with(|state| state.create(&wish, now())).map_err(refused)?);
        }
        let seeds: Vec<String> =
            self.with(|state| made.iter().map(|(id, _)| state.droplets[id].address.to_string()).collect());
        let user_data = boot::first(tag, &seeds, &names);
        for (droplet, action) in &made {
            self.with(|state| {
                if let Some(droplet) = state.droplets.get_mut(droplet) {
                    droplet.wish.user_data = Some(user_data.clone());
                }
                state.end(*action, Progress::Completed, None, now());
            });
            self.give_machine(*droplet);
            if let Some(machine) = self.machine(*droplet) {
                machine.lock().await.start();
            }
        }
        self.formed(&seeds).await?;
        let droplets: Vec<Value> = self.with(|state| {
            let all = state.droplets.values();
            all.map(|one| json!({"id": one.id.to_string(), "name": one.name, "address": one.address}))
                .collect()
        });
        writeln!(std::io::stdout(), "{}", json!({"api": self.base, "droplets": droplets}))?;
        Ok(())
    }

    /// Waits until each of the first nodes sees all of them.
    async fn formed(&self, addresses: &[String]) -> anyhow::Result<()> {
        let client = reqwest::Client::new();
        let began = Instant::now();
        for address in addresses {
            let url = format!("http://{address}:{HTTP}/_cluster/health?local=true");
            let formed = async || {
                let answer = client.get(&url).timeout(Duration::from_secs(5)).send().await.ok()?;
                let health: Value = answer.json().await.ok()?;
                let all = health["number_of_nodes"] == addresses.len() && health["discovered_master"] == true;
                all.then_some(())
            };
            while formed().await.is_none() {
                anyhow::ensure!(
                    began.elapsed() < FORMING,
                    "the search nodes did not form a cluster within {FORMING:?}; their logs are in {}",
                    self.dir.display()
                );
                tokio::time::sleep(FORMING_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Ends all machines.
    async fn end(&self) {
        let machines = std::mem::take(&mut *self.machines.lock().unwrap_or_else(PoisonError::into_inner));
        for machine in machines.into_values() {
            machine.lock().await.kill().await;
        }
    }
}
