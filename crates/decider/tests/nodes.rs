//! Nodes that come and go: made by a run, taken away by one, found at a provider.

mod case;

use std::sync::Arc;

use case::Case;
use regreen_playbook::Set;
use regreen_schemas::{
    CheckName, Timestamp,
    check::{Look, Status},
    command::Task,
    event::{DiscoveryEvent, Event, RunEvent},
    fact::{Answer, Failure, Item, Looks, Operator, Outcome, Verb},
    roster::{By, NODES_MAX, discovery_id, discovery_instance},
    run::RunResult,
};
use serde_json::{Value, json};

const SET: &str = r#"apiVersion: regreen/v1
inventory: lab
groups: {web: {provider: digitalocean, health: web, nodes: {a1: {id: '1', address: h1}, a2: {id: '2', address: h2}}}}
---
apiVersion: regreen/v1
checks:
  web: {kind: tcp, each: node, in: [web], with: {address: "{{ node.address }}:1"}, vantages: [main]}
---
apiVersion: regreen/v1
policy: lab
receivers: {oncall: {log: {}}}
system: [oncall]
---
apiVersion: regreen/v1
playbook: repair
mode: auto
target: node
triggers: [{manual: {}}]
guard: {cooldown: 1m, budget: [{max: 9, per: 1h}], min_healthy: {at_least: 2}}
steps:
  - {id: create, use: digitalocean.droplet.create, with: {group: "{{ target.group }}", image: i, size: s, region: r, user_data: code}}
  - {id: joined, verify: {check: "web/{{ steps.create.result.node.name }}", for: 0s, within: 5m}}
  - {id: destroy, use: digitalocean.droplet.destroy, with: {node: "{{ target }}"}}
  - {id: include, use: elasticsearch.node.include, with: {node: "{{ target }}"}}
verify: [{check: "web/{{ steps.create.result.node.name }}", for: 0s, within: 5m}]
escalate: [{to: oncall}]
"#;

const DISCOVER: &str = "discover: {tag: web}, health: web";

fn lab() -> Case {
    // Nobody has few healthy others before the new node is there: only what destroys asks for two.
    Case::with(&SET.replace("at_least: 2", "at_least: 1"))
}

fn made(name: &str, id: &str) -> Value {
    json!({"node": {"name": name, "id": id, "address": "h9", "group": "web"}})
}

fn set(case: &Case) -> Arc<Set> {
    case.library.in_force(&case.state).expect("it is in force")
}

fn names(case: &Case) -> Vec<String> {
    set(case).inventory.groups["web"].nodes.keys().map(ToString::to_string).collect()
}

/// All that the vantage sees, by the newest list.
fn look(case: &mut Case, statuses: &[(&str, Status)], version: Option<u64>) {
    let tick = case.state.seq;
    let look = |(node, status): &(&str, Status)| Look {
        check: CheckName::from(format!("web/{node}")),
        status: *status,
        reason: "".into(),
        tick,
        wavers: false,
    };
    let version =
        version.or(case.state.set.as_ref().map(|(_, version)| *version)).expect("a set is in force");
    let (n, changes) = (case.seq + 1, statuses.iter().map(look).collect());
    let looks =
        Looks { boot: "b".into(), n, set_version: version, sighted: true, changes, all: true, digest: None };
    case.fact(Item::Looks(looks), None);
}

fn newest(case: &Case) -> Task {
    let task = case.events.iter().rev().find_map(|event| match event {
        Event::Run { what: RunEvent::Dispatched { task, .. }, .. } => Some(task.clone()),
        _ => None,
    });
    task.expect("something was dispatched")
}

fn ended(case: &Case) -> Option<RunResult> {
    case.events.iter().rev().find_map(|event| match event {
        Event::Run { what: RunEvent::Ended { result, .. }, .. } => Some(*result),
        _ => None,
    })
}

