use std::sync::Arc;

use regreen_schemas::{
    CheckName, Span, Zone,
    action::Effect,
    command::{Kind, Task},
    event::{Mode, Origin, Then, Watch},
    run::Block,
};
use serde_json::Value;

use super::*;

const RUN: &str = "udn54g4hzoba3iz4";
const PLAYBOOK: &str = "node-lost";

fn noted(millis: i64, event: Event) -> Noted {
    Noted { at: Timestamp(millis), fact: Some(u64::try_from(millis).expect("after 1970")), event }
}

fn of_run(millis: i64, run: &str, what: RunEvent) -> Noted {
    noted(millis, Event::Run { run: run.into(), what })
}

fn decided(outcome: Outcome) -> Event {
    Event::AlertDecided {
        fingerprint: "f".into(),
        status: Firing::Firing,
        decisions: vec![Decision { playbook: PLAYBOOK.into(), outcome }],
        reads: Vec::new(),
        again_at: None,
    }
}

fn started(playbook: &str) -> RunEvent {
    RunEvent::Started {
        playbook: playbook.into(),
        set: "s".into(),
        target: None,
        origin: Origin::Alert { fingerprint: "f".into() },
        inputs: BTreeMap::new(),
        mode: Mode::Auto,
        locks: Vec::new(),
        trigger: None,
        asks: None,
        trial: false,
        active: None,
        wait_until: Timestamp(0),
        trace: None,
    }
}

fn dispatched(instance: &str, kind: Kind) -> RunEvent {
    let task = Task {
        kind,
        action: format!("cloud.{instance}").into(),
        effect: Effect::Reconcilable,
        zone: Zone::from("main"),
        params: Arc::new(Value::Null),
        node: None,
        claim_by: Timestamp(0),
        timeout: Span(1000),
    };
    RunEvent::Dispatched {
        instance: instance.into(),
        attempt: 1,
        task,
        stop_no: 1,
        spends: Vec::new(),
        until: Timestamp(0),
    }
}

fn succeeded(instance: &str) -> RunEvent {
    RunEvent::StepSucceeded { instance: instance.into(), result: Value::Null }
}

fn watching(instance: &str) -> RunEvent {
    let watch = Watch {
        check: CheckName::from("es-node/a2"),
        is: Status::Up,
        hold: Span(500),
        until: Timestamp(0),
        fresh: Span(1000),
        quorum: 1,
        after: 0,
    };
    RunEvent::VerifyBegan { instance: instance.into(), watches: vec![watch] }
}

fn ended(result: RunResult) -> RunEvent {
    RunEvent::Ended { result, reason: "".into() }
}

/// Broke at 1000: an alert, a call whose answer is lost, a watch in vain, another call, a watch that holds.
fn repaired() -> Seen {
    let down = Event::VerdictChanged {
        check: "es-node/a2".into(),
        from: Status::Up,
        to: Status::Down,
        reason: "".into(),
    };
    let unknown = RunEvent::AttemptUnknown {
        instance: "reboot".into(),
        attempt: 1,
        reason: "the answer is lost".into(),
        next: regreen_schemas::event::AfterUnknown::Observe,
    };
    let missed = RunEvent::VerifyMissed { instance: "back".into(), reason: "es-node/a2 is down".into() };
    let failed = RunEvent::StepFailed { instance: "back".into(), reason: "missed".into(), then: Then::Steps };
    let mut noted = vec![
        noted(1800, down),
        noted(2010, decided(Outcome::Started { run: RUN.into() })),
        of_run(2010, RUN, started(PLAYBOOK)),
        of_run(2500, RUN, dispatched("reboot", Kind::Perform)),
        of_run(3000, RUN, unknown),
        of_run(3001, RUN, dispatched("reboot", Kind::Observe(1))),
        of_run(3500, RUN, succeeded("reboot")),
        of_run(3500, RUN, watching("back")),
        of_run(5500, RUN, missed),
        of_run(5500, RUN, failed),
        of_run(5600, RUN, dispatched("power_cycle", Kind::Perform)),
        of_run(6610, RUN, succeeded("power_cycle")),
        of_run(6620, RUN, watching("closing")),
        of_run(8620, RUN, RunEvent::VerifyHeld { instance: "closing".into() }),
        of_run(8620, RUN, ended(RunResult::Repaired)),
    ];
    // What is told of another playbook's run is not this act's work.
    noted.insert(4, of_run(2600, "other", started("cluster-red")));
    noted.insert(5, of_run(2700, "other", dispatched("state", Kind::Perform)));
    Seen { noted, stored: BTreeMap::from([(2010, Timestamp(2000)), (6610, Timestamp(6600))]) }
}

