//! A domain over the model: its processes, its senders of alerts, and the people who help.

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
    Domain, RunId, Span, Timestamp, Zone,
    alert::{Alert, Status},
    event::{AfterUnknown, Event, RunEvent},
    fact::{Alerts, Operator, Reconciled},
    id::{Genesis, RunnerName, action_key},
    record::{self, Trouble},
    subject::{FactKind, Names},
    ticket::Stop,
};

use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    Client, Server,
    cloud::{self, Cloud, Sight},
    history::{Meddled, Meddling, Plan},
    time,
};

/// The vantages that probes look from.
pub const VANTAGES: [&str; 2] = ["main", "far"];
/// How long Alertmanager waits for an answer.
const SENDER_MAX: Duration = Duration::from_secs(10);
/// Longest time that a history may take to settle once nothing more happens to it.
const SETTLE_MAX: Span = Span::minutes(40);

/// What runs in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// One of two engines.
    Engine(u8),
    /// One of two runners.
    Runner(u8),
    /// The notifier.
    Notifier,
    /// The probe of a vantage.
    Probe(u8),
    /// The writer of alerts.
    Ingest,
}

/// All of them.
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

pub(crate) struct Process {
    pub(crate) client: Client,
    pub(crate) root: JoinHandle<()>,
}

/// A stop that its operator was told to be in force.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Its number.
    pub stop_no: u64,
    /// When it was told.
    pub at: Timestamp,
}

/// A whole domain, and everybody round it.
pub struct World {
    /// The model of nats-server.
    pub server: Server,
    /// Names of the domain.
    pub names: Names,
    /// What is repaired.
    pub cloud: Cloud,
    /// The set in force.
    pub files: Vec<library::File>,
    /// Where alerts were stored, as their senders were told.
    pub accepted: Arc<Mutex<Vec<Stored>>>,
    /// Stops that somebody was told to be in force.
    pub pulled: Vec<Pulled>,
    /// When somebody changed a stream, and what became of it.
    pub meddled: Option<Meddled>,
    pub(crate) rng: SmallRng,
    pub(crate) plan: Plan,
    /// How many of the alerts are poison, where the plan has some.
    pub poisoned: f64,
    /// Names of the nodes.
    pub(crate) nodes: Vec<String>,
    /// The vantage that lies now and then; never two of them, that is more than a quorum of two can stand.
    pub(crate) liar: &'static str,
    pub(crate) processes: BTreeMap<Part, Process>,
    /// Parts that are down, and until when.
    pub(crate) away: BTreeMap<Part, Span>,
    ingest: Arc<Mutex<Option<Writer>>>,
    pub(crate) people: Bus,
    operator: Writer,
    folder: tempfile::TempDir,
    journals: BTreeMap<Part, PathBuf>,
    starts: u32,
    read: usize,
    /// Runs that are open, as far as the log was read.
    pub open: BTreeSet<String>,
    /// What else the log says.
    pub phase: Phase,
    pub(crate) firing: BTreeMap<String, Timestamp>,
}

/// What a bystander knows of the log.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    /// Whether its writer has caught up.
    pub live: bool,
    /// Why its writer does nothing.
    pub trouble: Option<Trouble>,
    /// The stop that is in force.
    pub stopped: Option<u64>,
    /// Up to where facts are decided.
    pub cursor: u64,
    /// Unknown outcomes that wait for a person, with the moment they were asked.
    asks: Vec<(Timestamp, Operator)>,
}

/// What a domain is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// The text of its set.
    pub set: String,
    /// What the seed does besides the ordinary faults.
    pub plan: Plan,
}

impl Setup {
    /// The domain of the histories: three nodes, two playbooks.
    #[must_use]
    pub fn usual(plan: Plan) -> Self {
        let nodes = ["a1", "a2", "a3"].map(String::from).to_vec();
        Self { nodes, set: include_str!("set.yaml").into(), plan }
    }
}

