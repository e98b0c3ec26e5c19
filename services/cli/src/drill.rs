//! `regreen drill hello`: breaks a small service for real and shows live what is seen, decided, done and verified.
//! Every second is derived from DECISIONS and FACTS; the effect log of the simulated cloud must agree, or it fails.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use regreen_bus::{Bus, reader::Reader, streams};
use regreen_kit::loopback;
use regreen_schemas::{
    RunId, Span, Timestamp,
    event::{Event, RunEvent},
    fact::Answer,
    record::{self, Cause, Item},
    run::{Outcome, RunResult},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{args::Connect, client, out, programs, show, up::child_command};

const PLAYBOOK: &str = include_str!("../../../playbooks/hello/hello.yaml");
const CHECKS: &str = include_str!("../../../playbooks/hello/checks.yaml");
/// The service that is broken, and the one that must stay well.
const SERVICES: [&str; 2] = ["one", "two"];
/// How long each part of the drill may take.
const PART_MAX: Duration = Duration::from_secs(60);
/// How far the effect log and the log of decisions may be apart.
const TOLERANCE: Span = Span(500);

/// `regreen drill`.
#[derive(clap::Subcommand)]
pub enum Drill {
    /// A service dies: the first repair works, the second is held back by a guard, and in the third the runner is killed
    /// between its ticket and its result.
    Hello {
        /// The report as JSON; the live view goes to stderr all the same.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Serialize)]
struct Report {
    drill: &'static str,
    run: RunId,
    result: RunResult,
    seconds: Seconds,
    held_back_by: String,
    /// How the outcome of act three was learned.
    looked_up: bool,
    effects: usize,
    agrees: bool,
    disagreements: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Seconds {
    detect: f64,
    decide: f64,
    act: f64,
    verify: f64,
    rto: f64,
}

/// The processes of a drill; ended, newest first, whatever happens.
#[derive(Default)]
struct Stage(Vec<Child>);

impl Drop for Stage {
    fn drop(&mut self) {
        while let Some(mut child) = self.0.pop() {
            crate::up::terminate(&mut child);
        }
    }
}

/// What the drill learned from the log.
#[derive(Default)]
struct Seen {
    alert_fact: Option<u64>,
    dispatched: Option<Timestamp>,
    result_fact: Option<u64>,
    repaired: Vec<RunId>,
    ended: Option<(RunId, RunResult, Timestamp)>,
    blocked: Option<String>,
    resolved: bool,
    looks: usize,
}

pub fn run(drill: &Drill) -> anyhow::Result<ExitCode> {
    let Drill::Hello { json } = drill;
    let dir = std::env::temp_dir().join(format!("regreen-drill-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let mut stage = Stage::default();
    // The runtime runs on this thread: children are tied to it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime
        .block_on(hello(&dir, &mut stage))
        .with_context(|| format!("the drill broke off; its files are in {}", dir.display()))?;
    drop(stage);
    if *json {
        out::json(&report)?;
    } else {
        print(&report);
    }
    if !report.agrees {
        out::error(&format!("its files are kept in {}", dir.display()));
        return Ok(ExitCode::from(1));
    }
    fs::remove_dir_all(&dir)?;
    Ok(ExitCode::SUCCESS)
}

fn print(report: &Report) {
    let Seconds { detect, decide, act, verify, rto } = &report.seconds;
    out::line(&format!(
        "\ndetect {detect:.2} s   decide {decide:.2} s   act {act:.2} s   verify {verify:.2} s   back after {rto:.2} s"
    ));
    out::line(&format!("act two was held back by {}", report.held_back_by));
    out::line("act three: the runner died in its call; the outcome was looked up, twice, and not repeated");
    match report.disagreements.as_slice() {
        [] => out::line(&format!("the effect log agrees: {} effects, and no other", report.effects)),
        wrong => wrong.iter().for_each(|line| out::line(&format!("DISAGREES: {line}"))),
    }
}

fn say(text: &str) {
    out::error(text);
}

async fn hello(dir: &Path, stage: &mut Stage) -> anyhow::Result<Report> {
    let effects = dir.join("effects.jsonl");
    let bus = prepare(dir, stage, &effects).await?;
    let addresses: Value = serde_json::from_slice(&fs::read(dir.join("addresses.json"))?)?;
    let http = reqwest::Client::new();
    let tell = async |service: &str, what: &str| {
        let url = format!("http://{}/{what}", addresses[service].as_str().context("an address")?);
        http.post(url).send().await?.error_for_status()?;
        anyhow::Ok(())
    };
    let extent = streams::extent(&bus, bus.names.decisions()).await?;
    let mut reader = Reader::new(&bus, bus.names.decisions(), extent.last);

    say("\nact one: service `one` breaks; nobody but Regreen is there to help");
    tell(SERVICES[0], "break").await?;
    let mut one = Seen::default();
    follow(&mut reader, &mut one, |seen| seen.ended.is_some()).await.context("act one")?;
    follow(&mut reader, &mut one, |seen| seen.resolved).await.context("the alert did not resolve")?;

    say("\nact two: it breaks again at once; the guard must hold a second restart back");
    tell(SERVICES[0], "break").await?;
    let mut two = Seen::default();
    follow(&mut reader, &mut two, |seen| seen.blocked.is_some()).await.context("act two")?;
    say("  somebody mends `one` by hand");
    tell(SERVICES[0], "mend").await?;
    let resolved = |seen: &Seen| seen.resolved;
    follow(&mut reader, &mut two, resolved).await.context("the second alert did not resolve")?;

    say("\nact three: service `two` breaks, and the runner is killed between its ticket and its result");
    tell(SERVICES[1], "mute").await?;
    tell(SERVICES[1], "break").await?;
    let mut three = Seen::default();
    follow(&mut reader, &mut three, |seen| seen.dispatched.is_some()).await.context("act three")?;
    let up = stage.0.last().context("regreen up")?.id();
    kill_runner_in_its_call(&effects, up).await?;
    follow(&mut reader, &mut three, |seen| seen.ended.is_some()).await.context("act three")?;
    report(&bus, &effects, [one, two, three]).await
}

/// Waits until the effect is there, and kills the runner before anybody can tell of it.
async fn kill_runner_in_its_call(effects: &Path, up: u32) -> anyhow::Result<()> {
    let began = Instant::now();
    let repaired =
        |text: String| text.lines().filter(|line| line.contains("\"what\":\"repair\"")).count() > 1;
    while !repaired(fs::read_to_string(effects)?) {
        anyhow::ensure!(began.elapsed() < PART_MAX, "the runner did not act");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = child_of(up, "runner-process").context("the runner is not there")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    say("  the runner is killed: it has acted, and told nobody");
    Ok(())
}

/// The child of a process whose command line has this word.
fn child_of(parent: u32, word: &str) -> Option<rustix::process::Pid> {
    let wanted = |pid: i32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let (stat, line) = (read("stat")?, read("cmdline")?);
        let ppid: u32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        (ppid == parent && line.split('\0').any(|part| part == word)).then_some(pid)
    };
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    rustix::process::Pid::from_raw(pids.filter_map(wanted).next()?)
}

/// Starts Alertmanager, the simulated cloud and `regreen up`, and waits until all is well.
async fn prepare(dir: &Path, stage: &mut Stage, effects: &Path) -> anyhow::Result<Bus> {
    let (listen, alertmanager) = (loopback::port()?, loopback::port()?);
    say("starting Alertmanager, two services, and Regreen");
    let config = json!({
        "route": {"receiver": "regreen", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
        "receivers": [{"name": "regreen", "webhook_configs": [{"url": format!("http://127.0.0.1:{listen}/webhooks/alertmanager"), "send_resolved": true}]}],
    });
    fs::write(dir.join("alertmanager.yml"), config.to_string())?;
    let mut command = child_command()?;
    command
        .arg(programs::find(&["alertmanager", "prometheus-alertmanager"], "run `make tools`")?)
        .arg(format!("--config.file={}", dir.join("alertmanager.yml").display()))
        .arg(format!("--storage.path={}", dir.join("alertmanager").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{alertmanager}"))
        .arg("--cluster.listen-address=");
    stage.0.push(spawn(&mut command, &dir.join("alertmanager.log"))?);

    let mut command = child_command()?;
    command
        .arg(programs::find(&["regreen-simcloud"], "run `make build`")?)
        .arg("services")
        .args(SERVICES)
        .arg("--effects")
        .arg(effects);
    command.arg("--alertmanager").arg(format!("http://127.0.0.1:{alertmanager}"));
    let mut cloud = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(dir.join("simcloud.log"))?)
        .spawn()?;
    let mut first = String::new();
    BufReader::new(cloud.stdout.take().context("its output")?).read_line(&mut first)?;
    stage.0.push(cloud);
    let addresses: Value =
        serde_json::from_str(&first).context("the simulated cloud did not start; see simcloud.log")?;
    fs::write(dir.join("addresses.json"), &first)?;

    let nodes: String = SERVICES
        .iter()
        .map(|name| {
            format!("      {name}: {{address: \"{}\"}}\n", addresses[*name].as_str().unwrap_or_default())
        })
        .collect();
    let inventory = format!(
        "apiVersion: regreen/v1\ninventory: hello\ngroups:\n  hello:\n    health: hello\n    nodes:\n{nodes}"
    );
    let set = dir.join("set");
    fs::create_dir_all(&set)?;
    for (name, text) in
        [("hello.yaml", PLAYBOOK), ("checks.yaml", CHECKS), ("inventory.yaml", inventory.as_str())]
    {
        fs::write(set.join(name), text)?;
    }
    let mut command = child_command()?;
    command
        .arg(std::env::current_exe()?)
        .arg("up")
        .arg("--data-dir")
        .arg(dir.join("data"))
        .arg("--playbooks")
        .arg(&set);
    command.arg("--listen").arg(format!("127.0.0.1:{listen}"));
    stage.0.push(spawn(&mut command, &dir.join("up.log"))?);
    wait_until_well(dir).await
}

async fn wait_until_well(dir: &Path) -> anyhow::Result<Bus> {
    let began = Instant::now();
    let connect = Connect {
        data_dir: dir.join("data"),
        nats: None,
        creds: None,
        operator: "local".into(),
        domain: "default".into(),
    };
    let mut bus = None;
    while began.elapsed() < PART_MAX {
        if bus.is_none() {
            bus = client::connect(&connect).await.ok().map(|connected| connected.bus);
        }
        if let Some(bus) = &bus
            && let Ok(recovered) = regreen_engine::recover::recover(bus).await
        {
            let up = recovered
                .state
                .verdicts
                .values()
                .filter(|(status, _)| *status == regreen_schemas::check::Status::Up)
                .count();
            if recovered.state.may_dispatch() && up == SERVICES.len() && !recovered.state.servers.is_empty() {
                return Ok(bus.clone());
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("Regreen is not ready after {PART_MAX:?}; see up.log")
}

/// Reads the log, shows what concerns people, until `enough`.
async fn follow(reader: &mut Reader, seen: &mut Seen, enough: impl Fn(&Seen) -> bool) -> anyhow::Result<()> {
    let reading = async {
        while !enough(seen) {
            let record = record::decode(&reader.next().await?.payload)?;
            for item in &record.items {
                note(item, seen);
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PART_MAX, reading).await.context("it did not come to that within a minute")?
}

fn note(item: &Item, seen: &mut Seen) {
    let at = item.now.to_string();
    let clock = at.split_once('T').map_or(at.as_str(), |(_, clock)| clock);
    let tell = |what: &str, text: &str| say(&format!("  {clock}  {what:<9} {text}"));
    let fact = match &item.cause {
        Cause::Fact { seq, .. } => Some(*seq),
        _ => None,
    };
    for event in &item.events {
        match event {
            Event::VerdictChanged { check, from, to, .. } => {
                tell("seen", &format!("{check} is {} (was {})", to.word(), from.word()));
            }
            Event::AlertDecided { decisions, .. } | Event::AlertReconsidered { decisions, .. } => {
                if matches!(event, Event::AlertDecided { .. }) {
                    seen.alert_fact = seen.alert_fact.or(fact);
                }
                for decision in decisions {
                    tell("decided", &show::decision(decision));
                    if let Outcome::Blocked(block) = &decision.outcome {
                        seen.blocked = Some(block.to_string());
                    }
                }
            }
            Event::EpisodeClosed { .. } => {
                seen.resolved = true;
                tell("seen", "the alert resolved");
            }
            Event::Run { run, what } => match what {
                RunEvent::Dispatched { instance, attempt, task, .. } => {
                    seen.dispatched = seen.dispatched.or(Some(item.now));
                    tell("dispatch", &format!("{instance}, attempt {attempt}: {}", task.action));
                }
                RunEvent::StepSucceeded { instance, .. } => {
                    seen.result_fact = seen.result_fact.or(fact);
                    seen.repaired.push(run.clone());
                    tell("done", instance.as_str());
                }
                RunEvent::Overdue { attempt, .. } => {
                    tell("asks", &format!("nobody answers for attempt {attempt}: who holds its ticket?"));
                }
                RunEvent::Began { attempt, .. } => {
                    tell("waits", &format!("a runner had begun attempt {attempt}; it may still answer"));
                }
                RunEvent::AttemptUnknown { reason, .. } => {
                    tell("unknown", &format!("{reason}: it is looked up, not repeated"));
                }
                RunEvent::Observed { look, answer, .. } => {
                    seen.looks += 1;
                    tell("looked", &format!("{look}: {}", word(answer)));
                }
                RunEvent::VerifyBegan { .. } => tell("looks", "whether that helped"),
                RunEvent::VerifyHeld { .. } => tell("verified", "it held"),
                RunEvent::Ended { result, reason } => {
                    seen.ended = Some((run.clone(), *result, item.now));
                    tell("ended", &format!("{}: {reason}", result.word()));
                }
                _ => {}
            },
            _ => {}
        }
    }
}

fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done { .. } => "it is done",
        Answer::NotDone => "it is not done",
        Answer::CannotTell { .. } => "that can't be told",
    }
}

async fn report(bus: &Bus, effects: &Path, [one, two, three]: [Seen; 3]) -> anyhow::Result<Report> {
    let log: Vec<Value> =
        fs::read_to_string(effects)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let at = |line: &Value| Timestamp(line["at"].as_i64().unwrap_or_default());
    let of = |what: &str| log.iter().filter(|line| line["what"] == what).collect::<Vec<_>>();
    let (breaks, repairs) = (of("break"), of("repair"));
    let (run, result, ended) = one.ended.clone().context("act one has no end")?;
    let dispatched = one.dispatched.context("nothing was dispatched")?;
    let broke = at(breaks.first().context("nothing broke")?);
    let alerted = stored(bus, one.alert_fact.context("no alert came")?).await?;
    let answered = stored(bus, one.result_fact.context("no result came")?).await?;
    let seconds =
        |from: Timestamp, to: Timestamp| f64::from(i32::try_from((to - from).0).unwrap_or(i32::MAX)) / 1000.0;

    let mut wrong = Vec::new();
    let done: Vec<&str> = repairs.iter().filter_map(|line| line["by"].as_str()).collect();
    let decided: Vec<&str> =
        [&one, &two, &three].into_iter().flat_map(|act| &act.repaired).map(RunId::as_str).collect();
    if done != decided {
        wrong.push(format!("effects by {done:?}, decided by {decided:?}"));
    }
    if breaks.len() != 3 {
        wrong.push(format!("{} breaks instead of 3", breaks.len()));
    }
    if three.looks != 2 || three.ended.as_ref().is_none_or(|(_, result, _)| *result != RunResult::Repaired) {
        wrong.push(format!("act three: {} looks, and {:?}", three.looks, three.ended));
    }
    if let Some(repair) = repairs.first()
        && (at(repair) + TOLERANCE < dispatched || at(repair) > answered + TOLERANCE)
    {
        wrong.push(format!(
            "the effect at {} is not between dispatch {} and result {}",
            at(repair).0,
            dispatched.0,
            answered.0
        ));
    }
    if result != RunResult::Repaired {
        wrong.push(format!("act one ended {}", result.word()));
    }
    Ok(Report {
        drill: "hello",
        run,
        result,
        seconds: Seconds {
            detect: seconds(broke, alerted),
            decide: seconds(alerted, dispatched),
            act: seconds(dispatched, answered),
            verify: seconds(answered, ended),
            rto: seconds(broke, ended),
        },
        looked_up: three.looks == 2,
        held_back_by: two.blocked.context("act two was not held back")?,
        effects: repairs.len(),
        agrees: wrong.is_empty(),
        disagreements: wrong,
    })
}

/// When FACTS stored a message.
async fn stored(bus: &Bus, seq: u64) -> anyhow::Result<Timestamp> {
    Ok(streams::message(bus, bus.names.facts(), seq).await?.time)
}

fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let file = File::create(log)?;
    Ok(command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?)
}
