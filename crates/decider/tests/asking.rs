//! People: who is asked, whose yes counts, what they hear while a run goes on, and when they hear no more.

mod case;

use case::{Case, SET};
use regreen_decider::Input;
use regreen_schemas::{
    RunId, Timestamp,
    action::TellVerb,
    alert::{Alert, Status as Firing},
    check::Status,
    event::{Event, RunEvent, TellEvent},
    fact::{Alerts, Item, Operator, Outcome, Verb},
    message::{Ask, Message, Telling, Tone},
    run::RunResult,
};
use serde_json::json;

fn asks() -> Case {
    let set = SET
        .replace(
            "receivers: {oncall: {log: {}}}",
            "receivers: {oncall: {log: {}}}\napprovers: {sre: [ana, \"slack:U1\"], default: sre}",
        )
        .replace("mode: auto", "mode: approve\nnotify: [oncall]");
    Case::with(&set)
}

fn ask(case: &Case) -> Ask {
    let run = case.state.runs.values().next().expect("an open run");
    run.approvals().next().cloned().unwrap_or_else(|| panic!("it does not ask: {:?}", run.acts))
}

fn yes(ask: &Ask, user: Option<&str>) -> Item {
    Item::Operator(Operator::Approve {
        run: ask.run.clone(),
        instance: ask.instance.clone(),
        plan_hash: ask.plan_hash.clone(),
        user: user.map(Into::into),
    })
}

fn refusals(case: &Case) -> Vec<String> {
    let refused = |event: &Event| match event {
        Event::OperatorRefused { by, reason, .. } => Some(format!("{by}: {reason}")),
        _ => None,
    };
    case.events.iter().filter_map(refused).collect()
}

fn result(case: &Case) -> Option<RunResult> {
    case.events.iter().rev().find_map(|event| match event {
        Event::Run { what: RunEvent::Ended { result, .. }, .. } => Some(*result),
        _ => None,
    })
}

fn dispatched(case: &Case) -> usize {
    case.count(|what| matches!(what, RunEvent::Dispatched { .. }))
}

#[test]
fn nothing_is_done_before_somebody_who_may_has_said_yes_to_this_plan() {
    let mut case = asks();
    let asked = ask(&case);
    assert_eq!((asked.instance.as_str(), &*asked.by, dispatched(&case)), ("guard", "sre", 0));
    assert!(
        asked.plan[0].starts_with("hit: http.request on a1: url http://x/, method POST"),
        "{:?}",
        asked.plan
    );
    case.fact_of("bob", &yes(&asked, Some("U1")), None);
    case.fact_of("slack", &yes(&asked, Some("U2")), None);
    case.fact_of("ana", &yes(&Ask { plan_hash: "other".into(), ..asked.clone() }, None), None);
    case.fact_of("ana", &yes(&Ask { instance: "hit".into(), ..asked.clone() }, None), None);
    assert_eq!(
        refusals(&case),
        [
            "bob: bob is not one of the approvers `sre`",
            "slack:U2: slack:U2 is not one of the approvers `sre`",
            "ana: the answer is to another plan",
            "ana: nothing is asked there, or not any more",
        ]
    );
    assert_eq!(dispatched(&case), 0);
    case.fact_of("slack", &yes(&asked, Some("U1")), None);
    assert_eq!(dispatched(&case), 1, "a yes by Slack of who may");
    case.fact_of("ana", &yes(&asked, None), None);
    assert_eq!(refusals(&case).len(), 5, "the first answer wins");
}

#[test]
fn what_was_true_when_it_asked_is_judged_again_after_the_yes() {
    let set = SET
        .replace(
            "receivers: {oncall: {log: {}}}",
            "receivers: {oncall: {log: {}}}\napprovers: {default: [ana]}",
        )
        .replace("mode: auto", "mode: approve\nwhen: down(\"web/\" + target.name)")
        .replace("cooldown: 1m", "quorum: 1, cooldown: 1m");
    let mut case = Case::with(&set);
    let asked = ask(&case);
    case.look(Status::Up, false, 0);
    case.fact_of("ana", &yes(&asked, None), None);
    assert_eq!((dispatched(&case), result(&case)), (0, Some(RunResult::Cancelled)));
}