impl World {
    /// Starts all of it.
    ///
    /// # Panics
    /// When there is no temporary directory.
    pub async fn new(seed: u64, setup: Setup) -> Self {
        let names = Names::new(&Domain::from("default")).expect("a token");
        let sizing = streams::Sizing { replicas: 1, bytes: 400_000_000 };
        let server = Server::new(seed ^ 1, streams::configs(&names, sizing));
        let people = Bus::over(Arc::new(Client::new(&server, seed ^ 2)), names.clone());
        streams::genesis(&people, time::truth(), 0, false).await.expect("the first record");
        let mut world = Self {
            cloud: Cloud::new(seed ^ 3, &setup.nodes),
            files: vec![library::File { path: "lab.yaml".into(), text: setup.set }],
            accepted: Arc::default(),
            pulled: Vec::new(),
            meddled: None,
            rng: SmallRng::seed_from_u64(seed),
            plan: setup.plan,
            poisoned: 0.2,
            nodes: setup.nodes,
            liar: VANTAGES[usize::from(seed.is_multiple_of(2))],
            processes: BTreeMap::new(),
            away: BTreeMap::new(),
            ingest: Arc::default(),
            operator: Writer::start(&people, FactKind::Operator, "ada", Duration::from_secs(60)),
            people,
            folder: tempfile::tempdir().expect("a temporary directory"),
            journals: BTreeMap::new(),
            starts: 0,
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

    /// Starts a process.
    ///
    /// # Panics
    /// Never: nobody panics with its state in hand.
    pub fn start(&mut self, part: Part) {
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
                    let (_trigger, told) = shutdown::channel();
                    regreen_probe::see(
                        bus,
                        vantage.into(),
                        eye,
                        regreen_probe::Sight::clear(),
                        Default::default(),
                        told,
                    )
                    .await
                    .expect("a probe");
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

    /// The journal of a process that starts now. What the one before writes from now on is not seen: it is gone.
    fn journal(&mut self, part: Part) -> PathBuf {
        self.starts += 1;
        let path = self.folder.path().join(format!("{part:?}.{}", self.starts));
        if let Some(before) = self.journals.insert(part, path.clone()) {
            // There is none before the first outcome.
            let _ = std::fs::copy(before, &path);
        }
        path
    }

    /// Names of the nodes.
    #[must_use]
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// `kill -9` of a process.
    ///
    /// # Panics
    /// Never: nobody panics with its state in hand.
    pub fn kill(&mut self, part: Part) {
        if let Some(process) = self.processes.remove(&part) {
            process.client.kill();
            process.root.abort();
        }
        if part == Part::Ingest {
            *self.ingest.lock().expect("nobody panics with it in hand") = None;
        }
    }

    /// Removes the tickets of attempts, as the janitor does with those of runs that ended long ago.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn trim_tickets(&self) {
        let (stream, filter) = (self.names.tickets(), Some(self.names.attempt_tickets()));
        let last = self.people.port.info(stream.clone()).await.expect("an answer").last;
        self.people.port.purge(stream, last, filter).await.expect("purged");
    }

    /// Cuts a process off from the server, or mends that.
    pub fn cut(&self, part: Part, cut: bool) {
        if let Some(process) = self.processes.get(&part) {
            process.client.cut(cut);
        }
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    pub(crate) fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.random_range(range))
    }
    /// Alertmanager sends until it is answered, as often as it does.
    pub fn send(&mut self, name: &str, node: &str, status: Status, began: Timestamp) {
        let mut labels = BTreeMap::from([("alertname".into(), name.into()), ("node".into(), node.into())]);
        if self.plan.poison && self.chance(self.poisoned) {
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
                        // A process that is gone answers nothing.
                        Some(writer) => {
                            timeout(SENDER_MAX, writer.store(&alerts)).await.ok().and_then(Result::ok)
                        }
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

    /// Somebody pulls the stop switch.
    pub async fn stop(&mut self) {
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
        if let Ok(Ok(stop_no)) = timeout(Duration::from_secs(20), stopping).await {
            self.pulled.push(Pulled { stop_no, at: time::truth() });
        }
    }

    pub(crate) fn start_by_hand(&mut self) {
        let target = self.node().as_str().into();
        let start =
            Operator::Start { playbook: "looked-up".into(), target: Some(target), inputs: BTreeMap::new() };
        self.say(start);
    }

    /// Somebody ends an open run.
    pub(crate) fn cancel_one(&mut self) {
        let open: Vec<&String> = self.open.iter().collect();
        if let Some(run) = open.choose(&mut self.rng) {
            self.say(Operator::Cancel { run: RunId::from(run.as_str()), reason: "".into() });
        }
    }

    /// A person says something.
    pub fn say(&self, what: Operator) {
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
    pub(crate) async fn help(&mut self) {
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

    pub(crate) async fn reconcile(&mut self) -> Result<(), String> {
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
    pub async fn settle(&mut self) -> Result<(), String> {
        if self.plan.meddle == Some(Meddling::DecisionsRestored) {
            return Ok(());
        }
        let until = time::elapsed().0 + SETTLE_MAX.0;
        let (mut quiet, mut newest) = (0, 0);
        loop {
            sleep(Duration::from_secs(2)).await;
            self.revive();
            self.watch();
            self.help().await;
            let facts = self.people.port.info(self.names.facts()).await.map_err(|error| error.to_string())?;
            let behind = facts.last.saturating_sub(self.phase.cursor);
            // What was there two seconds ago is decided by now.
            let read = self.phase.cursor >= std::mem::replace(&mut newest, facts.last);
            let settled = self.open.is_empty()
                && self.phase.live
                && self.phase.trouble.is_none()
                && self.phase.stopped.is_none()
                && read;
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
    let (_followed, files) = tokio::sync::watch::channel(Some(files));
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
        metrics: regreen_action::Metrics::default(),
    };
    let (_trigger, told) = shutdown::channel();
    if let Err(error) = regreen_action::run(bus, options, actions, told).await {
        // A supervisor starts it again, as a new process.
        say(&format!("host {name} ended: {error:?}"));
    }
}

/// For whoever follows one history: `SIM_SAYS=1`.
#[expect(clippy::print_stderr, reason = "it is told to a person")]
pub fn say(what: &str) {
    if std::env::var_os("SIM_SAYS").is_some() {
        eprintln!("{:>8} {what}", time::elapsed().0);
    }
}
