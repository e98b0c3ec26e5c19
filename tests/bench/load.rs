//! Load on a whole domain, and the sink that counts what was really done.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use futures::{StreamExt, stream};
use regreen_tests::{Fleet, TOKEN, World, payload};
use serde::Serialize;
use serde_json::{Value, json};

/// Connections that send at the same time.
const CONNECTIONS: usize = 64;
/// Longest wait for the last effects.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// How often and when first each fingerprint was hit.
type Hits = Arc<Mutex<HashMap<String, (u32, Instant)>>>;

/// Counts effects by fingerprint.
#[derive(Clone)]
pub struct Sink {
    port: u16,
    hits: Hits,
}

impl Sink {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let hits: Hits = Arc::default();
        let hit = async |State(hits): State<Hits>, Path(fingerprint): Path<String>| {
            hits.lock().expect("no handler panics").entry(fingerprint).or_insert((0, Instant::now())).0 += 1;
            "{}"
        };
        let app = Router::new().route("/{fingerprint}", get(hit)).with_state(hits.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, hits }
    }

    /// Whether an alert was acted on.
    pub fn was_hit(&self, fingerprint: &str) -> bool {
        self.hits.lock().expect("no handler panics").contains_key(fingerprint)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// What a load got.
#[derive(Debug, Serialize)]
pub struct Got {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub lost: usize,
    pub doubled: usize,
}

pub fn alert(name: &str, fingerprint: &str) -> Value {
    json!({"status": "firing", "labels": {"alertname": name, "instance": fingerprint}, "annotations": {"summary": "a bench"},
        "startsAt": "2026-11-20T11:45:23Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": fingerprint})
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a percentile of a bench"
)]
fn summary(mut millis: Vec<f64>, count: usize, took: Duration, lost: usize, doubled: usize) -> Got {
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| {
        millis.get((millis.len() as f64 * share) as usize).or(millis.last()).copied().unwrap_or(f64::NAN)
    };
    Got { per_second: count as f64 / took.as_secs_f64(), p50_ms: at(0.5), p99_ms: at(0.99), lost, doubled }
}

/// Payloads of alerts that nobody wants, as fast as they are taken.
pub async fn ingest(world: &World, per_payload: usize, time: Duration) -> Got {
    let client = reqwest::Client::new();
    // A few hundred alerts again and again, as an Alertmanager repeats them.
    let bodies: Vec<String> = (0..32)
        .map(|n| {
            let alerts: Vec<Value> = (0..per_payload)
                .map(|k| alert("Noise", &format!("{:016x}", 0xbbb0_0000 + n * 100 + k)))
                .collect();
            payload(&alerts).to_string()
        })
        .collect();
    let (count, began) = (AtomicUsize::new(0), Instant::now());
    let millis: Vec<f64> = stream::iter(0..)
        .take_while(|_| std::future::ready(began.elapsed() < time))
        .map(|n: usize| {
            let (client, body, url, count) =
                (client.clone(), bodies[n % bodies.len()].clone(), world.webhook(), &count);
            async move {
                let sent = Instant::now();
                let answer = client.post(url).bearer_auth(TOKEN).body(body).send().await.expect("an answer");
                assert_eq!(answer.status(), 200);
                count.fetch_add(per_payload, Ordering::Relaxed);
                sent.elapsed().as_secs_f64() * 1000.0
            }
        })
        .buffer_unordered(CONNECTIONS)
        .collect()
        .await;
    summary(millis, count.load(Ordering::Relaxed), began.elapsed(), 0, 0)
}

/// Waits until a manual start, the newest of all facts, has been answered; returns the seconds that took.
pub async fn caught_up(world: &World) -> f64 {
    let began = Instant::now();
    // Refused, for there is no such playbook; but decided, behind everything that was stored before.
    while world.cli(&["start", "none-such"]).status.code() != Some(1) {
        assert!(began.elapsed() < DRAIN_MAX, "the engine does not catch up");
    }
    began.elapsed().as_secs_f64()
}

/// One alert a payload, each of which becomes a run with one effect; at a rate, or as fast as they are taken.
pub async fn runs(world: &World, sink: &Sink, rate: Option<usize>, total: usize) -> Got {
    let client = reqwest::Client::new();
    sink.hits.lock().expect("no handler panics").clear();
    let sent: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
    // No two loads send the same alert.
    static LOADS: AtomicUsize = AtomicUsize::new(1);
    let salt = LOADS.fetch_add(1, Ordering::SeqCst) as u64 * 0x1_0000_0000;
    let began = Instant::now();
    stream::iter(0..total)
        .then(|n| async move {
            if let Some(rate) = rate {
                let due = began + Duration::from_secs_f64(n as f64 / rate as f64);
                tokio::time::sleep_until(due.into()).await;
            }
            n
        })
        .map(|n| {
            let fingerprint = format!("{:016x}", salt + n as u64);
            let (client, url, sent) = (client.clone(), world.webhook(), sent.clone());
            async move {
                let body = payload(&[alert("Bench", &fingerprint)]).to_string();
                sent.lock().expect("nobody panics").insert(fingerprint, Instant::now());
                let answer = client.post(url).bearer_auth(TOKEN).body(body).send().await.expect("an answer");
                assert_eq!(answer.status(), 200);
            }
        })
        .buffer_unordered(CONNECTIONS)
        .collect::<Vec<()>>()
        .await;
    let last = Instant::now();
    while sink.hits.lock().expect("no handler panics").len() < total && last.elapsed() < DRAIN_MAX {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    // A second copy would come a little later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (sent, hits) = (sent.lock().expect("nobody panics"), sink.hits.lock().expect("no handler panics"));
    let millis = hits
        .iter()
        .filter_map(|(fingerprint, (_, at))| Some((*at - *sent.get(fingerprint)?).as_secs_f64() * 1000.0))
        .collect();
    let doubled = hits.values().filter(|(count, _)| *count > 1).count();
    summary(millis, hits.len(), took, total - hits.len().min(total), doubled)
}

/// A service's process.
#[derive(Debug, Serialize)]
pub struct Used {
    pub name: String,
    pub megabytes: f64,
    pub cpu_seconds: f64,
}

/// Memory and CPU of every service, and of nats-server.
pub fn processes(fleet: &Fleet) -> Vec<Used> {
    fleet.processes().into_iter().filter_map(|(name, pid)| used(name, pid)).collect()
}

fn used(name: String, pid: u32) -> Option<Used> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let pages: f64 = fields.get(21)?.parse().ok()?;
    Some(Used { name, megabytes: pages * 4096.0 / 1e6, cpu_seconds: ticks / 100.0 })
}
