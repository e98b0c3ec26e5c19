//! The JSON Schema for editors: made from the table of keys, kind to what is good, and strict with slips.

mod common;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use common::{current, own};
use regreen_playbook::{
    Findings,
    action::Action,
    diagnostic::Source,
    keys::{self, CHECK, CHECK_KINDS, Shape},
    load,
    schema::json_schema,
    tree::{self, Kind, Node},
};
use serde_json::{Value, json};

/// The documents of a text, as an editor's YAML would read them.
fn documents(text: &str) -> Vec<Value> {
    let source = Source { path: "test.yaml".into(), text: text.into() };
    let mut findings = Findings { sources: vec![source], list: Vec::new() };
    let documents = tree::parse(0, &mut findings);
    assert!(findings.list.is_empty(), "{:?} in {text}", findings.list);
    documents.iter().map(json).collect()
}

fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar { .. } if node.is_null() => Value::Null,
        Kind::Scalar { text, plain: true } => serde_json::from_str(text)
            .ok()
            .filter(|value: &Value| value.is_number() || value.is_boolean())
            .unwrap_or_else(|| text.as_str().into()),
        Kind::Scalar { text, .. } => text.as_str().into(),
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Map(entries) => Value::Object(
            entries.iter().map(|(key, value)| (key.text().unwrap_or_default().into(), json(value))).collect(),
        ),
    }
}

/// Good documents by file.
fn good() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    let files = fs::read_dir(folder).expect("the folder of good documents");
    let read = |file: fs::DirEntry| {
        let text = fs::read_to_string(file.path()).expect("a good document");
        (file.file_name().to_string_lossy().into_owned(), text)
    };
    files.map(|file| read(file.expect("a file"))).collect()
}

/// Actions of this build, and those that the good documents declare.
fn all() -> BTreeMap<Arc<str>, Arc<Action>> {
    let source = Source { path: "actions.yaml".into(), text: good()["actions.yaml"].clone() };
    let (set, findings) = load(vec![source]);
    set.unwrap_or_else(|| panic!("{}", findings.render(false))).actions
}

fn problems(schema: &Value, document: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).expect("a schema");
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The schema of one key of a map.
fn of(schema: &Value, table: &str, key: &str) -> Value {
    let at = format!("#/definitions/{}/properties/{key}", table.replace([' ', '\''], "-"));
    json!({"$ref": at, "definitions": schema["definitions"]})
}

#[test]
fn the_file_is_the_table() {
    let text = serde_json::to_string_pretty(&json_schema(&own())).expect("a schema is JSON") + "\n";
    current("schemas/json/playbooks.schema.json", &text);
}

#[test]
fn good_documents_are_valid() {
    let schema = json_schema(&all());
    for (file, text) in good() {
        for document in documents(&text) {
            assert_eq!(problems(&schema, &document), Vec::<String>::new(), "{file}");
        }
    }
}

/// Findings about the shape of what stands there, not about whether it makes sense.
fn shape(findings: &Findings) -> Vec<String> {
    let of_shape = |code: u16| code < 200 || code == 203;
    let lines = findings.list.iter().filter(|finding| of_shape(finding.code));
    lines.map(|finding| format!("RG{}: {} ({})", finding.code, finding.message, finding.label)).collect()
}

#[test]
fn good_documents_are_read() {
    let texts = ["node.sh.hbs", "report.hbs"].map(|path| (path.to_owned(), "{{ target.name }}".to_owned()));
    let sources = good().into_iter().chain(texts).map(|(path, text)| Source { path, text });
    let (_, findings) = load(sources.collect());
    assert_eq!(shape(&findings), Vec::<String>::new());
}

#[test]
fn every_example_is_its_key_and_valid() {
    let schema = json_schema(&all());
    for table in keys::tables() {
        for key in table.keys {
            let parsed = documents(key.example);
            let example = parsed[0].as_object().expect("a map");
            let names: Vec<&String> = example.keys().collect();
            assert_eq!(names, [key.name], "{}.{}", table.name, key.name);
            let found = problems(&of(&schema, table.name, key.name), &example[key.name]);
            assert_eq!(found, Vec::<String>::new(), "{}.{}", table.name, key.name);
        }
    }
}

#[test]
fn every_default_is_valid() {
    let schema = json_schema(&all());
    for table in keys::tables() {
        for key in table.keys {
            let Some(default) = key.default else { continue };
            let value = &documents(&format!("{}: {default}", key.name))[0][key.name];
            let found = problems(&of(&schema, table.name, key.name), value);
            assert_eq!(found, Vec::<String>::new(), "{}.{}", table.name, key.name);
            assert!(!key.required, "{}.{} has a default and must be there", table.name, key.name);
        }
    }
}

