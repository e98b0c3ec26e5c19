//! One history: the processes of a domain over the model, what happens to them, and the people who help.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use regreen_action::Options;
use regreen_bus::{
    Bus, log, streams, tickets,
    writer::{Stored, Writer},
};
use regreen_engine::{guard, library, recover};
use regreen_kit::{config::Keep, health::Health, shutdown};
use regreen_schemas::{
    Domain, Span, Timestamp, Zone,
    alert::{Alert, Status},
    event::{AfterUnknown, Event, RunEvent},
    fact::{Alerts, Operator, Reconciled},
    id::{Genesis, RunnerName, action_key},
    record::{self, Trouble},
    subject::{FactKind, Names},
    ticket::Stop,
};
use regreen_sim::{Client, Net, Server, time};
use tokio::{task::JoinHandle, time::sleep};

use crate::cloud::{self, Cloud, Sight};

pub const NODES: [&str; 3] = ["a1", "a2", "a3"];
pub const VANTAGES: [&str; 2] = ["main", "far"];
/// Longest time that a history may take to settle once nothing more happens to it.
const SETTLE_MAX: Span = Span::minutes(40);

/// What runs in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Engine(u8),
    Runner(u8),
    Notifier,
    Probe(u8),
    Ingest,
}

pub const PARTS: [Part; 8] = [
    Part::Engine(0),
    Part::Engine(1),
    Part::Runner(0),
    Part::Runner(1),
    Part::Notifier,
    Part::Probe(0),
    Part::Probe(1),
    Part::Ingest,
];

/// What is done to a history besides the ordinary faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// An alert that panics the decider.
    pub poison: bool,
    /// Somebody changes a stream behind Regreen's back.
    pub meddle: Option<Meddling>,
}

impl Plan {
    /// What a seed does besides the ordinary faults: now and then something.
    pub fn of(seed: u64) -> Self {
        let kinds = [Meddling::FactsAnew, Meddling::FactsRestored, Meddling::DecisionsRestored];
        let kind = usize::try_from(seed / 9 % 3).unwrap_or_default();
        Self { poison: seed % 7 == 3, meddle: (seed % 9 == 4).then(|| kinds[kind]) }
    }
}

/// What somebody does to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// FACTS is deleted and made anew.
    FactsAnew,
    /// FACTS is restored from a backup.
    FactsRestored,
    /// DECISIONS is restored from a backup.
    DecisionsRestored,
}

/// A stream was changed.
#[derive(Clone, Copy, Debug)]
pub struct Meddled {
    pub how: Meddling,
    pub at: Timestamp,
    /// The newest message that the stream still has; none when it was made anew.
    pub last: u64,
    /// When somebody has reconciled.
    pub reconciled: Option<Timestamp>,
}

struct Process {
    client: Client,
    root: JoinHandle<()>,
}

/// A stop that its operator was told to be in force.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub stop_no: u64,
    pub at: Timestamp,
}

pub struct World {
    pub server: Server,
    pub names: Names,
    pub cloud: Cloud,
    pub files: Vec<library::File>,
    /// Where alerts were stored, as their senders were told.
    pub accepted: Arc<Mutex<Vec<Stored>>>,
    pub pulled: Vec<Pulled>,
    /// When somebody changed a stream, and what became of it.
    pub meddled: Option<Meddled>,
    rng: SmallRng,
    plan: Plan,
    /// The vantage that lies now and then; never two of them, that is more than a quorum of two can stand.
    liar: &'static str,
    processes: BTreeMap<Part, Process>,
    /// Parts that are down, and until when.
    away: BTreeMap<Part, Span>,
    ingest: Arc<Mutex<Option<Writer>>>,
    people: Bus,
    operator: Writer,
    folder: tempfile::TempDir,
    read: usize,
    pub open: BTreeSet<String>,
    pub phase: Phase,
    firing: BTreeMap<String, Timestamp>,
}

/// What a bystander knows of the log.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    pub live: bool,
    pub trouble: Option<Trouble>,
    pub stopped: Option<u64>,
    pub cursor: u64,
    /// Unknown outcomes that wait for a person, with the moment they were asked.
    asks: Vec<(Timestamp, Operator)>,
}

