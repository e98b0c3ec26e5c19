//! `regreen up`: everything in one command. Children are started from this, the main thread: the kernel ties their
//! life to it. All else runs in the runtime's own threads.

mod nats;
pub mod runner;
mod services;

use std::{
    io::IsTerminal as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ExitCode},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use regreen_engine::library;
pub use regreen_kit::child::command as child_command;
use regreen_kit::{config::Config, shutdown};
use regreen_schemas::Domain;

use crate::{args::LISTEN, out};

/// How often the main thread looks at its children.
const PULSE: Duration = Duration::from_millis(50);
/// How long the services may take to end.
const GRACE: Duration = Duration::from_secs(8);
/// Pause before a runner that died is started again.
const RUNNER_PAUSE: Duration = Duration::from_millis(500);

/// Arguments.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Where NATS, keys and journals are kept.
    #[arg(long, default_value = ".regreen")]
    pub data_dir: PathBuf,
    /// Files and folders with playbooks, checks and policy.
    #[arg(long, required = true)]
    pub playbooks: Vec<PathBuf>,
    /// Files and folders with the inventory.
    #[arg(long)]
    pub inventory: Vec<PathBuf>,
    /// Addresses, credentials, secrets.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Another NATS server instead of a private one; `regreen init` must have been run on it.
    #[arg(long)]
    pub nats: Option<String>,
    /// File with the seed of a user's nkey for `--nats`.
    #[arg(long)]
    pub creds: Option<PathBuf>,
    /// Where webhooks, health and metrics are served.
    #[arg(long, default_value_t = LISTEN)]
    pub listen: SocketAddr,
    /// Name of the place that checks are looked at from. Given again, more of them: for sets that name several. From one
    /// machine they see the same, so that a quorum of them proves nothing.
    #[arg(long, default_value = "main")]
    pub vantage: Vec<String>,
}

/// Told by SIGINT and SIGTERM.
static ENDING: AtomicBool = AtomicBool::new(false);

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let config = options.config.as_ref().map(Config::read).transpose()?.unwrap_or_default();
    // The runner reads this part for itself; what is wrong with it is said before anything starts.
    options.config.as_ref().map(regreen_runner::providers::Options::read).transpose()?;
    let paths: Vec<PathBuf> = options.playbooks.iter().chain(&options.inventory).cloned().collect();
    let files = library::read(&paths)?;
    let (set, findings) = library::compile(&files);
    if !findings.list.is_empty() {
        out::error(&findings.render(std::io::stderr().is_terminal()));
    }
    let Some(set) = set else {
        out::error("nothing was started: these files are not good yet");
        return Ok(ExitCode::from(1));
    };
    regreen_ingest::closed(&config.auth, options.listen)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _telemetry = {
        let _inside = runtime.enter();
        regreen_kit::telemetry::init(
            "regreen",
            regreen_kit::telemetry::SERVICE,
            config.otlp_endpoint.as_deref(),
        )?
    };
    if config.auth.is_empty() {
        tracing::warn!(
            "no credentials under `auth:`: anybody on this machine may send alerts; listening on loopback only"
        );
    }
    tracing::info!(playbooks = set.playbooks.len(), checks = set.checks.len(), "the set is good");
    std::fs::create_dir_all(&options.data_dir)
        .with_context(|| format!("{} can't be made", options.data_dir.display()))?;
    let domain = Domain::from("default");
    let (server, place) = nats::start(options, &domain)?;
    let (trigger, shutdown) = shutdown::channel();
    let services = services::Services { options: options.clone(), config, paths, domain, place, shutdown };
    let runner_file = services.runner_file()?;
    runtime.spawn(async {
        shutdown::signals().await;
        ENDING.store(true, Ordering::SeqCst);
    });
    let running = runtime.spawn(services.run());
    let code = supervise(server, &runner_file, || running.is_finished());
    trigger.end();
    // What is under way is stored first; with NATS gone that would take for ever.
    let ended = runtime.block_on(async { tokio::time::timeout(GRACE, running).await });
    // The private server goes last.
    code?.end();
    ended.context("the services did not end in time")???;
    Ok(ExitCode::SUCCESS)
}

/// The children that must outlive the services.
struct Children {
    server: Option<Child>,
    runner: Child,
}

impl Children {
    fn end(mut self) {
        terminate(&mut self.runner);
        if let Some(server) = &mut self.server {
            terminate(server);
        }
    }
}

/// Asks a child to end and waits; one that does not is ended.
pub fn terminate(child: &mut Child) {
    if let Some(pid) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    for _ in 0..100 {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        std::thread::park_timeout(PULSE);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Watches the children from the main thread until it is time to end. A runner that died is started again; a
/// server that died ends everything, loudly.
fn supervise(
    mut server: Option<Child>,
    runner_file: &PathBuf,
    finished: impl Fn() -> bool,
) -> anyhow::Result<Children> {
    let mut runner = spawn_runner(runner_file)?;
    while !ENDING.load(Ordering::SeqCst) && !finished() {
        if let Some(child) = &mut server
            && let Some(status) = child.try_wait()?
        {
            terminate(&mut runner);
            anyhow::bail!("the private nats-server ended: {status}; see nats.log in the data directory");
        }
        if let Some(status) = runner.try_wait()? {
            tracing::error!(%status, "the runner ended; starting it again");
            std::thread::park_timeout(RUNNER_PAUSE);
            runner = spawn_runner(runner_file)?;
        }
        std::thread::park_timeout(PULSE);
    }
    Ok(Children { server, runner })
}

fn spawn_runner(file: &PathBuf) -> anyhow::Result<Child> {
    let exe = std::env::current_exe()?;
    child_command()?.arg(exe).arg("runner-process").arg(file).spawn().context("the runner can't be started")
}