#[test]
fn a_made_node_counts_at_once_and_one_taken_away_counts_no_more_but_is_known() {
    let mut case = lab();
    assert_eq!(newest(&case).params["group"]["name"], "web");
    case.outcome(Verb::Ok { result: made("a4", "9") });
    let watched = case.count(
        |what| matches!(what, RunEvent::VerifyBegan { watches, .. } if watches[0].check.as_str() == "web/a4"),
    );
    assert_eq!(watched, 1, "the next step sees it within the same decision");
    assert_eq!(names(&case), ["a1", "a2", "a4"]);
    case.wait(1000);
    let up = Status::Up;
    look(&mut case, &[("a1", Status::Down), ("a2", up), ("a4", up)], None);
    assert_eq!(&*newest(&case).action, "digitalocean.droplet.destroy");
    case.outcome(Verb::Ok { result: json!({}) });
    assert_eq!(names(&case), ["a2", "a4"]);
    assert_eq!(case.state.verdicts["web/a1"].0, Status::Unknown, "nobody looks at it any more");
    let include = newest(&case);
    assert_eq!(&*include.action, "elasticsearch.node.include");
    assert_eq!(include.params["node"]["id"], "1", "what follows still finds it");
    case.outcome(Verb::Ok { result: json!({}) });
    case.wait(1000);
    look(&mut case, &[("a2", up), ("a4", up)], None);
    assert_eq!(ended(&case), Some(RunResult::Repaired));
    assert!(case.told().is_empty(), "{:?}", case.told());
}

#[test]
fn a_node_that_only_a_look_tells_of_is_taken_in_too() {
    let mut case = lab();
    case.outcome(Verb::Unknown { reason: "no answer".into() });
    for look in [1, 2] {
        let answer = Answer::Done { result: made("a4", "9") };
        case.outcome(Verb::Observed { look, answer });
        case.wait(3000);
    }
    assert_eq!(names(&case), ["a1", "a2", "a4"]);
}

#[test]
fn what_is_known_of_the_others_stays_though_the_list_is_another() {
    let mut case = lab();
    let before = case.state.set.as_ref().map(|(_, version)| *version);
    case.outcome(Verb::Ok { result: made("a4", "9") });
    assert_eq!(case.state.verdicts["web/a2"].0, Status::Up);
    look(&mut case, &[("a2", Status::Down)], before);
    assert_eq!(case.state.verdicts["web/a2"].0, Status::Up, "what is said of the old list does not count");
    look(&mut case, &[("a2", Status::Down)], None);
    assert_eq!(case.state.verdicts["web/a2"].0, Status::Down);
}

#[test]
fn what_the_inventory_can_not_take_is_told_and_the_run_goes_no_further() {
    let cases = [
        (json!({}), "no `node`"),
        (json!({"node": {"name": "A4", "id": "9"}}), "no name of a node"),
        (json!({"node": {"name": "a4"}}), "no `id`"),
        (made("a2", "9"), "another node of the inventory"),
    ];
    for (result, words) in cases {
        let mut case = lab();
        case.outcome(Verb::Ok { result });
        assert_eq!(case.count(|what| matches!(what, RunEvent::StepSucceeded { .. })), 1);
        assert_eq!(names(&case), ["a1", "a2"]);
        assert_eq!(
            (ended(&case), newest(&case).action.as_ref()),
            (Some(RunResult::Failed), "digitalocean.droplet.create")
        );
        let told = case.told();
        assert!(told.iter().any(|text| text.contains(words) && text.contains("Add the node")), "{told:?}");
    }
}

#[test]
fn nothing_starts_for_a_node_that_is_gone() {
    let mut case = lab();
    case.outcome(Verb::Ok { result: made("a4", "9") });
    case.wait(1000);
    look(&mut case, &[("a1", Status::Down), ("a2", Status::Up), ("a4", Status::Up)], None);
    case.outcome(Verb::Ok { result: json!({}) });
    case.outcome(Verb::Ok { result: json!({}) });
    case.wait(6 * 60_000);
    assert_eq!(ended(&case), Some(RunResult::Failed), "nobody looked");
    let start = Operator::Start { playbook: "repair".into(), target: Some("a1".into()), inputs: [].into() };
    case.fact(Item::Operator(start), None);
    let refused = case.events.iter().rev().find_map(|event| match event {
        Event::StartRefused { reason, .. } => Some(reason.to_string()),
        _ => None,
    });
    assert_eq!(refused.as_deref(), Some("gone: a run took the node away"));
}

// What a provider lists.

fn discovers() -> Case {
    let mut case = Case::with(
        &SET.replace("health: web, nodes", &format!("{DISCOVER}, nodes"))
            .replace("at_least: 2", "at_least: 1"),
    );
    case.wait(0);
    case
}

fn found(case: &mut Case, nodes: &[(&str, &str)]) {
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|(name, id)| json!({"name": name, "id": id, "address": "h", "labels": {}}))
        .collect();
    answered(case, Verb::Ok { result: json!({"nodes": nodes}) });
}