#[test]
fn no_answer_is_a_no_and_a_no_is_a_no() {
    let mut case = asks();
    case.wait(30 * 60_000);
    assert_eq!((dispatched(&case), result(&case)), (0, Some(RunResult::Expired)));
    assert!(case.told().iter().any(|text| text.contains("expired")), "{:?}", case.told());

    let mut case = asks();
    let Ask { run, instance, plan_hash, .. } = ask(&case);
    let deny = Operator::Deny { run, instance, plan_hash, reason: "not today".into(), user: None };
    case.fact_of("ana", &Item::Operator(deny), None);
    assert_eq!((dispatched(&case), result(&case)), (0, Some(RunResult::Denied)));
}

#[test]
fn a_group_called_operators_says_who_may_do_the_rest() {
    let set = SET.replace(
        "receivers: {oncall: {log: {}}}",
        "receivers: {oncall: {log: {}}}\napprovers: {operators: [r1]}",
    );
    let mut case = Case::with(&set);
    let run = case.open().0;
    let cancel = Item::Operator(Operator::Cancel { run, reason: "".into() });
    case.fact_of("bob", &cancel, None);
    case.fact_of("slack", &cancel, None);
    assert_eq!(
        (refusals(&case).len(), case.count(|what| matches!(what, RunEvent::Cancelled { .. }))),
        (2, 0)
    );
    case.fact_of("r1", &cancel, None);
    assert_eq!(case.count(|what| matches!(what, RunEvent::Cancelled { .. })), 1);
}

/// What the notifier was sent last, with its number in the thread.
fn said(case: &Case) -> Option<(u32, String, TellVerb, Telling)> {
    case.events.iter().rev().find_map(|event| match event {
        Event::Tell { what: TellEvent::Dispatched { nth, task, .. }, .. } => {
            let telling = serde_json::from_value(task.params.as_ref().clone()).expect("a telling");
            let verb = if task.action.ends_with("open") {
                TellVerb::Open
            } else if task.action.ends_with("close") {
                TellVerb::Close
            } else {
                TellVerb::Update
            };
            Some((*nth, task.action.to_string(), verb, telling))
        }
        _ => None,
    })
}

/// The notifier answers what it was sent last for those who follow.
fn posted(case: &mut Case, handle: &str) {
    let found = case.events.iter().rev().find_map(|event| match event {
        Event::Tell { key, what: TellEvent::Dispatched { attempt, nth, .. } } if key.n >= 1 << 20 => {
            Some((key.clone(), *attempt, *nth))
        }
        _ => None,
    });
    let (key, attempt, nth) = found.expect("something was sent");
    let outcome = Verb::Ok { result: json!({"ts": handle}) };
    let item = Outcome {
        run: key.run.clone(),
        instance: key.instance(nth),
        attempt,
        nonce: "n".into(),
        outcome,
        timing: None,
        rate: None,
    };
    case.fact_of("notifier", &Item::Result(item), None);
}

#[test]
fn who_follows_a_run_gets_one_message_that_is_brought_up_to_date() {
    let mut case = asks();
    let (nth, _, verb, _) = said(&case).expect("it began");
    assert_eq!((nth, verb), (0, TellVerb::Open));
    posted(&mut case, "17.4");
    let (nth, _, verb, telling) = said(&case).expect("it asks");
    assert_eq!((nth, verb, telling.opened), (1, TellVerb::Update, Some(json!({"ts": "17.4"}))));
    assert_eq!((telling.message.tone, telling.message.ask), (Tone::Asking, Some(ask(&case))));
    let asked = ask(&case);
    // While the message is on its way, two more things happen: the next says both.
    case.fact_of("ana", &yes(&asked, None), None);
    posted(&mut case, "17.4");
    let (nth, _, _, Telling { message: Message { news, ask, .. }, opened, .. }) =
        said(&case).expect("it goes on");
    assert_eq!((nth, ask, opened), (2, None, Some(json!({"ts": "17.4"}))));
    assert_eq!(
        news.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        ["guard: ana said yes", "hit: http.request"]
    );
    posted(&mut case, "17.4");
    case.outcome(Verb::Failed {
        kind: regreen_schemas::fact::Failure::Permanent,
        reason: "404".into(),
        retry_after: None,
    });
    posted(&mut case, "17.4");
    let closing = case.events.iter().any(|event| {
        matches!(event, Event::Tell { what: TellEvent::Dispatched { task, .. }, .. } if task.action.ends_with(".close"))
    });
    assert!(closing, "its end closes the thread");
}

