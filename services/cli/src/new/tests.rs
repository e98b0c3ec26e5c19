//! What is written is good: it passes the check, and its test goes through all of it.

use clap::Parser as _;
use regreen_playbook::{Set, diagnostic::Source};
use regreen_rehearsal::rehearse;

use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn options(line: &str) -> Options {
    Line::try_parse_from(["new"].into_iter().chain(line.split(' '))).expect(line).options
}

fn files(line: &str, there: &[New]) -> anyhow::Result<Vec<New>> {
    let (set, findings) = library::compile(&as_files(there));
    Ok(Plan::new(&options(line), &set.unwrap_or_else(|| panic!("{}", findings.render(false))))?.files())
}

fn as_files(new: &[New]) -> Vec<File> {
    let of_set = new.iter().filter(|file| !file.name.ends_with(".test.yaml"));
    of_set.map(|file| File { path: file.name.clone(), text: file.text.clone() }).collect()
}

fn checked(line: &str, files: &[New]) -> Set {
    let (set, findings) = library::compile(&as_files(files));
    assert!(findings.list.is_empty(), "{line}: {}", findings.render(false));
    set.expect("invariant: no findings, so a set")
}

/// Every target with every trigger, and one, two and three nodes.
fn all() -> impl Iterator<Item = String> {
    const NODES: [&str; 4] = [
        "",
        " --node a=10.0.0.1",
        " --node a=10.0.0.1:80 --node b=10.0.0.2:80",
        " --node a=h1 --node b=h2 --node c=h3",
    ];
    ["node", "group", "none"].into_iter().flat_map(move |target| {
        ["alert", "verdict", "manual"].into_iter().flat_map(move |trigger| {
            let needed = target != "none" || trigger == "verdict";
            let nodes = NODES.iter().filter(move |nodes| needed || nodes.is_empty());
            nodes.map(move |nodes| format!("web-restart --target {target} --trigger {trigger}{nodes}"))
        })
    })
}

#[test]
fn all_that_is_written_passes_the_check() {
    for line in all() {
        let written = files(&line, &[]).unwrap_or_else(|error| panic!("{line}: {error}"));
        let set = checked(&line, &written);
        assert_eq!(set.playbooks.len(), 1, "{line}");
    }
}

/// What the tests beside the playbooks say that is not as it should be: a difference, or a branch that none goes through.
fn wrong(line: &str, files: &[New]) -> String {
    let source = |file: &New| Source { path: file.name.clone(), text: file.text.clone() };
    let report = rehearse(files.iter().map(source).collect(), &regreen_rehearsal::Options::default());
    let report = report.unwrap_or_else(|findings| panic!("{line}: {}", findings.render(false)));
    let mut wrong = String::new();
    for case in report.cases.iter().filter(|case| !case.passed()) {
        let lines: Vec<_> = case.differences.iter().flat_map(|difference| &difference.lines).collect();
        wrong += &format!("{line}: {}\n{lines:#?}\n{}\n", case.name, case.seen.text());
    }
    for playbook in &report.coverage.playbooks {
        let missed = playbook.items.iter().filter(|item| item.counts && !item.covered);
        wrong.extend(missed.map(|item| format!("{line}: not gone through: {}\n", item.what)));
    }
    wrong
}

#[test]
fn all_that_is_written_passes_its_test() {
    let wrong: String =
        all().map(|line| wrong(&line, &files(&line, &[]).expect("checked elsewhere"))).collect();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_second_playbook_uses_what_the_folder_has() {
    for line in all().filter(|line| !line.contains("--node")) {
        let mut written = files("app-restart --node a=10.0.0.1 --node b=10.0.0.2", &[]).expect("files");
        let second = files(&line, &written).unwrap_or_else(|error| panic!("{line}: {error}"));
        let names: Vec<&str> = second.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["web-restart.yaml", "web-restart.test.yaml"], "{line}");
        written.extend(second);
        assert_eq!(checked(&line, &written).playbooks.len(), 2, "{line}");
        assert_eq!(wrong(&line, &written), "");
    }
}

#[test]
fn the_text_is_as_a_person_would_write_it() {
    let shown = |line: &str| {
        let files = files(line, &[]).expect(line);
        files.iter().map(|file| format!("# {}\n{}", file.name, file.text)).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(
        "node",
        shown("web-restart --node web-1=127.0.0.1:9001 --node web-2=127.0.0.1:9002")
    );
    insta::assert_snapshot!(
        "group_alone",
        shown("web-restart --target group --trigger verdict --node web-1=10.0.0.1")
    );
    insta::assert_snapshot!("tells", shown("disk-full --target none"));
}

#[test]
fn what_can_not_be_is_refused_with_words() {
    let there = files("app-restart", &[]).expect("files");
    for (line, words, known) in [
        ("Web", "`Web` can't name the playbook", false),
        ("1st", "beginning with a letter", false),
        ("true", "`true` can't name the playbook", false),
        ("policy", "another file's name", false),
        ("web --node a", "as in web-1=10.0.0.1:8080", false),
        ("web --node a=http://h", "`http://h` is no address", false),
        ("web --node a=h --node a=i", "was given before", false),
        ("web --health health", "`health` is no path", false),
        ("web --repair /{{x}}", "is no path", false),
        ("web --target none --node a=h", "acts on no group", false),
        ("web --node a=h", "has an inventory", true),
        ("web --group x", "no group `x`; known: app", true),
    ] {
        let refused = files(line, if known { &there } else { &[] }).err();
        let refused = refused.unwrap_or_else(|| panic!("{line} is taken")).to_string();
        assert!(refused.contains(words), "{line}: {refused}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let dir = std::env::temp_dir().join(format!("regreen-new-{}", std::process::id()));
    let line = format!("web-restart --dir {}", dir.display());
    run(&options(&line)).expect("written");
    let again = run(&options(&line)).expect_err("refused").to_string();
    fs::remove_dir_all(&dir).expect("removable");
    assert!(again.contains("web-restart.yaml is there already"), "{again}");
}
