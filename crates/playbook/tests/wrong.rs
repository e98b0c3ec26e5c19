//! The corpus: wrong files as tired people write them, and what they are told. Each stands on the same base as the
//! examples in docs/errors; `name.*.hbs` beside `name.yaml` comes along.

use std::{collections::BTreeSet, fs, path::PathBuf};

use regreen_playbook::{Findings, codes::CODES, diagnostic::Source, load, report};

/// Fewest files of the corpus, and of those with two mistakes or more.
const FILES_MIN: usize = 40;
const MANY_MIN: usize = 20;

fn corpus() -> Vec<(String, Findings)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    let names = fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("it is readable").file_name().to_string_lossy().into_owned());
    let names: BTreeSet<String> = names.collect();
    let read = |name: &String| Source {
        path: name.clone(),
        text: fs::read_to_string(folder.join(name)).expect("it is readable"),
    };
    let base =
        Source { path: "base.yaml".into(), text: include_str!("../../../docs/errors/base.yaml").into() };
    let stems = names.iter().filter_map(|name| name.strip_suffix(".yaml"));
    let load = |stem: &str| {
        let beside = |name: &&String| name.starts_with(&format!("{stem}."));
        let sources = [base.clone()].into_iter().chain(names.iter().filter(beside).map(read)).collect();
        (stem.to_owned(), load(sources).1)
    };
    stems.map(load).collect()
}

#[test]
fn each_file_is_told_what_is_wrong() {
    for (stem, findings) in corpus() {
        insta::assert_snapshot!(stem, report::human(&findings, false));
    }
}

#[test]
fn the_corpus_has_every_code_and_many_mistakes_at_once() {
    let corpus = corpus();
    let many = corpus.iter().filter(|(_, findings)| findings.list.len() >= 2).count();
    assert!(corpus.len() >= FILES_MIN && many >= MANY_MIN, "{} files, {many} with many", corpus.len());
    let silent: Vec<_> =
        corpus.iter().filter(|(_, findings)| findings.list.is_empty()).map(|(s, _)| s).collect();
    assert!(silent.is_empty(), "nothing is wrong with {silent:?}");
    let found: BTreeSet<u16> =
        corpus.iter().flat_map(|(_, findings)| findings.list.iter().map(|finding| finding.code)).collect();
    let known: BTreeSet<u16> = CODES.iter().map(|known| known.code).collect();
    let missing: Vec<_> = known.difference(&found).collect();
    assert!(missing.is_empty(), "never in the corpus: {missing:?}");
}