#[test]
fn every_key_is_explained_and_known_to_its_table() {
    for table in keys::tables() {
        for key in table.keys {
            let whole = key.doc.ends_with('.') || key.doc.ends_with('…') || key.doc.ends_with('?');
            assert!(whole, "{}.{}: {}", table.name, key.name, key.doc);
        }
        let known = |name: &str| table.keys.iter().any(|key| key.name == name);
        let named = table.needs.iter().flat_map(|(key, others)| others.iter().chain([key]));
        for name in table.kinds.iter().chain(named) {
            assert!(known(name), "{} has no `{name}`", table.name);
        }
    }
}

#[test]
fn what_kinds_of_checks_measure_is_what_a_check_may_measure() {
    let measure = CHECK.iter().find(|key| key.name == "measure").expect("a key");
    let Shape::Words(words) = measure.shape else { panic!("no words") };
    for kind in CHECK_KINDS {
        assert!(kind.measures.iter().all(|word| words.contains(word)), "{}", kind.word);
    }
    assert!(words.iter().all(|word| CHECK_KINDS.iter().any(|kind| kind.measures.contains(word))));
}

/// A playbook with one step.
fn playbook(step: &str) -> String {
    format!("{{apiVersion: regreen/v1, playbook: a, steps: [{step}]}}")
}

#[test]
fn slips_are_refused() {
    let schema = json_schema(&all());
    let good = playbook("{id: a, wait: 5s}");
    assert_eq!(problems(&schema, &documents(&good)[0]), Vec::<String>::new());
    let slips = [
        "{playbook: a, steps: [{id: a, wait: 5s}]}".to_owned(),
        "{apiVersion: regreen/v2, playbook: a, steps: [{id: a, wait: 5s}]}".into(),
        "{apiVersion: regreen/v1, playbok: a}".into(),
        "{apiVersion: regreen/v1, playbook: a}".into(),
        "{apiVersion: regreen/v1, playbook: a, steps: [{id: a, wait: 5s}], mod: auto}".into(),
        "{apiVersion: regreen/v1, playbook: a, steps: [{id: a, wait: 5s}], mode: automatic}".into(),
        "{apiVersion: regreen/v1, playbook: a, steps: [{id: a, wait: 5s}], deadline: 5}".into(),
        "{apiVersion: regreen/v1, playbook: a, steps: [{id: a, wait: 5s}], deadline: 5s1h}".into(),
        "{apiVersion: regreen/v1, playbook: a, steps: [{id: a, wait: 5s}], when: \"{{ target }}\"}".into(),
        "{apiVersion: regreen/v1, playbook: a, steps: [{id: a, wait: 5s}], triggers: [{alert: [NodeDown]}]}".into(),
        "{apiVersion: regreen/v1, playbook: a, steps: [{id: a, wait: 5s}], triggers: [{for: 5s}]}".into(),
        "{apiVersion: regreen/v1, playbook: a, steps: [{id: a, wait: 5s}], guard: {min_healthy: {at_least: 1, percent: 5}}}"
            .into(),
        "{apiVersion: regreen/v1, checks: {a: {kind: tcp}}}".into(),
        "{apiVersion: regreen/v1, checks: {a: {kind: tcp, with: {url: x}}}}".into(),
        "{apiVersion: regreen/v1, checks: {a: {kind: http, with: {url: x}, measure: health}}}".into(),
        "{apiVersion: regreen/v1, checks: {a: {kind: all}}}".into(),
        "{apiVersion: regreen/v1, policy: a, receivers: {a: {slak: x}}}".into(),
        "{apiVersion: regreen/v1, inventory: a, groups: {a: {nodes: {b: {adress: x}}}}}".into(),
        playbook("{wait: 5s}"),
        playbook("{id: a}"),
        playbook("{id: a-b, wait: 5s}"),
        playbook("{id: a, wait: 5s, verify: {check: c, within: 5m}}"),
        playbook("{id: a, wait: 5s, retires: 3}"),
        playbook("{id: a, wait: 5s, attempts: 3}"),
        playbook("{id: a, for_each: list, as: x}"),
        playbook("{id: a, use: http.requst, with: {url: x}}"),
        playbook("{id: a, use: http.request}"),
        playbook("{id: a, use: http.request, with: {url: x, methd: GET}}"),
        playbook("{id: a, use: http.request, with: {url: x, method: FETCH}}"),
        playbook("{id: a, use: http.request, with: {url: x, observe: {url: x}}}"),
        playbook("{id: a, parallel: [{id: b, use: http.request, with: {ur: x}}]}"),
        playbook("{id: a, wait: 5s, on_failure: [{id: b, wiat: 5s}]}"),
        playbook("{id: a, use: systemd.restart, with: {node: n}}"),
        playbook("{id: a, use: process.signal, with: {node: n, name: a, signal: KILL}}"),
    ];
    for slip in slips {
        let (set, _) = load(vec![Source { path: "slip.yaml".into(), text: slip.clone() }]);
        assert!(set.is_none(), "{slip}");
        assert!(!problems(&schema, &documents(&slip)[0]).is_empty(), "{slip}");
    }
}
