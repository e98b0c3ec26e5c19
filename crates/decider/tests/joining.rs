//! A playbook without target: each episode has its own run, and a repeated notification never starts another.

use std::{collections::BTreeMap, sync::Arc};

use regreen_decider::{Input, Library, State, decide};
use regreen_playbook::{diagnostic::Source, load};
use regreen_schemas::{
    Timestamp,
    alert::{Alert, Status},
    event::{Event, RunEvent},
    fact::{Alerts, Engine, Item, Serves, Set, SetFile},
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

#[test]
fn a_resend_joins_its_own_run_though_a_newer_one_is_open() {
    let set = load(vec![Source { path: "p".into(), text: SET.into() }]).0.expect("a good set");
    let fact = Set { files: vec![SetFile { path: "p".into(), hash: "h".into() }] };
    let library = Library { sets: BTreeMap::from([(fact.hash(), Arc::new(set))]) };
    let actions =
        BTreeMap::from([("http.request".into(), regreen_schemas::action::HTTP_REQUEST.hash().into())]);
    let history = [
        Item::Set(fact),
        Item::Serves(Serves { nonce: "n".into(), zone: "main".into(), actions }),
        Item::Engine(Engine::Here { boot: "b".into(), wall: Timestamp(1) }),
        firing("a"),
        firing("b"),
        firing("a"),
        firing("b"),
    ];
    let takeover = Event::Takeover { here: 3, until: Timestamp(1), suspect: None, streams: None };
    let (mut state, _) =
        decide(State::default(), &library, &Input::Log(takeover), Timestamp(1)).expect("legal");
    let mut started = 0;
    for (seq, item) in (1..).zip(&history) {
        let input = Input::Fact { source: "s", seq, item, ticket: None };
        let (next, events) = decide(state.clone(), &library, &input, Timestamp(1)).expect("legal");
        started += events
            .iter()
            .filter(|event| matches!(event, Event::Run { what: RunEvent::Started { .. }, .. }))
            .count();
        state = next;
    }
    assert_eq!(started, 2, "one run an episode");
}
