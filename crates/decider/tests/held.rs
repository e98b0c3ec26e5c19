//! What holds a run, and what it does not hold: steps beside the one that is held, time, and people's yes.

mod case;

use case::{Case, SET};
use regreen_schemas::{
    event::{Event, RunEvent},
    fact::{Engine, Item},
    run::RunResult,
};

const NOTIFIED: &str = "receivers: {oncall: {log: {}}}\napprovers: {default: [ana]}";

fn with_steps(steps: &str) -> String {
    let (head, rest) = SET.split_once("steps:\n").expect("it has steps");
    let rest = rest.split_once("verify:").expect("it has a verify").1;
    format!("{head}{steps}\nverify:{rest}").replace("receivers: {oncall: {log: {}}}", NOTIFIED)
}

fn stop(case: &mut Case) {
    let stop_no = case.state.stop_no;
    case.fact(Item::Engine(Engine::Stopped { stop_no, by: "ana".into(), seq: 1 }), None);
}

fn result(case: &Case) -> Option<RunResult> {
    case.events.iter().rev().find_map(|event| match event {
        Event::Run { what: RunEvent::Ended { result, .. }, .. } => Some(*result),
        _ => None,
    })
}

const EFFECT: &str = "use: http.request, with: {node: \"{{ target }}\", url: \"http://x/\", method: PUT}";

#[test]
fn finally_asks_before_it_acts_too() {
    let set = with_steps(&format!("steps: [{{id: a, set: {{x: 1}}}}]\nfinally: [{{id: b, {EFFECT}}}]"))
        .replace("mode: auto", "mode: approve\nnotify: [oncall]");
    let mut case = Case::with(&set);
    let run = case.state.runs.values().next().expect("it is open");
    let ask = run.approvals().next().expect("it asks").clone();
    assert!(ask.plan.iter().any(|line| line.contains("b: http.request")), "{:?}", ask.plan);
    assert_eq!(case.count(|what| matches!(what, RunEvent::Dispatched { .. })), 0);
    case.wait(40 * 60_000);
    assert_eq!(case.count(|what| matches!(what, RunEvent::Dispatched { .. })), 0, "nobody said yes");
    assert_eq!(result(&case), Some(RunResult::Expired));
}

#[test]
fn what_holds_one_of_several_steps_does_not_hold_the_others() {
    let inner = format!("{{id: a, wait: 1s}}, {{id: b, {EFFECT}}}");
    let other = "{id: c, wait: 5s}, {id: d, wait: 5s}";
    let branch = |id: &str, steps: &str| {
        format!(
            "{{id: {id}, choose: [{{if: 'true', steps: [{steps}]}}, {{else: [{{id: {id}_e, wait: 1s}}]}}]}}"
        )
    };
    let parallel =
        format!("steps: [{{id: p, parallel: [{}, {}]}}]", branch("one", &inner), branch("two", other));
    // Nothing in it is destructive where the method is one that a runner calls harmless; a read is enough here.
    let mut case = Case::with(&with_steps(&parallel.replace("method: PUT", "method: GET")));
    stop(&mut case);
    case.wait(2_000);
    case.wait(4_000);
    case.wait(6_000);
    let done = |id: &str| {
        case.count(|what| matches!(what, RunEvent::StepSucceeded { instance, .. } if instance.as_str() == id))
    };
    assert_eq!((done("a"), done("c"), done("d")), (1, 1, 1), "time goes on beside what is held");
    case.wait(2 * 3_600_000);
    assert_eq!(result(&case), Some(RunResult::Blocked));
}

#[test]
fn what_is_held_at_its_end_gives_up_in_time() {
    let steps = format!("steps: [{{id: a, wait: 1s}}]\nfinally: [{{id: b, {EFFECT}}}]");
    let mut case = Case::with(&with_steps(&steps));
    stop(&mut case);
    for _ in 0..20 {
        case.wait(10 * 60_000);
    }
    assert!(case.state.runs.is_empty(), "it ends, though the switch is never released");
}

#[test]
fn what_nobody_answers_is_read_as_often_as_it_says_and_not_until_the_deadline() {
    let read =
        "use: http.request, with: {url: \"http://x/\", method: GET}, timeout: 10s, on_failure: continue";
    for (attempts, until) in [(1, 60_000), (3, 180_000)] {
        let steps = format!("steps: [{{id: a, {read}, attempts: {attempts}}}, {{id: page, set: {{x: 1}}}}]");
        let mut case = Case::with(&with_steps(&steps));
        for _ in 0..until / 5_000 {
            case.wait(5_000);
        }
        assert_eq!(case.count(|what| matches!(what, RunEvent::Dispatched { .. })), attempts);
        let page = |what: &RunEvent| matches!(what, RunEvent::StepSucceeded { instance, .. } if instance.as_str() == "page");
        assert_eq!(case.count(page), 1, "what follows does not wait for it");
    }
}
