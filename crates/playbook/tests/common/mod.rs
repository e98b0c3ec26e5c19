//! What tests of generated files share: documents as JSON, actions as a file declares them, and the comparison with
//! what is checked in.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use regreen_playbook::{
    Findings,
    action::{Action, PARAM_WORDS, Param, ParamKind, known},
    diagnostic::Source,
    tree::{self, Kind, Node},
};
use regreen_schemas::action::Effect;
use serde_json::Value;

/// The documents of a text, as an editor's YAML would read them.
pub fn documents(text: &str) -> Vec<Value> {
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
pub fn good() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    let files = fs::read_dir(folder).expect("the folder of good documents");
    let read = |file: fs::DirEntry| {
        let text = fs::read_to_string(file.path()).expect("a good document");
        (file.file_name().to_string_lossy().into_owned(), text)
    };
    files.map(|file| read(file.expect("a file"))).collect()
}

/// Actions of this build.
pub fn own() -> BTreeMap<Arc<str>, Arc<Action>> {
    known().into_iter().map(|action| (action.name.clone(), Arc::new(action))).collect()
}

/// Actions of this build, and those that the good documents declare.
pub fn all() -> BTreeMap<Arc<str>, Arc<Action>> {
    let declared = documents(&good()["actions.yaml"]);
    let entries = declared[0]["actions"].as_object().expect("a map").iter();
    let foreign = entries.map(|(name, value)| (name.as_str().into(), Arc::new(action(name, value))));
    own().into_iter().chain(foreign).collect()
}

fn action(name: &str, value: &Value) -> Action {
    let text = |value: &Value| Arc::<str>::from(value.as_str().unwrap_or_default());
    let param = |(name, value): (&String, &Value)| Param {
        name: name.as_str().into(),
        kind: kind(value),
        required: value["optional"] != true,
        doc: text(&value["description"]),
    };
    Action {
        name: name.into(),
        doc: text(&value["description"]),
        params: value["with"].as_object().into_iter().flatten().map(param).collect(),
        effect: Effect::Idempotent,
        destructive: value["destructive"] == true,
        irreversible: value["irreversible"] == true,
        result: None,
        undo: value["undo"].as_str().map(Into::into),
        timeout: regreen_playbook::action::TIMEOUT,
        foreign: true,
        declared: "".into(),
    }
}

fn kind(value: &Value) -> ParamKind {
    if let Some(words) = value["one_of"].as_array() {
        return ParamKind::OneOf(words.iter().filter_map(Value::as_str).map(Arc::from).collect());
    }
    let word = value["type"].as_str().unwrap_or("text");
    PARAM_WORDS.iter().find(|(known, _)| *known == word).expect("a type").1.clone()
}

/// Compares a generated text with the file of this path from the root; `REGREEN_UPDATE=1` writes it.
pub fn current(path: &str, wanted: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("REGREEN_UPDATE").is_some() {
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(&file, wanted).expect("the file can be written");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is not what the table of keys says: run `REGREEN_UPDATE=1 cargo test -p regreen-playbook` and read the difference"
    );
}