#[test]
fn every_second_of_an_act_stands_in_a_bar_of_its_phase() {
    let timeline = of(Timestamp(1000), PLAYBOOK, &repaired());
    let bars: Vec<(&str, i64, i64, &str, bool)> = timeline
        .bars
        .iter()
        .map(|bar| (bar.phase.word(), bar.from.0, bar.to.0, bar.label.as_str(), bar.well))
        .collect();
    assert_eq!(
        bars,
        [
            ("detect", 1000, 2000, "until an alert is stored", true),
            ("decide", 2000, 2500, "until the first command", true),
            ("act", 2500, 3500, "reboot: cloud.reboot", true),
            ("verify", 3500, 5500, "back: es-node/a2", false),
            ("act", 5600, 6600, "power_cycle: cloud.power_cycle", true),
            ("verify", 6620, 8620, "closing: es-node/a2", true),
        ]
    );
    let seconds = Seconds { detect: 1.0, decide: 0.5, act: 2.0, verify: 4.0, rto: Some(7.62) };
    assert_eq!((timeline.seconds, timeline.result), (Some(seconds), Some(RunResult::Repaired)));
    assert_eq!((timeline.run.as_ref().map(RunId::as_str), timeline.ended), (Some(RUN), Timestamp(8620)));
    let words: Vec<&str> = timeline.marks.iter().map(|mark| mark.word).collect();
    assert_eq!(
        words,
        [
            "seen", "decided", "dispatch", "dispatch", "unknown", "dispatch", "done", "looks", "missed",
            "failed", "dispatch", "done", "looks", "verified", "ended"
        ]
    );
}

#[test]
fn a_run_that_failed_has_taken_its_time_and_has_no_recovery_time() {
    let mut seen = repaired();
    seen.noted.pop();
    seen.noted.push(of_run(8620, RUN, ended(RunResult::Failed)));
    let seconds = of(Timestamp(1000), PLAYBOOK, &seen).seconds.expect("it has ended");
    assert_eq!((seconds.act, seconds.rto), (2.0, None));
}

#[test]
fn where_nothing_is_done_there_is_no_recovery_time() {
    let block = Block::Storm { group: "es-a".into(), down: 2, of: 3 };
    let seen = Seen {
        noted: vec![
            noted(1700, decided(Outcome::Blocked(block))),
            noted(
                2900,
                Event::EpisodeClosed {
                    fingerprint: "f".into(),
                    ended: Timestamp(2900),
                    why: regreen_schemas::event::Closing::Resolved,
                },
            ),
        ],
        stored: BTreeMap::new(),
    };
    let timeline = of(Timestamp(1000), PLAYBOOK, &seen);
    let phases: Vec<(Phase, i64)> = timeline.bars.iter().map(|bar| (bar.phase, bar.to.0)).collect();
    assert_eq!(phases, [(Phase::Detect, 1700), (Phase::Decide, 1700)]);
    assert_eq!((timeline.seconds, timeline.run, timeline.ended), (None, None, Timestamp(2900)));
    assert_eq!(seen.blocked().as_deref(), Some("storm: 2 of 3 nodes of es-a are not up"));
    let nothing = of(Timestamp(1000), PLAYBOOK, &Seen::default());
    assert_eq!((nothing.bars, nothing.ended), (Vec::new(), Timestamp(1000)));
}

#[test]
fn questions_about_an_act_are_about_its_own_run() {
    let seen = repaired();
    assert_eq!(seen.end_of(PLAYBOOK).map(|end| end.at), Some(Timestamp(8620)));
    assert!(seen.end_of("cluster-red").is_none(), "that one goes on");
    let attempts: Vec<&str> = seen.attempts().map(|(_, _, task)| &*task.action).collect();
    assert_eq!(attempts, ["cloud.reboot", "cloud.state", "cloud.power_cycle"]);
    assert_eq!((seen.succeeded().count(), seen.looks(), seen.resolved()), (2, 0, false));
}
