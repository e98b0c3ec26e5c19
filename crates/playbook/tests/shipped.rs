//! What is shipped is silent: every folder of playbooks/ is a set without an error and without a warning.

use std::{
    fs,
    path::{Path, PathBuf},
};

use regreen_playbook::{Severity, diagnostic::Source, load};

fn files(folder: &Path, found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("it is readable").map(|entry| entry.expect("it is readable"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.display().to_string();
        if path.is_dir() {
            files(&path, found);
        } else if [".yaml", ".yml", ".hbs"].iter().any(|end| name.ends_with(end))
            && !name.ends_with(".test.yaml")
        {
            let text = fs::read_to_string(&path).expect("it is readable");
            found.push(Source { path: name, text });
        }
    }
}

#[test]
fn every_shipped_folder_is_silent() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    let folders =
        fs::read_dir(root).expect("playbooks/ is there").map(|entry| entry.expect("it is readable").path());
    let folders: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    assert!(!folders.is_empty(), "nothing is shipped");
    for folder in folders {
        let mut sources = Vec::new();
        files(&folder, &mut sources);
        let findings = load(sources).1;
        let silent = findings.list.iter().all(|finding| finding.severity == Severity::Note);
        assert!(silent, "{}:\n{}", folder.display(), findings.render(false));
    }
}
