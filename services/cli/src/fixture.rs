//! Domains of a test's making: a calm one, and one where everything happens at once.

use std::{collections::BTreeMap, sync::Arc};

use regreen_decider::{Act, Attempt, Phase, Progress, Run, Stage, State, Watching};
use regreen_schemas::{
    CheckName, Fingerprint, RunId, Span, Timestamp, Zone,
    action::Effect,
    alert::{self, Alert},
    check::Status,
    command::{Kind, Task},
    event::{Event, Mode, Origin, RunEvent, Source, Target, Watch},
    fact::Looks,
    run::{Block, Decision, Outcome, RunResult, Skip},
    view,
};

use crate::top::follow::Ended;

/// The run that verifies, on `web/one`.
pub const VERIFIES: &str = "udn54g4hzoba3iz4";
/// The run that asks.
pub const ASKS: &str = "k3hq5zv2m7aaxw2c";
/// The run in line for its lock.
pub const WAITS: &str = "p7w2c4d5e6f7g2h3";

/// 2026-11-20T11:45:23Z.
pub const NOW: Timestamp = Timestamp(1_795_175_123_000);

fn before(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1000)
}

/// All is well: three checks, and nothing else.
pub fn calm() -> State {
    let mut state = State {
        domain: "default".into(),
        now: NOW,
        seq: 1234,
        epoch: 7,
        phase: Phase::Live,
        set: Some(("s".into(), 9)),
        ..State::default()
    };
    for check in ["web/one", "web/three", "web/two"] {
        state.verdicts.insert(check.into(), (Status::Up, before(3600)));
    }
    look(&mut state, "ams", true);
    state
}

/// A run verifies, one asks, one is in line; a check is down, one unknown; a vantage is blind, an alert blocked.
pub fn busy() -> State {
    let mut state = calm();
    state.verdicts.insert("web/one".into(), (Status::Down, before(95)));
    state.verdicts.insert("web/two".into(), (Status::Unknown, before(40)));
    look(&mut state, "fra", false);
    let mut verifies = run(VERIFIES, "one", 92, 1);
    verifies.progress = Progress::Going;
    verifies.acts.insert("closing".into(), act(Stage::Verifying(vec![watching()])));
    let mut asks = run(ASKS, "two", 300, 2);
    (asks.progress, asks.until) = (Progress::Going, Some(NOW + Span::minutes(25)));
    asks.acts.insert("restart".into(), act(Stage::Asking(attempt("restart"))));
    let mut waits = run(WAITS, "one", 12, 3);
    waits.held = Some(Block::Lock { lock: "web/one".into(), holder: VERIFIES.into() });
    for run in [verifies, asks, waits] {
        state.runs.insert(run.id.clone(), Arc::new(run));
    }
    state.locks.insert("web/one".into(), VERIFIES.into());
    let cooldown = Outcome::Blocked(Block::Cooldown { until: NOW + Span::minutes(2) });
    open_alert(&mut state, "c5ffedcb9d39b69c", "WebDown", 95, Outcome::Started { run: VERIFIES.into() });
    open_alert(&mut state, "a1b2c3d4e5f60718", "DiskFull\u{1b}[2J", 700, cooldown);
    open_alert(&mut state, "0011223344556677", "Watchdog", 90_000, Outcome::Skipped(Skip::WhenFalse));
    state
}

/// Runs that ended lately.
pub fn ended() -> Vec<Ended> {
    let ended = |run: &str, result, ago| Ended {
        run: run.into(),
        playbook: "web-restart".into(),
        target: Some("three".into()),
        result,
        started: before(ago + 14),
        ended: before(ago),
    };
    vec![
        ended("aaaabbbbccccdddd", RunResult::Failed, 7200),
        ended("eeeeffffgggghhhh", RunResult::Repaired, 600),
    ]
}

/// A check that two vantages look at.
pub fn check(name: &str) -> view::Check {
    view::Check {
        name: CheckName::from(name),
        kind: view::Kind::Tcp { address: "10.0.0.1:80".into() },
        interval: Span::seconds(10),
        timeout: Span::seconds(1),
        fall: 2,
        rise: 1,
        fresh: Span::seconds(30),
        vantages: vec!["ams".into(), "fra".into()],
        quorum: 2,
        degraded: None,
        down: None,
        expose: None,
    }
}

/// A run on a node of group `web`.
pub fn run(id: &str, node: &str, ago: i64, order: u64) -> Run {
    let target = Target::Node { group: "web".into(), name: node.into() };
    let event = RunEvent::Started {
        playbook: "web-restart".into(),
        set: "s".into(),
        locks: vec![target.lock()],
        target: Some(target),
        origin: Origin::Alert { fingerprint: "c5ffedcb9d39b69c".into() },
        inputs: BTreeMap::new(),
        mode: Mode::Auto,
        wait_until: NOW + Span::minutes(5),
        trigger: None,
        asks: None,
        trial: false,
        active: None,
        trace: None,
    };
    Run::started(RunId::from(id), &event, before(ago), order).expect("a start")
}

/// Something under way, with two tries behind it.
pub fn act(stage: Stage) -> Act {
    Act { stage, attempts: 2, tries: 2, seen: None, doubtful: false }
}

/// An attempt that was dispatched twelve seconds ago.
pub fn attempt(instance: &str) -> Attempt {
    let task = Task {
        kind: Kind::Perform,
        action: "http.request".into(),
        effect: Effect::AtMostOnce,
        zone: Zone::from("main"),
        params: Arc::default(),
        node: None,
        claim_by: NOW,
        timeout: Span::seconds(5),
    };
    let (at, until) = (before(12), NOW + Span::minutes(2));
    Attempt { instance: instance.into(), number: 2, task, stop_no: 1, at, until }
}

fn watching() -> Watching {
    let watch = Watch {
        check: "web/one".into(),
        is: Status::Up,
        hold: Span::seconds(10),
        until: NOW + Span::seconds(20),
        fresh: Span::seconds(30),
        quorum: 1,
        after: 1,
    };
    Watching { watch, seen: BTreeMap::new(), since: Some(before(4)) }
}

fn look(state: &mut State, vantage: &str, sighted: bool) {
    let looks = Looks {
        boot: "b".into(),
        n: 1,
        changes: Vec::new(),
        digest: None,
        set_version: 9,
        sighted,
        all: true,
    };
    state.apply(&Event::LooksTaken { vantage: vantage.into(), looks }).expect("a legal event");
}

fn open_alert(state: &mut State, fingerprint: &str, name: &str, ago: i64, outcome: Outcome) {
    let alert = Alert {
        status: alert::Status::Firing,
        fingerprint: Fingerprint::from(fingerprint),
        labels: BTreeMap::from([("alertname".into(), name.into())]),
        annotations: BTreeMap::new(),
        starts_at: before(ago),
        ends_at: None,
        generator_url: "".into(),
    };
    let now = std::mem::replace(&mut state.now, before(ago));
    let decisions = vec![Decision { playbook: "web-restart".into(), outcome }];
    let decided = Event::AlertDecided {
        fingerprint: alert.fingerprint.clone(),
        status: alert::Status::Firing,
        decisions,
        reads: Vec::new(),
        again_at: None,
    };
    for event in [Event::EpisodeOpened { alert, source: Source::Alert }, decided] {
        state.apply(&event).expect("a legal event");
    }
    state.now = now;
}
