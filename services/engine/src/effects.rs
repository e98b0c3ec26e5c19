//! What leaves after a record is acknowledged, and only then (rule 6): commands, revokes, stories, views, the tick.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use regreen_bus::{
    Bus, bodies, commands, publish,
    stories::Stories as Writer,
    tick,
    tickets::{self, Taken},
    writer::Writer as Facts,
};
use regreen_decider::{Act, Library, Phase, Stage, State, Stories};
use regreen_kit::trace;
use regreen_playbook::{Set, inventory::Node};
use regreen_schemas::{
    CheckName, Instance, RunId, Span, Timestamp, WIRE_VERSION,
    check::Status,
    command::{Command, Task},
    event::{DiscoveryEvent, Event, RunEvent, TellEvent},
    fact::Engine,
    id::{Vantage, action_key},
    record::{Record, Tick},
    roster::{discovery_id, discovery_instance},
    story::Story,
    ticket::Ticket,
    view::{Checks, Endpoint, Services, Side, Verdict},
};

use crate::{metrics::Metrics, recover::ENDED_MAX, views::Views};

/// Pause between two turns of standing by verdicts.
pub const STAND_BY: Span = Span::seconds(1);
/// In so many turns every verdict is shown anew.
const VERDICT_TURNS: usize = 10;
/// How long a verdict in VIEW may be taken for true.
const VERDICT_FRESH: Span = Span::seconds(30);

/// Everything that goes out.
pub struct Effects {
    bus: Bus,
    facts: Facts,
    told: Writer,
    views: Views,
    stories: Stories,
    metrics: Metrics,
    shown: BTreeSet<CheckName>,
    version: Option<u64>,
    resync: Vec<Vantage>,
    turn: usize,
    /// Checks that nobody could ever say anything of, since when.
    unknown: BTreeMap<CheckName, Timestamp>,
    /// Stories of the newest ended runs: RUNS may lose its tail with the server.
    ended: VecDeque<Story>,
    /// Where open runs stood at a takeover or a reconnect.
    inherited: BTreeMap<RunId, BTreeMap<Instance, Act>>,
}

impl Effects {
    pub fn new(bus: &Bus, facts: Facts, stories: Stories, metrics: Metrics) -> Self {
        Self {
            bus: bus.clone(),
            facts,
            told: Writer::start(bus),
            views: Views::start(bus),
            stories,
            metrics,
            shown: BTreeSet::new(),
            version: None,
            resync: Vec::new(),
            turn: 0,
            unknown: BTreeMap::new(),
            ended: VecDeque::new(),
            inherited: BTreeMap::new(),
        }
    }

    /// Lets out what an acknowledged record decided. `state` is as of that record or newer.
    pub async fn after(&mut self, record: &Record, seq: u64, state: &State, library: &Library) {
        self.metrics.count(record, state.runs.len());
        self.metrics.rates(state);
        for event in record.items.iter().flat_map(|item| &item.events) {
            match event {
                Event::Run { run, what: RunEvent::Dispatched { instance, attempt, task, stop_no, .. } } => {
                    let trace = state.runs.get(run).and_then(|run| run.trace.clone());
                    self.send(run, instance, *attempt, task, *stop_no, seq, trace).await;
                }
                Event::Run { run, what: RunEvent::Overdue { instance, attempt, .. } } => {
                    self.revoke(run.clone(), instance.clone(), *attempt, state.epoch, seq);
                }
                Event::Tell { key, what: TellEvent::Dispatched { attempt, nth, task, .. } } => {
                    self.send(&key.run, &key.instance(*nth), *attempt, task, state.stop_no, seq, None).await;
                }
                Event::Discovery { group, what: DiscoveryEvent::Asked { attempt, task, .. } } => {
                    let (id, instance) = (discovery_id(group), discovery_instance(group));
                    self.send(&id, &instance, *attempt, task, state.stop_no, seq, None).await;
                }
                Event::CaughtUp => self.again(state, seq).await,
                Event::ResyncAsked { vantage, .. } | Event::VantageSilent { vantage } => {
                    self.resync.push(vantage.clone());
                }
                Event::VerdictChanged { check, .. } => self.show_verdict(check, state, seq, library),
                Event::ServiceMoved { .. } => {
                    if let Some(set) = library.in_force(state) {
                        self.show_services(state, seq, &set);
                    }
                }
                Event::SetAccepted { .. } | Event::NodeRemoved { .. } => {
                    self.metrics.forget_set();
                    self.unknown.clear();
                }
                Event::Frozen { reason } => {
                    tracing::error!(%reason, "FROZEN: nothing is done until a person has looked");
                }
                Event::FactRejected { reason } => tracing::error!(%reason, "a fact was put aside; see DEAD"),
                _ => {}
            }
        }
        for story in self.stories.fold(record, seq) {
            self.keep(&story);
            self.told.tell(story);
        }
        if self.told.lacks() {
            self.fill();
        }
        self.show_checks(state, seq, library);
        self.tick(state, seq).await;
    }

