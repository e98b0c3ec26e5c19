//! A service as a process of its own: arguments, one configuration file, telemetry, health, and an orderly end.

use std::{
    error::Error,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction, Command, value_parser};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
};
use regreen_schemas::Domain;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Shutdown,
    config::{self, read},
    errors::chain,
    health::Health,
    ready,
    secrets::{Missing, Reference},
    shutdown, telemetry,
};

/// How long a service may take to end: what is under way is finished first.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// The part of a process's health that is its way to NATS: every service says so once it has connected.
pub const NATS: &str = "nats";

/// A failure for people, with its causes.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What every service's file says under `process:`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Where NATS is, and as whom to speak to it.
    pub nats: Nats,
    /// The domain.
    #[serde(default = "domain")]
    pub domain: Domain,
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    pub listen: SocketAddr,
    /// Where traces go, by OTLP over HTTP; none unless given.
    pub otlp_endpoint: Option<String>,
}

/// The way to NATS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// `nats://host:port`, or several with commas.
    pub url: String,
    /// Seed of the service's nkey; none on a server without users.
    pub seed: Option<Reference>,
}

impl Process {
    /// Where NATS is, the domain, and the seed: what a connection needs beside its role.
    ///
    /// # Errors
    /// When the seed is configured and can't be read.
    pub fn place(&self) -> Result<(String, Domain, Option<String>), Missing> {
        Ok((self.nats.url.clone(), self.domain.clone(), self.seed()?))
    }

    /// The seed of the service's nkey.
    fn seed(&self) -> Result<Option<String>, Missing> {
        let seed = self.nats.seed.as_ref().map(|seed| seed.read("nats.seed")).transpose()?;
        Ok(seed.map(|seed| seed.expose_secret().trim().to_owned()))
    }

    /// What can be found wrong with it before anything starts.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(&self) -> Result<(), Failure> {
        token("process.domain", self.domain.as_str())?;
        Ok(self.seed().map(|_| ())?)
    }
}

/// Whether a name can stand in subjects.
///
/// # Errors
/// With what it must be.
pub fn token(key: &str, name: &str) -> Result<(), Failure> {
    if regreen_schemas::id::is_token(name) {
        return Ok(());
    }
    Err(format!("{key}: `{name}` must match [a-z0-9_-]{{1,40}}").into())
}

/// Whether a file can be made at this path.
///
/// # Errors
/// When there is no such folder.
pub fn folder_of(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::metadata(folder)
        .map_err(|error| format!("{}: {error}: make this folder first", folder.display()))?;
    Ok(())
}

fn domain() -> Domain {
    Domain::from("default")
}

/// A service's file.
pub trait Config: DeserializeOwned {
    /// What every file has.
    fn process(&self) -> &Process;

    /// Everything that can be wrong and can be found before anything starts: secrets, files, names.
    ///
    /// # Errors
    /// With what is wrong.
    fn check(&self) -> Result<(), Failure>;

    /// What else `--check-config` refuses, though the service could start.
    ///
    /// # Errors
    /// With what is wrong.
    fn check_more(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Which service this is, on its metrics.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    service: &'static str,
    version: &'static str,
}

/// Runs a service: `main` of its binary. `example` is a file that it takes.
pub fn main<C, F, R>(name: &'static str, about: &'static str, example: &'static str, run: F) -> ExitCode
where
    C: Config + Send + 'static,
    F: FnOnce(C, Health, Shutdown) -> R,
    R: Future<Output = Result<(), Failure>>,
{
    crate::init_tls();
    let arguments = Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .arg(
            Arg::new("config")
                .long("config")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Its configuration"),
        )
        .arg(
            Arg::new("check")
                .long("check-config")
                .action(ArgAction::SetTrue)
                .help("Reads the configuration, says what is wrong with it, and starts nothing"),
        )
        .arg(Arg::new("ready").long("ask-ready").action(ArgAction::SetTrue).conflicts_with("check").help(
            "Asks the process that runs with this configuration whether it is ready, and starts nothing",
        ))
        .after_help(format!("Example of a configuration:\n{example}"))
        .get_matches();
    let path = arguments.get_one::<PathBuf>("config").expect("invariant: clap requires it");
    if arguments.get_flag("ready") {
        return match asked::<C>(path) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, 1),
        };
    }
    let config = match checked::<C>(path) {
        Ok(config) => config,
        Err((code, error)) => return fail(&error, code),
    };
    if arguments.get_flag("check") {
        if let Err(error) = config.check_more() {
            return fail(&format!("{}: {}", path.display(), chain(error.as_ref())).into(), 1);
        }
        eprint(&format!("{}: good", path.display()));
        return ExitCode::SUCCESS;
    }
    let started = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = started.map_err(Failure::from).and_then(|runtime| runtime.block_on(serve(name, config, run)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

/// Reads no secrets: who asks need not be able to.
fn asked<C: Config>(path: &PathBuf) -> Result<(), Failure> {
    let config: C = read(path)?;
    Ok(ready::ask(config.process().listen, "/readyz")?)
}

fn checked<C: Config>(path: &PathBuf) -> Result<C, (u8, Failure)> {
    let config: C = read(path).map_err(|error| {
        let code = if matches!(error, config::Error::Read { .. }) { 2 } else { 1 };
        (code, error.into())
    })?;
    config.check().map_err(|error| (1, format!("{}: {}", path.display(), chain(error.as_ref())).into()))?;
    Ok(config)
}

async fn serve<C, F, R>(name: &'static str, config: C, run: F) -> Result<(), Failure>
where
    C: Config,
    F: FnOnce(C, Health, Shutdown) -> R,
    R: Future<Output = Result<(), Failure>>,
{
    let process = config.process().clone();
    let _telemetry = telemetry::init(name, telemetry::SERVICE, process.otlp_endpoint.as_deref())?;
    let health = Health::default();
    health.metrics(|registry| {
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { service: name, version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "1 for the service that this is, and its version", build);
    });
    health.say(NATS, Err("not connected yet".into()));
    let listener = tokio::net::TcpListener::bind(process.listen)
        .await
        .map_err(|error| format!("{} can't be listened on: {error}", process.listen))?;
    tracing::info!(address = %listener.local_addr()?, "health and metrics are served");
    let serving =
        tokio::spawn(axum::serve(listener, health.router().merge(health.reload_router())).into_future());
    let (trigger, told) = shutdown::channel();
    let mut signalled = told.clone();
    tokio::spawn(async move {
        shutdown::signals().await;
        trigger.end();
        // Held, so that its end means a signal.
        std::future::pending::<()>().await;
    });
    let running = run(config, health, told);
    tokio::pin!(running);
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = signalled.wait() => {
            tracing::info!("ending: what is under way is finished first");
            tokio::time::timeout(DRAIN_MAX, running)
                .await
                .unwrap_or_else(|_| Err(format!("not ended within {DRAIN_MAX:?}; what was under way is cut off").into()))
        }
    };
    serving.abort();
    ended
}

fn fail(error: &Failure, code: u8) -> ExitCode {
    eprint(&format!("error: {}", chain(error.as_ref())));
    ExitCode::from(code)
}

#[expect(clippy::print_stderr, reason = "a process speaks to its starter before there are logs")]
fn eprint(text: &str) {
    eprintln!("{text}");
}
