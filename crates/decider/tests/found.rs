//! What the simulation found, each as small as it gets; and what was seen to be missing beside it.

mod case;

use regreen_decider::{State, fold};
use regreen_schemas::{
    Timestamp,
    check::Status,
    command::Kind,
    event::{Event, RunEvent},
    fact::{Alerts, Engine, Item, Operator, Outcome, Verb},
    record::{Cause, Cursor, Record},
    run::RunResult,
    ticket::Holder,
};

use case::{Case, SET};

/// A call that hangs ends at the moment at which its command is overdue: its result comes before the word that its
/// ticket was taken. That word was taken for one about the look that follows.
#[test]
fn word_of_a_ticket_that_comes_after_the_result_says_nothing_about_the_look() {
    let mut case = Case::new();
    case.wait(30_001);
    assert_eq!(case.count(|what| matches!(what, RunEvent::Overdue { .. })), 1);
    let (run, instance, attempt, _) = case.open();
    case.outcome(Verb::Unknown { reason: "no answer".into() });
    case.wait(1);
    assert_eq!(case.open().3, Kind::Observe(1), "it is looked up");
    case.fact(Item::Engine(Engine::Started { run, instance, attempt, nonce: "n".into() }), None);
    assert_eq!(case.count(|what| matches!(what, RunEvent::Began { .. })), 0);
    case.outcome(Verb::Observed { look: 1, answer: regreen_schemas::fact::Answer::NotDone });
    assert_eq!(case.count(|what| matches!(what, RunEvent::Observed { .. })), 1);
}

/// Three looks in a row make a check down. Until then its status is up, and a verify held by it, though every look
/// since it began had failed. And a look that is told again, after a reconnect, is no second one.
#[test]
fn a_hold_is_broken_by_a_look_that_says_otherwise_and_not_ended_by_one_told_again() {
    let mut case = Case::new();
    case.outcome(Verb::Ok { result: serde_json::json!({}) });
    let tick = case.state.seq;
    let looks = [
        (1, true, 0),
        (2, true, 0),
        (3, false, 0),
        (4, true, 0),
        (5, false, 0),
        (5, false, 0),
        (6, false, 1),
    ];
    for (look, wavers, held) in looks {
        case.wait(3000);
        case.look(Status::Up, wavers, tick + look);
        assert_eq!(case.count(|what| matches!(what, RunEvent::VerifyHeld { .. })), held, "look {look}");
    }
}

/// Nobody but a person can say whether it was done: they are asked at once, not when the run's deadline has passed.
#[test]
fn whoever_must_answer_is_asked_at_once_and_told_at_the_end_too() {
    let mut case = Case::with(&SET.replace(", observe: {url: \"http://x/\", done: \"status == 200\"}", ""));
    case.outcome(Verb::Unknown { reason: "no answer".into() });
    let (run, instance, attempt, _) = case.open();
    let asked = case.told();
    assert!(asked.len() == 1 && asked[0].contains(&format!("`regreen settle {run} --done`")), "{asked:?}");
    let settle = Operator::Settle { run, instance, attempt, done: false };
    case.fact(Item::Operator(settle), None);
    assert_eq!(case.told().len(), 2, "the end is told all the same");
}

#[test]
fn nobody_is_asked_about_a_run_that_ends_with_the_question() {
    let set = SET.replace(", observe: {url: \"http://x/\", done: \"status == 200\"}", "");
    let mut case = Case::with(&set.replace("mode: auto", "mode: auto\ndeadline: 20s"));
    let holder = Holder { seq: 1, runner: "r1".into(), nonce: "n".into(), pre_state: None };
    let (run, instance, attempt, _) = case.open();
    case.now += 25_000;
    let outcome = Verb::Unknown { reason: "no answer".into() };
    case.fact(
        Item::Result(Outcome {
            run,
            instance,
            attempt,
            nonce: "n".into(),
            outcome,
            timing: None,
            rate: None,
        }),
        Some(&holder),
    );
    case.wait(1);
    let told = case.told();
    assert!(told.len() == 1 && told[0].contains("unknown"), "the end alone: {told:?}");
}

/// What is asked is no word of the system about itself, which speaks once an hour.
#[test]
fn a_question_does_not_silence_what_was_cut_off() {
    let set = SET.replace(", observe: {url: \"http://x/\", done: \"status == 200\"}", "");
    let mut case = Case::with(&set.replace("policy: lab", "policy: lab\nsystem: [oncall]"));
    case.outcome(Verb::Unknown { reason: "no answer".into() });
    assert_eq!(case.told().len(), 1);
    let cut = Alerts { receiver: "regreen".into(), truncated: 3, ..Alerts::default() };
    case.fact(Item::Alerts(cut), None);
    assert!(case.told().last().is_some_and(|text| text.contains("cut 3 alerts off")), "{:?}", case.told());
}