    /// The tick: how far the log is, what time it is, who shall say all again.
    pub async fn tick(&mut self, state: &State, seq: u64) {
        let resync = std::mem::take(&mut self.resync);
        let idle = matches!(state.phase, Phase::Frozen | Phase::CatchingUp { .. });
        let (epoch, now) = (state.epoch, state.now);
        tick::send(&self.bus, &Tick { v: WIRE_VERSION, epoch, seq, now, idle, resync }).await;
    }

    /// Stands by every verdict, a part of them each second: whoever reads one that is older knows that nobody does.
    pub fn stand_by(&mut self, state: &State, seq: u64, library: &Library) {
        if matches!(state.phase, Phase::Frozen | Phase::CatchingUp { .. }) {
            return;
        }
        self.turn = (self.turn + 1) % VERDICT_TURNS;
        let Some(set) = library.in_force(state) else { return };
        self.metrics.standing.hears(state, &set);
        for check in set.checks.keys().skip(self.turn).step_by(VERDICT_TURNS) {
            self.show_verdict(check, state, seq, library);
        }
    }

    fn show_verdict(&mut self, check: &CheckName, state: &State, seq: u64, library: &Library) {
        let set = library.in_force(state);
        let checked = set.as_ref().and_then(|set| set.checks.get(check));
        let Some(checked) = checked else { return };
        // One that nobody could ever say is unknown since it was first asked for.
        let (status, since) = match state.verdicts.get(check) {
            Some(known) => *known,
            None => (Status::Unknown, *self.unknown.entry(check.clone()).or_insert(state.now)),
        };
        self.metrics.verdict(check, status);
        let verdict = Verdict {
            v: WIRE_VERSION,
            genesis: state.genesis.clone(),
            seq,
            status,
            reason: state.because(checked, status),
            since,
            as_of: state.now,
            expires: state.now + VERDICT_FRESH,
        };
        self.views.verdict(check, verdict);
    }

    /// Remembers what is under way at a takeover or a reconnect.
    pub fn inherit(&mut self, state: &State) {
        self.inherited = state.runs.iter().map(|(id, run)| (id.clone(), run.acts.clone())).collect();
    }

    /// What was told of open and of newly ended runs.
    pub fn told(&self) -> (Stories, Vec<Story>) {
        (self.stories.clone(), self.ended.iter().cloned().collect())
    }

    /// Remembers what was told of ended runs before this engine.
    pub fn remember(&mut self, ended: Vec<Story>) {
        ended.iter().for_each(|story| self.keep(story));
    }

    fn keep(&mut self, story: &Story) {
        if story.result.is_some() {
            if self.ended.len() >= ENDED_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back(story.clone());
        }
    }