#[test]
fn whoever_takes_it_over_spares_the_others() {
    let mut case = Case::with(
        &SET.replace("escalate: [{to: oncall}]", "escalate: [{to: oncall}, {to: oncall, after: 10m}]"),
    );
    let run: RunId = case.open().0;
    case.outcome(Verb::Failed {
        kind: regreen_schemas::fact::Failure::Permanent,
        reason: "404".into(),
        retry_after: None,
    });
    assert_eq!(case.told().len(), 2);
    case.fact_of("ana", &Item::Operator(Operator::Ack { of: run.as_str().into() }), None);
    let dropped =
        case.events.iter().filter(|event| matches!(event, Event::Tell { what: TellEvent::Dropped, .. }));
    assert_eq!(dropped.count(), 1, "the second page is not sent");
    case.fact_of("ana", &Item::Operator(Operator::Ack { of: "nothing".into() }), None);
    assert_eq!(refusals(&case), ["ana: nobody is told of it now, or it is over"]);
}

/// An alert of a node, firing or resolved.
fn alert(case: &mut Case, name: &str, status: Firing) {
    let now = Timestamp(case.now);
    let alert = Alert {
        status,
        fingerprint: name.into(),
        labels: [("alertname".into(), "Down".into()), ("node".into(), "a1".into())].into(),
        annotations: Default::default(),
        starts_at: Timestamp(1),
        ends_at: (status == Firing::Resolved).then_some(now),
        generator_url: "".into(),
    };
    case.fact(Item::Alerts(Alerts { alerts: vec![alert], ..Alerts::default() }), None);
}

/// A run that two alerts share, and that failed: its page is out and was posted.
fn paged() -> Case {
    let set = SET.replace("triggers: [{manual: {}}]", "triggers: [{manual: {}}, {alert: ['alertname=\"Down\"', 'node!=\"\"'], target: \"{{ alert.labels.node }}\"}]\nwhen: down(\"web/\" + target.name)").replace("cooldown: 1m", "quorum: 1, cooldown: 1m");
    let mut case = Case::with(&set);
    alert(&mut case, "one", Firing::Firing);
    alert(&mut case, "two", Firing::Firing);
    let permanent = regreen_schemas::fact::Failure::Permanent;
    case.outcome(Verb::Failed { kind: permanent, reason: "404".into(), retry_after: None });
    answer(&mut case, Verb::Ok { result: json!({"ts": "1"}) });
    case
}

/// The notifier answers whatever it was sent last.
fn answer(case: &mut Case, outcome: Verb) {
    let found = case.events.iter().rev().find_map(|event| match event {
        Event::Tell { key, what: TellEvent::Dispatched { attempt, nth, .. } } => {
            Some((key.clone(), *attempt, *nth))
        }
        _ => None,
    });
    let (key, attempt, nth) = found.expect("something was sent");
    let (run, instance) = (key.run.clone(), key.instance(nth));
    let item = Outcome { run, instance, attempt, nonce: "n".into(), outcome, timing: None, rate: None };
    case.fact_of("notifier", &Item::Result(item), None);
}

fn closes(case: &Case) -> usize {
    let closes = |event: &&Event| matches!(event, Event::Tell { what: TellEvent::Dispatched { task, .. }, .. } if task.action.ends_with(".close"));
    case.events.iter().filter(closes).count()
}

#[test]
fn a_page_about_two_alerts_is_over_with_the_last_of_them() {
    let mut case = paged();
    alert(&mut case, "one", Firing::Resolved);
    assert_eq!(closes(&case), 0, "the other one still fires, and nobody would be paged again");
    alert(&mut case, "two", Firing::Resolved);
    assert_eq!(closes(&case), 1);
    answer(&mut case, Verb::Ok { result: json!({}) });
    assert!(case.state.tells.is_empty(), "{:?}", case.state.tells);
}