/// Ended by a person: at once where nothing is under way, else when it is known what became of it.
#[test]
fn a_cancelled_run_ends_when_nothing_of_it_is_under_way() {
    let cancel = |case: &mut Case| {
        let (run, ..) = case.open();
        case.fact(Item::Operator(Operator::Cancel { run, reason: "by hand".into() }), None);
    };
    let ended = |case: &Case| {
        case.events.iter().rev().find_map(|event| match event {
            Event::Run { what: RunEvent::Ended { result, reason }, .. } => {
                Some((*result, reason.to_string()))
            }
            _ => None,
        })
    };
    let word = "cancelled by r1: by hand";

    let mut verifying = Case::new();
    verifying.outcome(Verb::Ok { result: serde_json::json!({}) });
    cancel(&mut verifying);
    assert_eq!(ended(&verifying), Some((RunResult::Cancelled, word.into())));
    assert!(verifying.state.watchers.is_empty(), "nobody watches for it any more");

    let mut dispatched = Case::new();
    cancel(&mut dispatched);
    assert_eq!(
        (ended(&dispatched), dispatched.count(|what| matches!(what, RunEvent::Overdue { .. }))),
        (None, 1)
    );
    let (run, instance, attempt, _) = dispatched.open();
    dispatched.fact(Item::Engine(Engine::Revoked { run, instance, attempt }), None);
    assert_eq!(ended(&dispatched), Some((RunResult::Cancelled, word.into())), "the ticket was won back");

    let mut begun = Case::new();
    cancel(&mut begun);
    begun.outcome(Verb::Ok { result: serde_json::json!({}) });
    assert_eq!(ended(&begun), Some((RunResult::Cancelled, word.into())), "it was done, and nothing follows");
    assert_eq!(begun.count(|what| matches!(what, RunEvent::StepSucceeded { .. })), 1);

    let mut unknown = Case::new();
    cancel(&mut unknown);
    unknown.outcome(Verb::Unknown { reason: "no answer".into() });
    assert_eq!((ended(&unknown), unknown.open().3), (None, Kind::Observe(1)), "it is looked up first");
}

/// A runner has no inventory: what it acts on goes along whole, by path or by name.
#[test]
fn a_command_carries_the_object_that_it_acts_on() {
    for (target, on) in [("\"{{ target }}\"", "a1"), ("a1", "a1")] {
        let with = format!("use: digitalocean.droplet.reboot, with: {{node: {target}}}}}");
        let (before, _) = SET.split_once("use: http.request").expect("it has a step");
        let (_, after) = SET.split_once("}}\nverify").expect("it has a verify");
        let set = format!("{before}{with}\nverify{after}").replace("a1: {}", "a1: {id: \"77\"}");
        let case = Case::with(&set);
        let mut tasks = case.events.iter().filter_map(|event| match event {
            Event::Run { what: RunEvent::Dispatched { task, .. }, .. } => Some(task),
            _ => None,
        });
        let task = tasks.next_back().expect("a dispatch");
        let node = &task.params["node"];
        assert_eq!((&node["name"], &node["id"]), (&on.into(), &"77".into()), "{}", task.params);
        assert_eq!(node["group"]["name"], "web", "{}", task.params);
    }
}

#[test]
fn a_genesis_over_facts_does_not_decide_them() {
    let genesis = Event::Genesis { genesis: "g".into(), domain: "default".into() };
    let item = regreen_schemas::record::Item { cause: Cause::Log, now: Timestamp(1), events: vec![genesis] };
    let record = |items, cursor| Record {
        v: 1,
        format: 1,
        epoch: 0,
        owner: "o".into(),
        n: 1,
        prev_hash: "".into(),
        items,
        cursor,
        fact_hash: "".into(),
        stop_no: 1,
        trouble: None,
        hashed: false,
        state_hash: None,
        now: Timestamp(1),
    };
    let mut state = State::default();
    fold(&mut state, &record(vec![item], Cursor::after(7)), 1).expect("legal");
    assert_eq!(state.cursor, Cursor::after(7));
    assert!(fold(&mut state, &record(vec![], Cursor::after(8)), 2).is_err(), "nothing moved it");
}