const SET: &str = include_str!("set.yaml");

impl World {
    pub async fn new(seed: u64, plan: Plan) -> Self {
        let names = Names::new(&Domain::from("default")).expect("a token");
        let sizing = streams::Sizing { replicas: 1, bytes: 400_000_000 };
        let server = Server::new(seed ^ 1, streams::configs(&names, sizing));
        let people = Bus::over(Arc::new(Client::new(&server, seed ^ 2)), names.clone());
        streams::genesis(&people, time::truth(), 0, false).await.expect("the first record");
        let mut world = Self {
            cloud: Cloud::new(seed ^ 3, &NODES),
            files: vec![library::File { path: "lab.yaml".into(), text: SET.into() }],
            accepted: Arc::default(),
            pulled: Vec::new(),
            meddled: None,
            rng: SmallRng::seed_from_u64(seed),
            plan,
            liar: VANTAGES[usize::from(seed.is_multiple_of(2))],
            processes: BTreeMap::new(),
            away: BTreeMap::new(),
            ingest: Arc::default(),
            operator: Writer::start(&people, FactKind::Operator, "ada", Duration::from_secs(60)),
            people,
            folder: tempfile::tempdir().expect("a temporary directory"),
            read: 0,
            open: BTreeSet::new(),
            phase: Phase::default(),
            firing: BTreeMap::new(),
            server,
            names,
        };
        for part in PARTS {
            world.start(part);
        }
        world
    }

    fn start(&mut self, part: Part) {
        let client = Client::new(&self.server, self.rng.random());
        let bus = Bus::over(Arc::new(client.clone()), self.names.clone());
        let root = match part {
            Part::Engine(_) => tokio::spawn(engine(bus, self.files.clone())),
            Part::Runner(n) => {
                let actions = cloud::repairs(&self.cloud, &client);
                tokio::spawn(host(bus, format!("r{n}"), self.journal(part), actions))
            }
            Part::Notifier => {
                let actions = cloud::tells(&self.cloud, &client);
                tokio::spawn(host(bus, "notifier".into(), self.journal(part), actions))
            }
            Part::Probe(n) => {
                let vantage = VANTAGES[usize::from(n)];
                let eye = Arc::new(Sight { cloud: self.cloud.clone(), vantage });
                tokio::spawn(async move {
                    let (trigger, told) = shutdown::channel();
                    let (_sight, sighted) = tokio::sync::watch::channel(true);
                    regreen_probe::see(bus, vantage.into(), eye, sighted, told).await.expect("a probe");
                    drop(trigger);
                })
            }
            Part::Ingest => {
                let writer = Writer::start(&bus, FactKind::Alerts, "alertmanager", Duration::from_secs(5));
                *self.ingest.lock().expect("nobody panics with it in hand") = Some(writer);
                tokio::spawn(async {})
            }
        };
        self.processes.insert(part, Process { client, root });
    }

    fn journal(&self, part: Part) -> PathBuf {
        self.folder.path().join(format!("{part:?}.journal"))
    }

    fn kill(&mut self, part: Part) {
        if let Some(process) = self.processes.remove(&part) {
            process.client.kill();
            process.root.abort();
        }
        if part == Part::Ingest {
            *self.ingest.lock().expect("nobody panics with it in hand") = None;
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.random_range(range))
    }

    /// The whole history. What it came to is read from outside.
    ///
    /// # Errors
    /// When it does not settle.
    pub async fn live(&mut self) -> Result<(), String> {
        sleep(Duration::from_secs(12)).await;
        let until = time::elapsed().0 + self.rng.random_range(60_000..150_000);
        while time::elapsed().0 < until {
            self.happen().await;
            self.come_back();
            self.watch();
            self.help().await;
            let pause = self.millis(50..2500);
            sleep(pause).await;
        }
        self.mend();
        if let Some(meddling) = self.plan.meddle {
            self.meddle(meddling).await?;
        }
        self.settle().await
    }