#[test]
fn a_message_that_does_not_get_through_takes_no_later_one_with_it() {
    let mut case = paged();
    case.fact_of("ana", &Item::Operator(Operator::Ack { of: "two".into() }), None);
    // The acknowledgement fails until it is given up; meanwhile the alerts end, and somebody acknowledges once more.
    for _ in 0..12 {
        let kind = regreen_schemas::fact::Failure::Transient;
        answer(&mut case, Verb::Failed { kind, reason: "503".into(), retry_after: None });
        case.wait(60_000);
    }
    let given_up = |event: &Event| matches!(event, Event::Tell { what: TellEvent::GivenUp { .. }, .. });
    assert!(case.events.iter().any(given_up));
    case.fact_of("ana", &Item::Operator(Operator::Ack { of: "two".into() }), None);
    for name in ["one", "two"] {
        alert(&mut case, name, Firing::Resolved);
    }
    case.fact_of("ana", &Item::Operator(Operator::Ack { of: "two".into() }), None);
    answer(&mut case, Verb::Ok { result: json!({}) });
    assert_eq!(closes(&case), 1, "its end is its end, whatever came late");
    answer(&mut case, Verb::Ok { result: json!({}) });
    assert!(case.state.tells.is_empty(), "{:?}", case.state.tells);
}

#[test]
fn a_no_holds_for_the_whole_episode() {
    let set = SET
        .replace(
            "receivers: {oncall: {log: {}}}",
            "receivers: {oncall: {log: {}}}\napprovers: {default: [ana]}",
        )
        .replace("mode: auto", "mode: approve\nwhen: down(\"web/\" + target.name)")
        .replace(
            "triggers: [{manual: {}}]",
            "triggers: [{alert: ['alertname=\"Down\"', 'node!=\"\"'], target: \"{{ alert.labels.node }}\"}]",
        )
        .replace("cooldown: 1m", "quorum: 1, cooldown: 1m");
    let mut case = Case::with(&set);
    alert(&mut case, "one", Firing::Firing);
    let Ask { run, instance, plan_hash, .. } = ask(&case);
    let deny = Operator::Deny { run, instance, plan_hash, reason: "".into(), user: None };
    case.fact_of("ana", &Item::Operator(deny), None);
    alert(&mut case, "one", Firing::Firing);
    assert_eq!(case.count(|what| matches!(what, RunEvent::ApprovalAsked { .. })), 1, "not asked again");
}

#[test]
fn nobody_is_asked_while_the_past_is_read() {
    let mut case = asks();
    let Ask { run, instance, plan_hash, .. } = ask(&case);
    let deny = Operator::Deny { run, instance, plan_hash, reason: "".into(), user: None };
    case.fact_of("ana", &Item::Operator(deny), None);
    case.look(Status::Up, false, 0);
    let here = case.seq + 3;
    let takeover =
        Event::Takeover { here, until: Timestamp(case.now + 3_600_000), suspect: None, streams: None };
    case.input(&Input::Log(Box::new(takeover)));
    let start = || {
        Item::Operator(Operator::Start {
            playbook: "repair".into(),
            target: Some("a2".into()),
            inputs: Default::default(),
        })
    };
    let asked = |case: &Case| case.count(|what| matches!(what, RunEvent::ApprovalAsked { .. }));
    case.fact_of("ana", &start(), None);
    case.wait(60_000);
    assert_eq!(asked(&case), 1, "its answer would be too late before anybody heard of it");
    case.look(Status::Up, false, 0);
    case.look(Status::Up, false, 0);
    case.wait(1);
    assert_eq!(asked(&case), 2, "{:?}", case.state.runs);
}

#[test]
fn a_cleared_cooldown_lets_the_next_run_begin() {
    let mut case = Case::new();
    case.outcome(Verb::Failed {
        kind: regreen_schemas::fact::Failure::Permanent,
        reason: "404".into(),
        retry_after: None,
    });
    let start = || {
        Item::Operator(Operator::Start {
            playbook: "repair".into(),
            target: Some("a1".into()),
            inputs: Default::default(),
        })
    };
    let starts = |case: &Case| case.count(|what| matches!(what, RunEvent::Started { .. }));
    case.fact_of("ana", &start(), None);
    assert_eq!(starts(&case), 1, "within the cooldown");
    let clear = |target: &str| {
        Item::Operator(Operator::ClearCooldown { playbook: "repair".into(), target: Some(target.into()) })
    };
    case.fact_of("ana", &clear("a2"), None);
    assert_eq!(refusals(&case), ["ana: no run of it has ended there"]);
    case.fact_of("ana", &clear("a1"), None);
    case.fact_of("ana", &start(), None);
    assert_eq!(starts(&case), 2);
}

