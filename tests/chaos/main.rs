//! `make chaos`: kills services and nats-server with -9 at random moments, under load, and counts what was lost and
//! what was doubled by the effect log. The seed chooses whom, when, and for how long; it is printed.

mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use regreen_bus::streams;
use regreen_engine::recover;
use regreen_tests::{Fleet, PARTS, TOKEN, payload};
use serde::Serialize;
use serde_json::{Value, json};

const PLAYBOOK: &str = r#"apiVersion: regreen/v1
playbook: chaos
mode: auto
triggers: [{alert: ['alertname="Chaos"']}]
steps:
  - id: act
    use: http.request
    attempts: 20
    timeout: 5s
    with:
      url: "WORLD/act/{{ alert.fingerprint }}"
      observe: {url: "WORLD/look/{{ alert.fingerprint }}", done: "status == 200 && json.effects > 0"}
"#;

/// Longest time for what is open after the last kill.
const SETTLE_MAX: Duration = Duration::from_secs(180);
/// Senders at the same time.
const SENDERS: usize = 64;

/// Kills services at random under load, and counts what was lost and doubled.
#[derive(Parser)]
struct Args {
    /// How many kills.
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// Goes on for so many minutes instead.
    #[arg(long)]
    minutes: Option<u64>,
    /// Chooses whom, when, and for how long.
    #[arg(long)]
    seed: Option<u64>,
    /// Alerts a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    seed: u64,
    seconds: u64,
    kills: BTreeMap<String, u32>,
    accepted: usize,
    effects: usize,
    lost: usize,
    doubled: Vec<String>,
    open: usize,
    most_in_flight: usize,
    takeovers: usize,
    runs: BTreeMap<String, u32>,
}

#[expect(clippy::print_stderr, reason = "progress for whoever waits")]
fn say(text: &str) {
    eprintln!("{text}");
}

#[tokio::main]
async fn main() -> ExitCode {
    regreen_testkit::init_tls();
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(rand::random);
    say(&format!("seed {seed}"));
    let report = chaos(&args, seed).await;
    let good = report.lost == 0 && report.doubled.is_empty() && report.open == 0;
    use std::io::Write as _;
    let text = serde_json::to_string_pretty(&report).unwrap_or_default();
    let _ = writeln!(std::io::stdout(), "{text}");
    if good {
        say(&format!(
            "0 lost, 0 doubled of {} in {} kills",
            report.accepted,
            report.kills.values().sum::<u32>()
        ));
        return ExitCode::SUCCESS;
    }
    say(&format!("this is wrong; again with --seed {seed}"));
    ExitCode::from(1)
}

async fn chaos(args: &Args, seed: u64) -> Report {
    let (url, effects) = world::start().await;
    let mut fleet = Fleet::sized(2048, |text| {
        let checks = text.split("---").nth(1).map(str::to_owned).unwrap_or_default();
        format!("{}---{checks}", PLAYBOOK.replace("WORLD", &url))
    })
    .await;
    fleet.snapshots = "{every: 5s, audit: 1h}".into();
    let nats = fleet.nats.url();
    for part in ["engine-a", "engine-b"] {
        fleet.write(part, &nats);
    }
    fleet.start_all().await;
    let load = Load::start(fleet.world.webhook(), args.rate);
    let began = Instant::now();
    let (kills, most_in_flight) = kill(&mut fleet, args, seed, &load, &effects).await;
    let accepted = load.end().await;
    settle(&fleet, &accepted, &effects).await;
    let done = effects.lock().expect("no handler panics").clone();
    let bus = fleet.admin().await;
    // The log must fold, and its chain hold, whatever happened.
    let recovered = recover::recover(&bus).await.expect("the log folds");
    let stories = regreen_bus::stories::all(&bus).await.expect("RUNS can be read");
    let mut runs: BTreeMap<String, u32> = BTreeMap::new();
    for story in &stories {
        let result = story.result.map_or("open", |result| result.word());
        *runs.entry(result.to_owned()).or_default() += 1;
    }
    let facts = streams::extent(&bus, bus.names.facts()).await.expect("FACTS").last;
    say(&format!("FACTS ends at {facts}, decided to {}", recovered.state.cursor.seq));
    Report {
        seed,
        seconds: began.elapsed().as_secs(),
        kills,
        effects: done.values().map(|count| *count as usize).sum(),
        lost: accepted.iter().filter(|alert| !done.contains_key(*alert)).count(),
        doubled: done.iter().filter(|(_, count)| **count > 1).map(|(alert, _)| alert.clone()).collect(),
        accepted: accepted.len(),
        open: recovered.state.runs.len(),
        most_in_flight,
        takeovers: ["engine-a", "engine-b"]
            .map(|part| fleet.log(part).matches("phase=\"live\"").count())
            .iter()
            .sum(),
        runs,
    }
}

