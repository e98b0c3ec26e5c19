//! What tests of generated files share: the actions of this build, and the comparison with what is checked in.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use regreen_playbook::action::{Action, known};

/// Actions of this build.
pub fn own() -> BTreeMap<Arc<str>, Arc<Action>> {
    known().into_iter().map(|action| (action.name.clone(), Arc::new(action))).collect()
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