    /// Something happens.
    async fn happen(&mut self) {
        match self.rng.random_range(0..100) {
            0..30 => self.node_changes(),
            30..50 => self.alert_again(),
            50..58 => self.part_dies(),
            58..64 => self.part_stands_still(),
            64..70 => self.part_is_cut_off(),
            70..74 => self.server_dies().await,
            74..79 => self.server_stands_still().await,
            79..85 => self.weather(),
            85..88 => self.stop().await,
            88..91 => {
                let lies = self.chance(0.4);
                self.cloud.lie(lies.then_some(self.liar));
            }
            91..93 => {
                // No snapshot yet: nothing to spoil.
                let _ = self.server.spoil_newest(&self.names.snapshots(), ".state");
            }
            93..96 => {
                let ahead = *[0, 5, -20, 300, 900].choose(&mut self.rng).expect("some");
                time::set_ahead(Span::seconds(ahead));
            }
            96..98 => {
                let ahead = *[0, 0, 3, -7, 45].choose(&mut self.rng).expect("some");
                self.server.set_ahead(Span::seconds(ahead));
            }
            _ => self.start_by_hand(),
        }
    }

    fn node(&mut self) -> &'static str {
        NODES.choose(&mut self.rng).expect("some")
    }

    /// A node breaks, mostly; its alert fires a while later.
    fn node_changes(&mut self) {
        let node = self.node();
        let breaks = self.chance(0.75);
        self.cloud.set(node, !breaks);
        let name = *["Once", "Looked"].choose(&mut self.rng).expect("some");
        let key = format!("{name}/{node}");
        if breaks {
            let began = *self.firing.entry(key).or_insert_with(time::truth);
            self.send(name, node, Status::Firing, began);
        } else if let Some(began) = self.firing.remove(&key) {
            self.send(name, node, Status::Resolved, began);
        }
    }

    /// Alertmanagers repeat themselves, and resolve what is well.
    fn alert_again(&mut self) {
        let keys: Vec<String> = self.firing.keys().cloned().collect();
        let Some(key) = keys.choose(&mut self.rng) else { return };
        let began = self.firing[key];
        let (name, node) = key.split_once('/').expect("two parts");
        let over = self.cloud.is_up(node) && self.chance(0.6);
        let status = if over { Status::Resolved } else { Status::Firing };
        if over {
            self.firing.remove(key);
        }
        self.send(name, node, status, began);
    }

    /// Alertmanager sends until it is answered, as often as it does.
    fn send(&mut self, name: &str, node: &str, status: Status, began: Timestamp) {
        let mut labels = BTreeMap::from([("alertname".into(), name.into()), ("node".into(), node.into())]);
        if self.plan.poison && self.chance(0.2) {
            labels.insert("poison".into(), "yes".into());
        }
        let alert = Alert {
            status,
            fingerprint: format!("{name}-{node}").as_str().into(),
            labels,
            annotations: BTreeMap::new(),
            starts_at: began,
            ends_at: (status == Status::Resolved).then(time::truth),
            generator_url: "".into(),
        };
        let alerts = Alerts { receiver: "regreen".into(), alerts: vec![alert], ..Alerts::default() };
        let senders = if self.chance(0.3) { 2 } else { 1 };
        for _ in 0..senders {
            let (ingest, accepted, alerts) = (self.ingest.clone(), self.accepted.clone(), alerts.clone());
            let pauses: Vec<Duration> = (0..20).map(|_| self.millis(10..6000)).collect();
            tokio::spawn(async move {
                for pause in pauses {
                    let writer = ingest.lock().expect("nobody panics with it in hand").clone();
                    let stored = match writer {
                        Some(writer) => writer.store(&alerts).await.ok(),
                        None => None,
                    };
                    if let Some(stored) = stored {
                        accepted.lock().expect("nobody panics with it in hand").push(stored);
                        return;
                    }
                    sleep(pause).await;
                }
            });
        }
    }

    fn part(&mut self) -> Part {
        *PARTS.choose(&mut self.rng).expect("some")
    }

    fn part_dies(&mut self) {
        let part = self.part();
        self.kill(part);
        // Some stay away for long: rules about absence have something to see.
        let away = if self.chance(0.3) { 5_000..60_000 } else { 10..4000 };
        let until = time::elapsed().0 + self.rng.random_range(away);
        self.away.insert(part, Span(until));
    }

    /// Whoever was away for long enough comes back.
    fn come_back(&mut self) {
        let now = time::elapsed();
        let due: Vec<Part> = self.away.iter().filter(|(_, at)| **at <= now).map(|(part, _)| *part).collect();
        for part in due {
            self.away.remove(&part);
            self.start(part);
        }
    }

    fn part_stands_still(&mut self) {
        let (part, pause) = (self.part(), self.millis(50..20_000));
        let Some(process) = self.processes.get(&part) else { return };
        let client = process.client.clone();
        client.pause(true);
        tokio::spawn(async move {
            sleep(pause).await;
            client.pause(false);
        });
    }

    fn part_is_cut_off(&mut self) {
        let (part, pause) = (self.part(), self.millis(50..30_000));
        let Some(process) = self.processes.get(&part) else { return };
        let client = process.client.clone();
        client.cut(true);
        tokio::spawn(async move {
            sleep(pause).await;
            client.cut(false);
        });
    }

    async fn server_dies(&mut self) {
        self.server.kill();
        let pause = self.millis(10..8000);
        sleep(pause).await;
        self.server.start();
    }

    async fn server_stands_still(&mut self) {
        self.server.pause(true);
        let pause = self.millis(50..12_000);
        sleep(pause).await;
        self.server.pause(false);
    }

    fn weather(&mut self) {
        let bad = Net { lose_request: 0.03, lose_answer: 0.05, late: 0.05, break_reader: 0.01, stale: 0.2 };
        let net = if self.chance(0.6) { bad } else { Net::default() };
        let part = self.part();
        if let Some(process) = self.processes.get(&part) {
            process.client.weather(net);
        }
    }

    async fn stop(&mut self) {
        let people = self.people.clone();
        let stop = Stop { v: 1, by: "ada".into(), reason: "".into() };
        let current = async || loop {
            if let Ok((_, bytes)) = log::newest(&people).await
                && let Ok(record) = record::decode(&bytes)
            {
                return record.stop_no;
            }
            sleep(Duration::from_millis(200)).await;
        };
        let stopping = tickets::stop(&self.people, &stop, current);
        if let Ok(Ok(stop_no)) = tokio::time::timeout(Duration::from_secs(20), stopping).await {
            self.pulled.push(Pulled { stop_no, at: time::truth() });
        }
    }

    fn start_by_hand(&mut self) {
        let target = self.node().into();
        let start =
            Operator::Start { playbook: "looked-up".into(), target: Some(target), inputs: BTreeMap::new() };
        self.say(start);
    }

    fn say(&self, what: Operator) {
        let operator = self.operator.clone();
        tokio::spawn(async move { operator.store(&what).await });
    }

    /// Reads on in the log, as a bystander who sees all that is stored.
    pub fn watch(&mut self) {
        let decisions = self.names.decisions();
        let read = self.read;
        let new: Vec<Bytes> = self.server.with_kept(|kept| {
            self.read = kept.len();
            let records = kept[read..].iter().filter(|kept| kept.stream == decisions);
            records.map(|kept| kept.message.payload.clone()).collect()
        });
        for record in new {
            let record = record::decode(&record).expect("a record");
            self.phase.trouble = record.trouble.clone();
            self.phase.cursor = record.cursor.seq;
            for event in record.items.iter().flat_map(|item| &item.events) {
                self.note(event);
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Takeover { .. } | Event::FellBehind { .. } => self.phase.live = false,
            Event::CaughtUp => self.phase.live = true,
            Event::Stopped { stop_no, .. } => self.phase.stopped = Some(*stop_no),
            Event::Resumed { .. } => self.phase.stopped = None,
            Event::Run { run, what } => match what {
                RunEvent::Started { .. } => drop(self.open.insert(run.to_string())),
                RunEvent::Ended { .. } => drop(self.open.remove(run.as_str())),
                RunEvent::AttemptUnknown { instance, attempt, next: AfterUnknown::Ask, .. } => {
                    let key = action_key(run, instance);
                    let settle = Operator::Settle {
                        run: run.clone(),
                        instance: instance.clone(),
                        attempt: *attempt,
                        done: self.cloud.happened(&key),
                    };
                    self.phase.asks.push((time::truth(), settle));
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// People do what they are asked to, after a while.
    async fn help(&mut self) {
        if let Some(stop_no) = self.phase.stopped
            && self.chance(0.3)
        {
            self.say(Operator::Resume { stop_no });
        }
        if self.phase.trouble == Some(Trouble::Suspect) && self.chance(0.3) {
            // Somebody sets the clocks first.
            time::set_ahead(Span::ZERO);
            self.server.set_ahead(Span::ZERO);
            self.say(Operator::ResumeSuspect);
        }
        let before = time::truth() + Span::seconds(-5);
        let (asked, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.phase.asks).into_iter().partition(|(at, _)| *at < before);
        self.phase.asks = left;
        for (_, ask) in asked {
            // What came about since they were asked, they see.
            let ask = match ask {
                Operator::Settle { run, instance, attempt, .. } => {
                    let done = self.cloud.happened(&action_key(&run, &instance));
                    Operator::Settle { run, instance, attempt, done }
                }
                other => other,
            };
            self.say(ask);
        }
    }

    /// Nothing more happens; everything that was broken is whole again.
    fn mend(&mut self) {
        self.cloud.calm();
        self.away.clear();
        time::set_ahead(Span::ZERO);
        self.server.set_ahead(Span::ZERO);
        for part in PARTS {
            match self.processes.get(&part) {
                Some(process) if !process.root.is_finished() || part == Part::Ingest => {
                    process.client.weather(Net::default());
                    process.client.pause(false);
                    process.client.cut(false);
                }
                _ => self.start(part),
            }
        }
    }

    /// A stream is changed behind everybody's back; a person finds out why, and reconciles.
    async fn meddle(&mut self, meddling: Meddling) -> Result<(), String> {
        sleep(Duration::from_secs(30)).await;
        let info = |name: String| {
            let people = self.people.clone();
            async move { people.port.info(name).await.map_err(|error| error.to_string()) }
        };
        let (facts, decisions) = (info(self.names.facts()).await?, info(self.names.decisions()).await?);
        let (began, back) = (time::truth(), self.rng.random_range(1..40));
        let last = match meddling {
            Meddling::FactsAnew => 0,
            Meddling::FactsRestored => facts.last.saturating_sub(back).max(facts.first),
            Meddling::DecisionsRestored => decisions.last.saturating_sub(back).max(decisions.first),
        };
        match meddling {
            Meddling::FactsAnew => self.server.make_anew(&self.names.facts()),
            Meddling::FactsRestored => self.server.restore(&self.names.facts(), last),
            Meddling::DecisionsRestored => self.server.restore(&self.names.decisions(), last),
        }
        self.meddled = Some(Meddled { how: meddling, at: began, last, reconciled: None });
        // Whoever looks away must not be hurt either: the node that breaks now stays as it is.
        self.cloud.set("a2", false);
        self.send("Once", "a2", Status::Firing, began);
        for _ in 0..90 {
            sleep(Duration::from_secs(1)).await;
            self.watch();
            if meddling == Meddling::DecisionsRestored
                || matches!(self.phase.trouble, Some(Trouble::Frozen { .. }))
            {
                break;
            }
        }
        if meddling == Meddling::DecisionsRestored {
            // The log refuses; no engine goes on until a person has put the streams in order.
            sleep(Duration::from_secs(60)).await;
            self.open.clear();
            return Ok(());
        }
        if !matches!(self.phase.trouble, Some(Trouble::Frozen { .. })) {
            return Err(format!("{meddling:?}: not frozen within 90 s"));
        }
        sleep(Duration::from_secs(20)).await;
        self.meddled = self.meddled.map(|m| Meddled { reconciled: Some(time::truth()), ..m });
        self.reconcile().await
    }

    async fn reconcile(&mut self) -> Result<(), String> {
        let why = |error: &dyn std::fmt::Display| error.to_string();
        let state = recover::recover(&self.people).await.map_err(|error| why(&error))?.state;
        let facts = streams::extent(&self.people, self.names.facts()).await.map_err(|error| why(&error))?;
        let created = streams::created(&self.people).await.map_err(|error| why(&error))?;
        let same = state.streams.is_some_and(|known| known.facts == created.facts)
            && guard::facts_agree(&self.people, state.cursor, &state.fact_hash)
                .await
                .map_err(|error| why(&error))?
                .is_none();
        let tickets =
            streams::extent(&self.people, self.names.tickets()).await.map_err(|error| why(&error))?;
        let what = Reconciled {
            reason: "looked at".into(),
            genesis: Genesis::from(format!("{:x}", self.rng.random::<u64>())),
            streams: created,
            facts_after: (!same).then_some(facts.last),
            tickets: tickets.last,
        };
        self.operator.store(&Operator::Reconciled(what)).await.map_err(|error| why(&error))?;
        Ok(())
    }

    /// Waits until everything that is open has ended.
    async fn settle(&mut self) -> Result<(), String> {
        if self.plan.meddle == Some(Meddling::DecisionsRestored) {
            return Ok(());
        }
        let until = time::elapsed().0 + SETTLE_MAX.0;
        let mut quiet = 0;
        loop {
            sleep(Duration::from_secs(2)).await;
            self.revive();
            self.watch();
            self.help().await;
            let facts = self.people.port.info(self.names.facts()).await.map_err(|error| error.to_string())?;
            let behind = facts.last.saturating_sub(self.phase.cursor);
            let settled = self.open.is_empty()
                && self.phase.live
                && self.phase.trouble.is_none()
                && self.phase.stopped.is_none()
                && behind <= 20;
            quiet = if settled { quiet + 1 } else { 0 };
            if quiet >= 3 {
                return Ok(());
            }
            if time::elapsed().0 > until {
                return Err(format!(
                    "it does not settle: open {:?}, {:?}, {behind} facts behind",
                    self.open, self.phase
                ));
            }
        }
    }

    /// A supervisor starts what ended by itself; a call that outlived its time ended its process.
    fn revive(&mut self) {
        let ended: Vec<Part> = self
            .processes
            .iter()
            .filter(|(part, process)| {
                **part != Part::Ingest && (process.root.is_finished() || process.client.is_dead())
            })
            .map(|(part, _)| *part)
            .collect();
        for part in ended {
            self.kill(part);
            self.start(part);
        }
    }
}

/// An engine under a supervisor.
async fn engine(bus: Bus, files: Vec<library::File>) {
    let keep = Keep { every: Span::seconds(20), audit: Span::seconds(60) };
    loop {
        let (_trigger, told) = shutdown::channel();
        let options = regreen_engine::Options {
            own_server: false,
            files: files.clone(),
            snapshots: keep,
            janitor: Some(bus.clone()),
        };
        let (status, _) = tokio::sync::watch::channel(regreen_engine::Status::default());
        let ended =
            Box::pin(regreen_engine::run(bus.clone(), options, Health::default(), status, told)).await;
        if let Err(error) = ended {
            say(&format!("an engine ended: {error:?}"));
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn host(bus: Bus, name: String, journal: PathBuf, actions: Vec<Box<dyn regreen_action::Action>>) {
    let options = Options {
        name: RunnerName::from(name.as_str()),
        zone: Zone::from("main"),
        journal,
        at_once: 16,
        ends_process: false,
    };
    let (_trigger, told) = shutdown::channel();
    if let Err(error) = regreen_action::run(bus, options, actions, told).await {
        // A supervisor starts it again, as a new process.
        say(&format!("host {name} ended: {error:?}"));
    }
}

/// For whoever follows one history: `SIM_SAYS=1`.
pub fn say(what: &str) {
    if std::env::var_os("SIM_SAYS").is_some() {
        eprintln!("{:>8} {what}", time::elapsed().0);
    }
}
