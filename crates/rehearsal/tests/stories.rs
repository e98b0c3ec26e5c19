//! A corpus of small playbooks with their tests: every one of them passes, and together they go through all kinds of
//! steps, answers and ends.

use std::{collections::BTreeMap, path::Path};

use regreen_playbook::diagnostic::Source;
use regreen_rehearsal::{
    Options, Report, rehearse,
    report::{self, Style},
};

fn files(folder: &Path) -> Vec<Source> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let wanted =
        |path: &&std::path::PathBuf| path.extension().is_some_and(|ext| ext == "yaml" || ext == "hbs");
    let read = |path: &std::path::PathBuf| Source {
        path: path.file_name().expect("a name").to_string_lossy().into_owned(),
        text: std::fs::read_to_string(path).expect("text"),
    };
    paths.iter().filter(wanted).map(read).collect()
}

fn played(folder: &str) -> Report {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let golden: BTreeMap<String, String> = regreen_rehearsal::golden_paths(files(&folder))
        .into_iter()
        .filter_map(|path| Some((path.clone(), std::fs::read_to_string(folder.join(&path)).ok()?)))
        .collect();
    let update = std::env::var_os("REGREEN_UPDATE").is_some();
    let report = rehearse(files(&folder), &Options { only: None, golden, update })
        .unwrap_or_else(|findings| panic!("{}", findings.render(false)));
    for (path, text) in &report.write {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("written");
        std::fs::write(path, text).expect("written");
    }
    report
}

#[test]
fn stories_come_out_as_they_say() {
    let report = played("stories");
    let style = Style { colour: false, trace: std::env::var_os("REGREEN_TRACE").is_some() };
    assert!(report.failed() == 0 && !style.trace, "\n{}", report::human(&report, style));
}

#[test]
fn what_the_stories_go_through() {
    let report = played("stories");
    insta::assert_snapshot!(report::coverage(&report.coverage, Style::default()));
}
