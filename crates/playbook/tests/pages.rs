//! Every page in docs/errors tells the truth: its wrong example gives its code, the mended one nothing, and the index
//! is that of the table.

use std::{fs, path::PathBuf};

use regreen_playbook::{
    Findings, Severity,
    codes::{self, CODES, Code},
    diagnostic::Source,
    load,
};

/// The examples of a page: the words after its fence, and the text.
fn examples(page: &str) -> Vec<(Vec<&str>, String)> {
    let mut out: Vec<(Vec<&str>, String)> = Vec::new();
    let mut open = false;
    for line in page.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(words), false) => {
                out.push((words.split(' ').collect(), String::new()));
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => out.last_mut().expect("invariant: one is open").1 += &format!("{line}\n"),
            (None, false) => {}
        }
    }
    out
}

/// What is found in the examples of this word, with those that stand beside both. A third word is the file's name.
fn found(page: &str, word: &str) -> Findings {
    let base =
        Source { path: "base.yaml".into(), text: include_str!("../../../docs/errors/base.yaml").into() };
    let mut sources = vec![base];
    for (at, (words, text)) in examples(page).into_iter().enumerate() {
        if words.get(1).is_some_and(|mark| *mark == word || *mark == "both") {
            let path = words.get(2).map_or(format!("example-{at}.yaml"), |name| (*name).to_owned());
            sources.push(Source { path, text });
        }
    }
    assert!(sources.len() > 1, "there is no `{word}` example");
    load(sources).1
}

#[test]
fn the_base_is_silent() {
    let base =
        Source { path: "base.yaml".into(), text: include_str!("../../../docs/errors/base.yaml").into() };
    let findings = load(vec![base]).1;
    assert_eq!(findings.list, [], "{}", findings.render(false));
}

#[test]
fn wrong_examples_give_their_code_and_mended_ones_nothing() {
    let mut wrong = Vec::new();
    for Code { code, page, severity, .. } in CODES {
        let bad = found(page, "wrong");
        let others = bad.list.iter().any(|f| f.code != *code && f.severity != Severity::Note);
        if others || !bad.list.iter().any(|finding| finding.code == *code) {
            wrong.push(format!("RG{code}: not what the wrong example gives:\n{}", bad.render(false)));
        }
        let good = found(page, "mended");
        let still = |f: &&regreen_playbook::Finding| f.severity != Severity::Note || f.code == *code;
        if good.list.iter().any(|finding| still(&finding)) {
            wrong.push(format!("RG{code} ({severity:?}): not mended:\n{}", good.render(false)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_has_its_parts() {
    for Code { code, title, page, .. } in CODES {
        assert!(page.starts_with(&format!("# RG{code}: {title}\n")), "RG{code}: another title");
        for part in ["\n**At 3 a.m.:** ", "\n**Remedy:** ", "\n## Wrong\n", "\n## Mended\n"] {
            assert!(page.contains(part), "RG{code}: no {part:?}");
        }
    }
}

#[test]
fn the_index_is_current_and_there_is_no_page_without_a_code() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let mut pages = 0;
    for entry in fs::read_dir(&folder).expect("docs/errors is there") {
        let name = entry.expect("it is readable").file_name().to_string_lossy().into_owned();
        if let Some(code) = name.strip_prefix("RG").and_then(|name| name.strip_suffix(".md")) {
            assert!(codes::parse(code).is_some(), "{name} is no code's page");
            pages += 1;
        }
    }
    assert_eq!(pages, CODES.len());
    let path = folder.join("README.md");
    if std::env::var_os("REGREEN_UPDATE").is_some() {
        fs::write(&path, codes::index()).expect("the index can be written");
    }
    let written = fs::read_to_string(&path).expect("the index is there");
    assert!(written == codes::index(), "docs/errors/README.md is stale: REGREEN_UPDATE=1 writes it");
}