fn answered(case: &mut Case, outcome: Verb) {
    let attempt = case.state.discoveries["web"].attempt;
    assert!(case.state.discoveries["web"].out, "somebody was asked");
    let (run, instance) = (discovery_id("web"), discovery_instance("web"));
    let outcome = Outcome { run, instance, attempt, nonce: "n".into(), outcome, timing: None, rate: None };
    case.fact(Item::Result(outcome), None);
}

/// A minute later the next one is out.
fn next(case: &mut Case) {
    case.wait(60_000);
}

const FILES: [(&str, &str); 2] = [("a1", "1"), ("a2", "2")];

#[test]
fn what_is_listed_comes_and_what_is_listed_no_longer_goes() {
    let mut case = discovers();
    let asked = case.events.iter().find_map(|event| match event {
        Event::Discovery { what: DiscoveryEvent::Asked { task, .. }, .. } => Some(task.clone()),
        _ => None,
    });
    let asked = asked.expect("it is asked at the start");
    assert_eq!((&*asked.action, &asked.params["tag"]), ("digitalocean.inventory.list", &json!("web")));
    found(&mut case, &[FILES[0], FILES[1], ("b1", "11"), ("b2", "12")]);
    assert_eq!(names(&case), ["a1", "a2", "b1", "b2"]);
    assert_eq!(case.state.roster.groups["web"].nodes["b1"].by, By::Discovery);
    next(&mut case);
    // The second is another one by now.
    found(&mut case, &[FILES[0], FILES[1], ("b2", "13")]);
    assert_eq!(names(&case), ["a1", "a2", "b2"]);
    assert_eq!(&*case.state.roster.groups["web"].nodes["b2"].node.id, "13");
    assert!(case.state.contradicted.is_empty(), "{:?}", case.state.contradicted);
    let said = case.state.discoveries["web"].said(Timestamp(case.now));
    assert_eq!(said, "well 0s ago");
}

#[test]
fn an_answer_that_nobody_believes_changes_nothing_and_is_told_once() {
    for (first, second) in [(&FILES[..], &[][..]), (&[("a1", "1"), ("a2", "2"), ("b", "3")][..], &FILES[..1])]
    {
        let mut case = discovers();
        found(&mut case, first);
        let (before, told) = (case.state.roster.clone(), case.told().len());
        for times in 1..=3 {
            next(&mut case);
            found(&mut case, second);
            assert_eq!(case.state.discoveries["web"].wrong.as_ref().map(|wrong| wrong.times), Some(times));
        }
        assert_eq!(case.state.roster, before);
        assert_eq!(case.told().len(), told + 1, "{:?}", case.told());
        assert!(case.state.contradicted.is_empty());
        next(&mut case);
        found(&mut case, first);
        assert_eq!(case.state.discoveries["web"].wrong, None);
    }
}

#[test]
fn an_empty_first_answer_is_not_believed_where_files_know_better() {
    let mut case = discovers();
    found(&mut case, &[]);
    let wrong = case.state.discoveries["web"].wrong.clone().expect("it is not believed");
    assert!(wrong.reason.contains("lists 0 nodes where 2 were known"), "{}", wrong.reason);
}

#[test]
fn a_look_that_fails_keeps_what_was_known_and_says_since_when() {
    let mut case = discovers();
    found(&mut case, &[FILES[0], FILES[1], ("b1", "11")]);
    next(&mut case);
    answered(&mut case, Verb::Failed { kind: Failure::Transient, reason: "503".into(), retry_after: None });
    next(&mut case);
    // The runner has died: its answer never comes.
    case.wait(120_000);
    assert_eq!(names(&case), ["a1", "a2", "b1"]);
    let wrong = case.state.discoveries["web"].wrong.clone().expect("it failed");
    assert_eq!(wrong.times, 2);
    assert_eq!(&*wrong.reason, "no runner answered in time");
    let said = case.state.discoveries["web"].said(Timestamp(case.now));
    assert!(said.starts_with("well 4m ago; 2 times since 3m ago: no runner"), "{said}");
}

#[test]
fn whatever_is_wrong_with_an_answer_is_said_and_nothing_is_taken_from_it() {
    let many: Vec<Value> =
        (0..=NODES_MAX).map(|n| json!({"name": format!("n{n}"), "id": n.to_string()})).collect();
    let cases = [(json!({}), "no list `nodes`"), (json!({"nodes": many}), "are the most of a group")];
    for (result, words) in cases {
        let mut case = discovers();
        answered(&mut case, Verb::Ok { result });
        let wrong = case.state.discoveries["web"].wrong.clone().expect("it is wrong");
        assert!(wrong.reason.contains(words), "{}", wrong.reason);
        assert!(case.state.roster.is_empty());
    }
    let mut case = discovers();
    let nodes =
        json!([{"name": "a1", "id": "1"}, {"name": "a2", "id": "2"}, {"name": "B.example", "id": "3"}]);
    answered(&mut case, Verb::Ok { result: json!({"nodes": nodes}) });
    assert!(case.told().iter().any(|text| text.contains("B.example")), "{:?}", case.told());
    assert!(case.state.discoveries["web"].wrong.is_none());
}

