//! The lens on time: what is shipped, hastened, is still a good set, and nothing in it but durations is another.

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use regreen_playbook::{
    Findings, Set,
    diagnostic::Source,
    hasten::{Lens, hasten},
    load,
    tree::{self, Kind, Node},
};
use regreen_schemas::{Span, time::parse_span};

fn lens(waits: u32, memory: u32) -> Lens {
    let some = |by| NonZeroU32::new(by).expect("not zero");
    Lens { waits: some(waits), memory: some(memory) }
}

/// Folders of playbooks/, each as sources without tests.
fn shipped() -> Vec<Vec<Source>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    let paths = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("readable");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
        paths.sort();
        paths
    };
    let source = |path: &PathBuf| {
        let name = path.display().to_string();
        let read = [".yaml", ".hbs"].iter().any(|end| name.ends_with(end)) && !name.ends_with(".test.yaml");
        read.then(|| Source { text: fs::read_to_string(path).expect("readable"), path: name })
    };
    let folders: Vec<PathBuf> = paths(&root).into_iter().filter(|path| path.is_dir()).collect();
    assert!(folders.len() > 3, "folders are shipped: {folders:?}");
    folders.iter().map(|folder| paths(folder).iter().filter_map(source).collect()).collect()
}

fn hastened(sources: &[Source], lens: Lens) -> Vec<Source> {
    let change = |source: &Source| {
        let text = if source.path.ends_with(".hbs") {
            source.text.clone()
        } else {
            hasten(&source.text, lens).unwrap_or_else(|findings| panic!("{}", findings.render(false)))
        };
        Source { path: source.path.clone(), text }
    };
    sources.iter().map(change).collect()
}

fn good(sources: Vec<Source>) -> Set {
    let (set, findings) = load(sources);
    set.unwrap_or_else(|| panic!("{}", findings.render(false)))
}

fn documents(text: &str) -> Vec<Node> {
    let sources = vec![Source { path: "t".into(), text: text.into() }];
    let mut findings = Findings { sources, list: Vec::new() };
    tree::parse(0, &mut findings)
}

#[test]
fn what_is_shipped_is_good_at_any_speed() {
    for by in [2, 20, 240, 100_000] {
        shipped().iter().for_each(|folder| drop(good(hastened(folder, lens(by, by)))));
    }
}

/// The same text written out: also what holds by default, and what stands in flow maps, is found where it belongs.
#[test]
fn divided_by_one_the_set_is_the_same() {
    for folder in shipped() {
        let same = good(hastened(&folder, lens(1, 1)));
        assert_eq!(format!("{same:#?}"), format!("{:#?}", good(folder)));
    }
}

/// Compares without knowing the table of keys: equal, or both are durations; new keys are durations that hold by default.
fn differ_in_durations_alone(before: &Node, after: &Node, changed: &mut usize) {
    const BY_DEFAULT: [&str; 7] = ["deadline", "for", "fresh", "interval", "timeout", "wait", "within"];
    match (&before.kind, &after.kind) {
        (Kind::Scalar { text: before, .. }, Kind::Scalar { text: after, .. }) if before != after => {
            let span = |text: &str| parse_span(text).unwrap_or_else(|| panic!("{text} is no duration"));
            assert!(span(after) < span(before), "{before} became {after}");
            *changed += 1;
        }
        (Kind::Scalar { .. }, Kind::Scalar { .. }) => {}
        (Kind::List(before), Kind::List(after)) => {
            assert_eq!(before.len(), after.len());
            before.iter().zip(after).for_each(|(b, a)| differ_in_durations_alone(b, a, changed));
        }
        (Kind::Map(entries), Kind::Map(more)) => {
            for (key, value) in entries {
                let name = key.text().expect("a name");
                let now = after.get(name).unwrap_or_else(|| panic!("{name} is gone"));
                differ_in_durations_alone(value, now, changed);
            }
            for (key, value) in
                more.iter().filter(|(key, _)| before.get(key.text().expect("a name")).is_none())
            {
                let (name, text) = (key.text().expect("a name"), value.text().expect("a duration"));
                assert!(BY_DEFAULT.contains(&name) && parse_span(text).is_some(), "{name}: {text} is new");
            }
        }
        (before, after) => panic!("{before:?} became {after:?}"),
    }
}

#[test]
fn nothing_but_durations_is_changed() {
    let mut changed = 0;
    for source in shipped().iter().flatten().filter(|source| source.path.ends_with(".yaml")) {
        let after = hasten(&source.text, lens(20, 240)).expect("it is read");
        let (before, after) = (documents(&source.text), documents(&after));
        assert_eq!(before.len(), after.len(), "{}", source.path);
        before.iter().zip(&after).for_each(|(b, a)| differ_in_durations_alone(b, a, &mut changed));
    }
    assert!(changed > 100, "only {changed} durations are shipped");
}

#[test]
fn waits_and_memory_are_divided_apart_and_neither_below_its_least() {
    let text = r#"apiVersion: regreen/v1
playbook: p   # for: 30s is no key here
mode: auto
target: node
triggers:
  - alert: ['alertname="Down"', 'node!=""']
    for: "30s"
    target: "{{ alert.labels.node }}"
  - manual: {}
guard: {cooldown: 1h, budget: [{max: 4, per: 6h}], lock: {}}
steps:
  - {id: pause, wait: 1ms, on_failure: [{id: look, verify: {check: c, within: 5m}}]}
  - id: ask
    use: http.request
    with: {url: "http://a/?for=30s", body: {within: 5m}}
    timeout: 5s
  - {id: again, use: http.request, with: {url: "http://a"}}
"#;
    let wanted = r#"deadline: 3m
apiVersion: regreen/v1
playbook: p   # for: 30s is no key here
mode: auto
target: node
triggers:
  - alert: ['alertname="Down"', 'node!=""']
    for: 1s500ms
    target: "{{ alert.labels.node }}"
  - manual: {}
guard: {cooldown: 15s, budget: [{max: 4, per: 1m30s}], lock: {wait: 1m30s}}
steps:
  - {id: pause, wait: 1ms, on_failure: [{id: look, verify: {for: 1s500ms, check: c, within: 15s}}]}
  - id: ask
    use: http.request
    with: {url: "http://a/?for=30s", body: {within: 5m}}
    timeout: 5s
  - {timeout: 10s, id: again, use: http.request, with: {url: "http://a"}}
"#;
    assert_eq!(hasten(text, lens(20, 240)).expect("it is read"), wanted);
}

#[test]
fn other_documents_and_other_texts_stay_as_they_are() {
    let inventory =
        "apiVersion: regreen/v1\ninventory: i\nmaintenance: [{group: a, cron: \"0 2 * * 0\", for: 2h}]\n";
    let tests = "apiVersion: regreen/v1\ntests: p\ncases: [{name: a, timeline: [{at: 30s}]}]\n";
    for text in [inventory, tests, "", "a: 30s\n"] {
        assert_eq!(hasten(text, lens(20, 20)).expect("it is read"), text);
    }
    assert!(hasten("playbook: [", lens(20, 20)).is_err(), "what can't be read is not passed on");
    let least = hasten("apiVersion: regreen/v1\nchecks:\n  a: {kind: tcp, interval: 5s}\n", lens(1000, 1))
        .expect("read");
    for (key, span) in [("interval", Span(200)), ("timeout", Span(1000)), ("fresh", Span(3000))] {
        assert!(least.contains(&format!("{key}: {span}")), "{least}");
    }
}
