//! What tests of generated files share: documents as JSON, actions as a file declares them, and the comparison with
//! what is checked in.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use regreen_playbook::{
    Findings,
    action::{Action, known},
    diagnostic::Source,
    load,
    tree::{self, Kind, Node},
};
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
    let source = Source { path: "actions.yaml".into(), text: good()["actions.yaml"].clone() };
    let (set, findings) = load(vec![source]);
    set.unwrap_or_else(|| panic!("{}", findings.render(false))).actions
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