    /// Fills the projection's gaps, after a start, a reconnect, or a queue that was full. What RUNS holds already is
    /// written again, or is newer and stays. Beside the loop: nobody waits for a projection.
    pub fn fill(&self) {
        self.told.fill(self.ended.iter().cloned().chain(self.stories.open()).collect());
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one command, each from another place")]
    async fn send(
        &self,
        run: &RunId,
        instance: &Instance,
        attempt: u32,
        task: &Task,
        stop_no: u64,
        decision_seq: u64,
        trace: Option<Arc<str>>,
    ) {
        let span = trace::span(&format!("dispatch {}", task.action), trace.as_deref());
        let trace = trace::context(&span, trace.as_ref());
        let command = command((run, instance, attempt), task, stop_no, decision_seq);
        if let Err(error) = commands::send(&self.bus, &Command { trace, ..command }).await {
            tracing::warn!(%error, %run, %instance, "a command was not sent; its deadline will find it");
        }
    }

    /// What was under way at a takeover or a reconnect: commands may have been lost (rule 19), revokes too.
    pub async fn again(&mut self, state: &State, seq: u64) {
        for (id, acts) in std::mem::take(&mut self.inherited) {
            let Some(run) = state.runs.get(&id) else { continue };
            // What was decided since goes out with its own record, and not before (rule 6).
            for act in acts.iter().filter(|(at, act)| run.acts.get(*at) == Some(act)).map(|(_, act)| act) {
                match &act.stage {
                    Stage::Dispatched(open) if state.may_dispatch() && open.task.claim_by > state.now => {
                        let trace = run.trace.clone();
                        self.send(&id, &open.instance, open.number, &open.task, open.stop_no, seq, trace)
                            .await;
                    }
                    Stage::Revoking(open, _) => {
                        self.revoke(id.clone(), open.instance.clone(), open.number, state.epoch, seq);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Tries to win an attempt's ticket back, and tells the log how that ended (rule 17).
    fn revoke(&self, run: RunId, instance: Instance, attempt: u32, epoch: u64, seq: u64) {
        let (bus, facts) = (self.bus.clone(), self.facts.clone());
        tokio::spawn(async move {
            loop {
                let learned = match tickets::revoke(&bus, (&run, &instance, attempt), epoch, seq).await {
                    // A revoke of an earlier engine is as good as ours.
                    Ok(Taken::Won { .. } | Taken::Lost(Ticket::Revoked { .. }, _)) => {
                        Engine::Revoked { run: run.clone(), instance: instance.clone(), attempt }
                    }
                    Ok(Taken::Lost(Ticket::Started { nonce, .. }, _)) => {
                        Engine::Started { run: run.clone(), instance: instance.clone(), attempt, nonce }
                    }
                    Ok(Taken::Stopped) | Err(_) => {
                        tracing::warn!(%run, %instance, attempt, "the ticket can't be asked for yet");
                        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                        continue;
                    }
                };
                match facts.store(&learned).await {
                    Ok(_) => return,
                    Err(error) => tracing::warn!(%error, "what became of a ticket is not stored yet"),
                }
            }
        });
    }

    /// Shows consumers which side serves each service.
    fn show_services(&self, state: &State, seq: u64, set: &Set) {
        self.views.services(Services {
            v: WIRE_VERSION,
            genesis: state.genesis.clone(),
            seq,
            services: services(state, set),
        });
    }

    /// Shows probes the list of checks, when it or what is watched has changed.
    fn show_checks(&mut self, state: &State, seq: u64, library: &Library) {
        let Some((_, version)) = &state.set else { return };
        let watched: BTreeSet<CheckName> = state.watchers.keys().cloned().collect();
        let changed = self.version != Some(*version) || self.shown != watched;
        if !changed {
            return;
        }
        let Some(set) = library.in_force(state) else { return };
        let checks = Checks {
            v: WIRE_VERSION,
            genesis: state.genesis.clone(),
            seq,
            version: *version,
            checks: set.checks.values().cloned().collect(),
            watched: watched.iter().cloned().collect(),
        };
        if self.version != Some(*version) {
            self.show_services(state, seq, &set);
        }
        (self.version, self.shown) = (Some(*version), watched);
        self.views.checks(checks);
    }
}

/// Where each service is served from, the side that serves it first.
fn services(state: &State, set: &Set) -> BTreeMap<Arc<str>, Vec<Side>> {
    let inventory = &set.inventory;
    let side = |name: &Arc<str>| {
        let group = inventory.groups.get(name)?;
        let endpoint = |(node, at): (&Arc<str>, &Node)| Endpoint {
            node: node.clone(),
            address: at.address.clone(),
            health: group.health.as_ref().map(|health| CheckName::from(format!("{health}/{node}"))),
        };
        Some(Side { group: name.clone(), nodes: group.nodes.iter().map(endpoint).collect() })
    };
    let sides = |(name, sides): (&Arc<str>, &Vec<Arc<str>>)| {
        let active = state.serving(set, name);
        let others = sides.iter().filter(|side| Some(*side) != active.as_ref());
        (name.clone(), active.iter().chain(others).filter_map(side).collect())
    };
    inventory.services.iter().map(sides).collect()
}

fn command(
    (run, instance, attempt): (&RunId, &Instance, u32),
    task: &Task,
    stop_no: u64,
    decision_seq: u64,
) -> Command {
    Command {
        v: WIRE_VERSION,
        run: run.clone(),
        instance: instance.clone(),
        attempt,
        task: task.clone(),
        action_key: action_key(run, instance).into(),
        decision_seq,
        stop_no,
        trace: None,
    }
}

/// The mistake of the same name.
pub fn let_out_early(bus: &Bus, record: &Record, seq: u64) {
    for event in record.items.iter().flat_map(|item| &item.events) {
        if let Event::Run { run, what: RunEvent::Dispatched { instance, attempt, task, stop_no, .. } } = event
        {
            let command = command((run, instance, *attempt), task, *stop_no, seq);
            let bus = bus.clone();
            tokio::spawn(async move { commands::send(&bus, &command).await });
        }
    }
}

/// Puts what could not be understood where people find it (rule 29).
pub fn dead(bus: &Bus, reason: &str, payload: &[u8]) {
    let letter = serde_json::json!({"v": WIRE_VERSION, "reason": reason, "payload": String::from_utf8_lossy(&payload[..payload.len().min(bodies::BODY_BYTES_MAX / 4)])});
    let (bus, subject) = (bus.clone(), bus.names.dead_letter("engine"));
    tokio::spawn(async move {
        let bytes = letter.to_string().into();
        if let Err(error) = bus.port.publish(subject, publish::Headers::new(), bytes).await {
            tracing::error!(%error, "a dead letter is not stored");
        }
    });
}