#[test]
fn a_verdict_that_changes_to_and_fro_is_told_once_until_it_is_steady() {
    let mut case = Case::with(
        &SET.replace("receivers: {oncall: {log: {}}}", "receivers: {oncall: {log: {}}}\nsystem: [oncall]"),
    );
    let flapping =
        |case: &Case| case.events.iter().filter(|event| matches!(event, Event::Flapping { .. })).count();
    for look in 0..5_u64 {
        case.look(if look % 2 == 0 { Status::Up } else { Status::Down }, false, look);
        case.now += 20_000;
    }
    assert_eq!(flapping(&case), 0, "five changes");
    for look in 5..12_u64 {
        case.look(if look % 2 == 0 { Status::Up } else { Status::Down }, false, look);
        case.now += 20_000;
    }
    assert_eq!(flapping(&case), 1);
    assert!(case.told().iter().any(|text| text.starts_with("web/a1 flaps: 6 changes")), "{:?}", case.told());
    let steady = |case: &Case| case.events.iter().any(|event| matches!(event, Event::Steady { .. }));
    assert!(!steady(&case));
    case.wait(10 * 60_000);
    assert!(steady(&case) && case.state.flaps.is_empty());
}

#[test]
fn a_watchdog_that_stays_away_is_told_and_that_it_comes_again() {
    let watchdog = "receivers: {oncall: {log: {}}}\nsystem: [oncall]\nwatchdog: {alert: ['alertname=\"Watchdog\"'], within: 10m}";
    let mut case = Case::with(&SET.replace("receivers: {oncall: {log: {}}}", watchdog));
    let barks = |case: &mut Case| {
        let alert = Alert {
            status: Firing::Firing,
            fingerprint: "w".into(),
            labels: [("alertname".into(), "Watchdog".into())].into(),
            annotations: Default::default(),
            starts_at: Timestamp(1),
            ends_at: None,
            generator_url: "".into(),
        };
        case.fact(Item::Alerts(Alerts { alerts: vec![alert], ..Alerts::default() }), None);
    };
    let told = |case: &Case, word: &str| case.told().iter().filter(|text| text.contains(word)).count();
    case.wait(9 * 60_000);
    barks(&mut case);
    case.wait(9 * 60_000);
    assert_eq!(told(&case, "has not come"), 0);
    case.wait(2 * 60_000);
    assert_eq!(told(&case, "has not come for 10m"), 1);
    case.wait(60 * 60_000);
    assert_eq!(told(&case, "has not come for 10m"), 1, "once");
    barks(&mut case);
    assert_eq!(told(&case, "comes again"), 1);
}

#[test]
fn joined_checks_follow_their_members_and_never_guess() {
    let set = SET.replace(
        "checks: {web: {kind: tcp, each: node, in: [web], with: {address: \"h:1\"}, vantages: [main]}}",
        r#"checks:
  web: {kind: tcp, each: node, in: [web], with: {address: "h:1"}, vantages: [main]}
  far: {kind: tcp, with: {address: "h:2"}, vantages: [far]}
  every: {kind: all, of: [web/*]}
  some: {kind: any, of: [web/*]}
  most: {kind: share, of: [web/*], degraded: {below: 100}, down: {below: 50}}
  seen: {kind: all, of: [web/a2, far]}
  nested: {kind: any, of: [every, web/a2]}"#,
    );
    let mut case = Case::with(&set);
    let verdicts = |case: &Case| {
        ["every", "some", "most", "seen", "nested"]
            .map(|check| case.state.verdicts.get(check).map_or(Unknown, |(status, _)| *status))
    };
    use Status::{Degraded, Down, Unknown, Up};
    assert_eq!(verdicts(&case), [Down, Up, Degraded, Unknown, Up], "a1 is down, a2 up, far unseen");
    case.look(Up, false, 1);
    assert_eq!(verdicts(&case), [Up, Up, Up, Unknown, Up]);
}