#[test]
fn a_file_node_that_the_provider_does_not_list_is_told_once_and_stays() {
    let mut case = discovers();
    for _ in 0..3 {
        found(&mut case, &[("a1", "1"), ("b1", "11")]);
        next(&mut case);
    }
    assert_eq!(names(&case), ["a1", "a2", "b1"]);
    let why = &case.state.contradicted[&("web".into(), "a2".into())];
    assert!(why.contains("the provider lists none"), "{why}");
    assert_eq!(case.told().iter().filter(|text| text.contains("node a2 of web")).count(), 1);
    found(&mut case, &[FILES[0], FILES[1], ("b1", "11")]);
    assert!(case.state.contradicted.is_empty(), "they agree again");
}

#[test]
fn nothing_destructive_is_done_to_a_node_of_which_nobody_is_sure() {
    for (listed, destroyed) in [("a2", false), ("a1", true)] {
        let mut case = discovers();
        case.outcome(Verb::Ok { result: made("a4", "9") });
        for _ in 0..3 {
            found(&mut case, &[(listed, &listed[1..]), ("a4", "9")]);
            next(&mut case);
        }
        let seen = [("a1", Status::Down), ("a2", Status::Up), ("a4", Status::Up)];
        look(&mut case, &seen, None);
        let refused = |what: &RunEvent| matches!(what, RunEvent::StepFailed { reason, .. } if reason.contains("which machine a1 is"));
        assert_eq!(
            (newest(&case).action.ends_with("destroy"), case.count(refused)),
            (destroyed, usize::from(!destroyed))
        );
    }
}

#[test]
fn a_made_node_stays_the_runs_and_one_taken_away_does_not_come_back() {
    let mut case = discovers();
    found(&mut case, &FILES);
    case.outcome(Verb::Ok { result: made("a4", "9") });
    case.wait(1000);
    look(&mut case, &[("a1", Status::Down), ("a2", Status::Up), ("a4", Status::Up)], None);
    case.outcome(Verb::Ok { result: json!({}) });
    case.wait(60_000);
    // The provider's list lags behind: a1 is there still, and a4 is not.
    found(&mut case, &FILES);
    assert_eq!(names(&case), ["a2", "a4"]);
    assert!(matches!(case.state.roster.groups["web"].nodes["a4"].by, By::Run(_)));
    assert!(
        case.state.contradicted.is_empty(),
        "a minute is no contradiction: {:?}",
        case.state.contradicted
    );
    for _ in 0..15 {
        next(&mut case);
        if case.state.discoveries["web"].out {
            found(&mut case, &FILES);
        }
    }
    let both = case.state.contradicted.keys().map(|(_, node)| node.to_string()).collect::<Vec<_>>();
    assert_eq!(both, ["a1", "a4"], "after a quarter of an hour it is one");
}

#[test]
fn nobody_is_asked_while_the_stop_switch_is_on_or_no_runner_serves_it() {
    let mut case = Case::with(
        &SET.replace("health: web, nodes", &format!("{DISCOVER}, nodes"))
            .replace("at_least: 2", "at_least: 1"),
    );
    let stop_no = case.state.stop_no;
    let stopped = regreen_schemas::fact::Engine::Stopped { stop_no, by: "ana".into(), seq: 1 };
    case.fact(Item::Engine(stopped), None);
    case.wait(120_000);
    assert_eq!(case.state.discoveries["web"].attempt, 0);
    let mut case = Case::with(
        &SET.replace(
            "provider: digitalocean, health: web",
            "provider: nobody, discover: {tag: web}, health: web",
        )
        .replace("at_least: 2", "at_least: 1"),
    );
    case.wait(0);
    let wrong = case.state.discoveries["web"].wrong.clone().expect("it is said");
    assert!(wrong.reason.contains("no action nobody.inventory.list"), "{}", wrong.reason);
    assert_eq!(
        case.state.discoveries["web"].said(Timestamp(case.now)),
        format!("never well; 1 times since 0s ago: {}", wrong.reason)
    );
}
