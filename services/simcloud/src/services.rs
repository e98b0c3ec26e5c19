//! Services that can break and be repaired, each on its own port, with an effect log of what was really done to them.
//! While one is down it complains to Alertmanager, as its Prometheus would.

use std::{
    fs::File,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use regreen_kit::clock;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How often a service that is down complains.
const COMPLAINT: Duration = Duration::from_millis(500);

/// `regreen-simcloud services`.
#[derive(clap::Args)]
pub struct Options {
    /// Names of the services; each gets a port on loopback.
    #[arg(required = true)]
    services: Vec<String>,
    /// Where it listens instead, when there is one: in a container of its own.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Alertmanager: http://host:port. None: nobody complains.
    #[arg(long)]
    alertmanager: Option<String>,
    /// Where effects are written, a line of JSON each.
    #[arg(long)]
    effects: PathBuf,
}

/// One service.
struct Service {
    name: String,
    healthy: Mutex<bool>,
    /// The next repair is done, and nobody is told.
    mute: AtomicBool,
    effects: Arc<Mutex<File>>,
}

impl Service {
    /// Writes what happened, then lets it be so.
    fn happen(&self, what: &str, by: &Value) -> StatusCode {
        let line = json!({"at": clock::wall(), "service": self.name, "what": what, "by": by});
        let mut effects = self.effects.lock().expect("invariant: nobody panics with the file in hand");
        if writeln!(effects, "{line}").is_err() {
            return StatusCode::INSUFFICIENT_STORAGE;
        }
        *self.healthy.lock().expect("invariant: nobody panics with the flag in hand") = what != "break";
        StatusCode::OK
    }

    fn is_healthy(&self) -> bool {
        *self.healthy.lock().expect("invariant: nobody panics with the flag in hand")
    }
}

/// Runs them until it is killed.
pub async fn run(args: Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.listen.is_none() || args.services.len() == 1,
        "--listen is for one service: name one, or leave it out"
    );
    let listen = args.listen.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
    let effects = Arc::new(Mutex::new(File::options().create(true).append(true).open(&args.effects)?));
    let mut addresses = serde_json::Map::new();
    let mut servers = tokio::task::JoinSet::new();
    for name in &args.services {
        let service = Arc::new(Service {
            name: name.clone(),
            healthy: Mutex::new(true),
            mute: AtomicBool::new(false),
            effects: effects.clone(),
        });
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("{listen} can't be listened on"))?;
        addresses.insert(name.clone(), listener.local_addr()?.to_string().into());
        if let Some(alertmanager) = args.alertmanager.clone() {
            tokio::spawn(complain(service.clone(), format!("{alertmanager}/api/v2/alerts")));
        }
        servers.spawn(async move { axum::serve(listener, routes(service)).await });
    }
    // The first line says where everybody is; a drill waits for it.
    writeln!(std::io::stdout(), "{}", Value::Object(addresses))?;
    while let Some(ended) = servers.join_next().await {
        ended??;
    }
    Ok(())
}

fn routes(service: Arc<Service>) -> Router {
    let health = async |State(service): State<Arc<Service>>| {
        if service.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    };
    let state = async |State(service): State<Arc<Service>>| {
        let status = if service.is_healthy() { StatusCode::OK } else { StatusCode::CONFLICT };
        (status, Json(json!({"service": service.name})))
    };
    let home = async |State(service): State<Arc<Service>>| {
        let status = if service.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, format!("this is {}\n", service.name))
    };
    // What its Prometheus sees: it answers also while it is broken.
    let metrics = async |State(service): State<Arc<Service>>| {
        let healthy = u8::from(service.is_healthy());
        format!("# TYPE simcloud_service_healthy gauge\nsimcloud_service_healthy {healthy}\n")
    };
    let repair = async |State(service): State<Arc<Service>>, Json(by): Json<Value>| {
        let done = service.happen("repair", &by["run"]);
        if service.mute.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        done
    };
    let mended = async |State(service): State<Arc<Service>>| service.happen("mend", &Value::Null);
    let mute = async |State(service): State<Arc<Service>>| service.mute.store(true, Ordering::SeqCst);
    let broken = async |State(service): State<Arc<Service>>| service.happen("break", &Value::Null);
    Router::new()
        .route("/", get(home))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/state", get(state))
        .route("/repair", post(repair))
        .route("/break", post(broken))
        .route("/mend", post(mended))
        .route("/mute", post(mute))
        .with_state(service)
}

/// Fires while the service is down, resolves once when it is well again.
async fn complain(service: Arc<Service>, url: String) {
    let client = reqwest::Client::new();
    let mut since: Option<String> = None;
    loop {
        tokio::time::sleep(COMPLAINT).await;
        let now = chrono::DateTime::from_timestamp_millis(clock::wall().0).unwrap_or_default().to_rfc3339();
        let healthy = service.is_healthy();
        let starts = match (&since, healthy) {
            (None, true) => continue,
            (None, false) => now.clone(),
            (Some(since), _) => since.clone(),
        };
        let labels = json!({"alertname": "HelloDown", "node": service.name});
        let mut alert = json!({"labels": labels, "annotations": {"summary": "the service does not answer"}, "startsAt": starts});
        if healthy {
            alert["endsAt"] = now.into();
        }
        let sent = client.post(&url).json(&json!([alert])).send().await;
        // What Alertmanager did not take is said again at the next turn.
        if sent.is_ok_and(|answer| answer.status().is_success()) {
            since = (!healthy).then_some(starts);
        } else {
            since = Some(starts);
        }
    }
}
