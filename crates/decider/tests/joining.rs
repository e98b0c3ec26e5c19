//! A playbook without target: each episode has its own run, a repeated notification never starts another, and runs
//! that were held go on one by one.

use std::{collections::BTreeMap, sync::Arc};

use regreen_decider::{Input, Library, State, decide, due};
use regreen_playbook::{diagnostic::Source, load};
use regreen_schemas::{
    Timestamp,
    action::HTTP_REQUEST,
    alert::{Alert, Status},
    check::{Digest, digest_hash},
    event::{Event, RunEvent},
    fact::{Alerts, Engine, Item, Looks, Serves, Set, SetFile},
};

const SET: &str = r#"apiVersion: regreen/v1
playbook: plain
mode: auto
triggers: [{alert: ['alertname="A"']}]
steps: [{id: hit, use: http.request, with: {url: "http://x/{{ alert.fingerprint }}", effect: idempotent}}]
"#;

fn firing(fingerprint: &str) -> Item {
    let labels = BTreeMap::from([("alertname".into(), "A".into())]);
    let (annotations, generator_url) = (BTreeMap::new(), "".into());
    let alert = Alert {
        status: Status::Firing,
        fingerprint: fingerprint.into(),
        labels,
        annotations,
        starts_at: Timestamp(1),
        ends_at: None,
        generator_url,
    };
    Item::Alerts(Alerts { alerts: vec![alert], ..Alerts::default() })
}

/// The set in force and a runner that serves it, as facts; and the set itself.
fn world() -> (Library, [Item; 2]) {
    let set = load(vec![Source { path: "p".into(), text: SET.into() }]).0.expect("a good set");
    let fact = Set { files: vec![SetFile { path: "p".into(), hash: "h".into() }] };
    let library = Library::new(BTreeMap::from([(fact.hash(), Arc::new(set))]));
    let actions = BTreeMap::from([("http.request".into(), HTTP_REQUEST.hash().into())]);
    let serves = Serves { nonce: "n".into(), zone: "main".into(), actions, credentials: BTreeMap::new() };
    (library, [Item::Set(fact), Item::Serves(serves)])
}

fn here() -> Item {
    Item::Engine(Engine::Here { boot: "b".into(), wall: Timestamp(1) })
}

/// Decides facts in order after a takeover that reads up to `here`; what each led to.
fn decided(library: &Library, facts: &[Item], here: u64) -> (State, Vec<Vec<Event>>) {
    let takeover = Event::Takeover { here, until: Timestamp(1), suspect: None, streams: None };
    let (mut state, _) =
        decide(State::default(), library, &Input::Log(Box::new(takeover)), Timestamp(1)).expect("legal");
    let mut all = Vec::new();
    for (seq, item) in (1..).zip(facts) {
        let input = Input::Fact { source: "s", seq, item, ticket: None };
        let (next, events) = decide(state, library, &input, Timestamp(1)).expect("legal");
        state = next;
        all.push(events);
    }
    (state, all)
}

fn runs(events: &[Event], wanted: fn(&RunEvent) -> bool) -> usize {
    events.iter().filter(|event| matches!(event, Event::Run { what, .. } if wanted(what))).count()
}

#[test]
fn a_resend_joins_its_own_run_though_a_newer_one_is_open() {
    let (library, [set, serves]) = world();
    let facts = [set, serves, here(), firing("a"), firing("b"), firing("a"), firing("b")];
    let (_, events) = decided(&library, &facts, 3);
    let started = runs(&events.concat(), |what| matches!(what, RunEvent::Started { .. }));
    assert_eq!(started, 2, "one run an episode");
}

#[test]
fn what_was_held_is_released_one_run_an_item() {
    let (library, [set, serves]) = world();
    let facts = [set, serves, firing("a"), firing("b"), firing("c"), here()];
    let (mut state, events) = decided(&library, &facts, 6);
    assert_eq!(events.last(), Some(&vec![Event::CaughtUp]), "thousands of held runs fit no single item");
    for _ in 0..3 {
        let (next, events) = decide(state, &library, &Input::Timer, Timestamp(1)).expect("legal");
        state = next;
        assert_eq!((events.len(), runs(&events, |what| matches!(what, RunEvent::Dispatched { .. }))), (1, 1));
    }
    assert_eq!(due(&state, Timestamp(1)), None, "nobody is left behind");
}

#[test]
fn a_vantage_that_has_not_said_all_is_asked_with_every_digest() {
    let (library, [set, _]) = world();
    // The set came with record 0: so says the state of a domain that has just begun.
    let digest = |n: u64| {
        let digest =
            Digest { tick: 0, count: 0, hash: digest_hash(std::iter::empty()).into(), overdue: vec![] };
        Item::Looks(Looks {
            boot: "b".into(),
            n,
            set_version: 0,
            all: false,
            sighted: true,
            changes: vec![],
            digest: Some(digest),
        })
    };
    // The tick that asks goes by core NATS, and may be lost with the engine that sends it.
    let (_, events) = decided(&library, &[set, digest(1), digest(2), digest(3)], 1);
    let asked = |events: &Vec<Event>| events.iter().any(|event| matches!(event, Event::ResyncAsked { .. }));
    assert_eq!(events.iter().map(asked).collect::<Vec<_>>(), [false, true, true, true]);
}