/// Kills one after the other, and starts each again after a while.
async fn kill(
    fleet: &mut Fleet,
    args: &Args,
    seed: u64,
    load: &Load,
    effects: &world::Effects,
) -> (BTreeMap<String, u32>, usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut victims = PARTS.to_vec();
    victims.push("nats");
    let (mut kills, mut most): (BTreeMap<String, u32>, usize) = (BTreeMap::new(), 0);
    let began = Instant::now();
    let ends = args.minutes.map(|minutes| Duration::from_secs(minutes * 60));
    for n in 0.. {
        if ends.map_or(n >= args.kills, |ends| began.elapsed() >= ends) {
            break;
        }
        let victim = victims[random.random_range(0..victims.len())];
        let (pause, away) = (random.random_range(0..2000), random.random_range(0..2000));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        most = most.max(load.accepted().saturating_sub(effects.lock().expect("no handler panics").len()));
        *kills.entry(victim.to_owned()).or_default() += 1;
        if victim == "nats" {
            fleet.nats.kill();
            tokio::time::sleep(Duration::from_millis(away)).await;
            fleet.nats.restart().await;
        } else {
            fleet.kill(victim);
            tokio::time::sleep(Duration::from_millis(away)).await;
            fleet.start(victim);
        }
        if n % 10 == 9 {
            let done = effects.lock().expect("no handler panics").len();
            say(&format!("{} kills, {} accepted, {done} done", n + 1, load.accepted()));
        }
    }
    (kills, most)
}

/// Waits until everything that was accepted has been acted on, and no run is open.
async fn settle(fleet: &Fleet, accepted: &BTreeSet<String>, effects: &world::Effects) {
    let began = Instant::now();
    let bus = fleet.admin().await;
    while began.elapsed() < SETTLE_MAX {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let Ok(recovered) = recover::recover(&bus).await else { continue };
        let open = recovered.state.runs.len();
        let mut stages: BTreeMap<String, usize> = BTreeMap::new();
        for run in recovered.state.runs.values() {
            for (_, stage) in run.stages() {
                let stage = format!("{stage:?}");
                *stages.entry(stage.split(['(', ' ']).next().unwrap_or_default().to_owned()).or_default() +=
                    1;
            }
        }
        let done = effects.lock().expect("no handler panics");
        let missing = accepted.iter().filter(|alert| !done.contains_key(*alert)).count();
        if missing == 0 && open == 0 {
            say(&format!("settled {} s after the last kill", began.elapsed().as_secs()));
            return;
        }
        say(&format!(
            "  {} s after the last kill: {missing} to be done, {open} runs open: {stages:?}",
            began.elapsed().as_secs()
        ));
    }
    say(&format!("not settled in time; {}", fleet.world.path().display()));
}

/// Alerts at a rate, each again until it is accepted, as Alertmanager does.
struct Load {
    accepted: Arc<Mutex<BTreeSet<String>>>,
    ending: Arc<AtomicBool>,
    senders: tokio::task::JoinSet<()>,
}

impl Load {
    fn start(webhook: String, rate: u32) -> Self {
        let (accepted, ending) = (Arc::<Mutex<BTreeSet<String>>>::default(), Arc::<AtomicBool>::default());
        let next = Arc::new(AtomicU64::new(0));
        let began = tokio::time::Instant::now();
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..SENDERS {
            let (accepted, ending, next, webhook) =
                (accepted.clone(), ending.clone(), next.clone(), webhook.clone());
            let client =
                reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client");
            senders.spawn(async move {
                while !ending.load(Ordering::SeqCst) {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    let due = began + Duration::from_micros(n * 1_000_000 / u64::from(rate));
                    tokio::time::sleep_until(due).await;
                    let fingerprint = format!("{:016x}", 0xc000_0000_u64 + n);
                    let body = payload(&[alert(&fingerprint)]).to_string();
                    loop {
                        let sent = client.post(&webhook).bearer_auth(TOKEN).body(body.clone()).send().await;
                        if sent.is_ok_and(|answer| answer.status() == 200) {
                            accepted.lock().expect("nobody panics").insert(fingerprint);
                            break;
                        }
                        if ending.load(Ordering::SeqCst) {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                }
            });
        }
        Self { accepted, ending, senders }
    }

    fn accepted(&self) -> usize {
        self.accepted.lock().expect("nobody panics").len()
    }

    async fn end(self) -> BTreeSet<String> {
        self.ending.store(true, Ordering::SeqCst);
        self.senders.join_all().await;
        self.accepted.lock().expect("nobody panics").clone()
    }
}

fn alert(fingerprint: &str) -> Value {
    json!({"status": "firing", "labels": {"alertname": "Chaos", "instance": fingerprint}, "annotations": {},
        "startsAt": "2026-11-20T11:45:23Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": fingerprint})
}
