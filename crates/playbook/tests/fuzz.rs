//! Whatever is written into files, reading, checking, evaluating and reporting it ends, within bounds, and never panics.
//!
//! `REGREEN_SEED=n` starts at another seed, `REGREEN_CASES=n` runs more; a failure prints its seed.

#![expect(clippy::print_stdout, reason = "a test tells its seeds")]

#[path = "fuzz/books.rs"]
mod books;
#[path = "fuzz/cel.rs"]
mod cel;
#[path = "fuzz/dice.rs"]
mod dice;
#[path = "fuzz/yaml.rs"]
mod yaml;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
};

use dice::Dice;
use regreen_playbook::{
    cel::{Stop, Trace, check, eval, parse},
    diagnostic::Source,
    load,
    matcher::Matcher,
    report,
    template::{File, Template, plain},
};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs a property over seeds.
fn seeds(cases: u64, property: impl Fn(u64)) {
    let (first, cases) = (number("REGREEN_SEED", 1), number("REGREEN_CASES", cases));
    println!("seeds {first} to {}", first + cases - 1);
    for seed in first..first + cases {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| property(seed))) {
            println!("again: REGREEN_SEED={seed} REGREEN_CASES=1 cargo test -p regreen-playbook --test fuzz");
            resume_unwind(panic);
        }
    }
}

fn source(path: &str, text: impl Into<String>) -> Source {
    Source { path: path.into(), text: text.into() }
}

/// Reads, checks and reports; the places of all findings lie in their files, and it is the same a second time.
fn survives(sources: &[Source]) -> bool {
    let (set, findings) = load(sources.to_vec());
    for finding in &findings.list {
        let places = [&finding.at].into_iter().chain(finding.also.as_ref().map(|(place, _)| place));
        for place in places {
            let (file, range) = (&findings.sources[place.file], &place.range);
            assert!(range.start <= range.end, "{finding:?}");
            assert!(file.text.get(range.clone()).is_some(), "{finding:?}");
        }
    }
    drop(report::human(&findings, false));
    drop(serde_json::to_string(&report::json(&findings)).expect("plain data"));
    drop(report::sarif(&findings, "1"));
    drop(report::github(&findings));
    let (again, same) = load(sources.to_vec());
    assert_eq!(findings.list, same.list, "the same text gives the same findings");
    assert_eq!(set.is_some(), again.is_some());
    assert_eq!(format!("{set:?}"), format!("{again:?}"), "the same text gives the same set");
    assert_eq!(set.is_none(), findings.has_errors());
    set.is_some()
}

#[test]
fn documents_from_the_table_of_keys() {
    seeds(600, |seed| {
        let mut dice = Dice::new(seed);
        let odds = *dice.pick(&[0, 100, 30, 8]);
        let text = yaml::Writer::new(&mut dice, odds).file();
        survives(&[source("base.yaml", books::BASE), source("a.yaml", text)]);
    });
}

#[test]
fn valid_sets_are_sets_in_any_order_of_their_files() {
    let mut valid = 0;
    for seed in 1..=60 {
        let mut dice = Dice::new(seed);
        let text = books::set(&mut dice);
        let mut files: Vec<Source> =
            text.split("---\n").enumerate().map(|(nth, text)| source(&format!("{nth}.yaml"), text)).collect();
        let first = survives(&files);
        files.reverse();
        let turn = dice.below(files.len());
        files.rotate_left(turn);
        assert_eq!(first, survives(&files), "seed {seed}: the order of files decides");
        valid += u32::from(first);
    }
    assert!(valid > 40, "only {valid} of 60 are valid");
}

/// Every file of the repository that is written in the language, or a template beside one.
fn corpus() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join("tests"), root.join("../../playbooks"), root.join("../../docs/errors")];
    let mut out = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let inner = fs::read_dir(&path).expect("it is readable");
            waiting.extend(inner.map(|entry| entry.expect("it is readable").path()));
        } else if path.extension().is_some_and(|ext| ext == "yaml" || ext == "hbs") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            out.push((name, fs::read_to_string(&path).expect("it is readable")));
        }
    }
    out.sort();
    out
}

#[test]
fn files_with_a_few_bytes_changed() {
    let corpus = corpus();
    assert!(corpus.len() > 40, "the corpus is gone");
    seeds(1500, |seed| {
        let mut dice = Dice::new(seed);
        let (name, text) = dice.pick(&corpus).clone();
        let text = yaml::mutated(&mut dice, &text);
        survives(&[source("base.yaml", books::BASE), source(&name, text)]);
    });
}

/// The most memory that the process has held, in bytes; nothing where the system does not say.
fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib * 1024)
}

#[test]
fn hostile_files_end_within_bounds() {
    let head = "apiVersion: regreen/v1\nplaybook: p\nsteps: ";
    let laughs: String =
        (0..30).map(|n| format!("a{}: &a{} [{}]\n", n + 1, n + 1, format!("*a{n}, ").repeat(9))).collect();
    let deep: String = (0..3000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    let cases = [
        ("laughs", format!("apiVersion: regreen/v1\nplaybook: p\na0: &a0 x\n{laughs}")),
        ("brackets", format!("{head}{}", "[".repeat(1_000_000))),
        ("braces", format!("{head}{}", "{a: ".repeat(250_000))),
        ("keys", format!("{head}\n{}", (0..200_000).map(|n| format!("k{n}: 1\n")).collect::<String>())),
        ("same keys", format!("{head}\n{}", "a: 1\n".repeat(20_000))),
        ("scalar", format!("{head}{}", "x".repeat(5_000_000))),
        ("quoted", format!("{head}\"{}\"", "\\n".repeat(1_000_000))),
        ("deep", format!("{head}\n{deep}")),
        ("comments", "# x\n".repeat(1_000_000)),
        ("items", format!("{head}\n{}", "- {id: a, wait: 5}\n".repeat(20_000))),
        ("documents", "---\napiVersion: regreen/v1\nplaybook: p\n".repeat(5_000)),
        ("dashes", "- ".repeat(500_000)),
        ("questions", "? ".repeat(500_000)),
        ("cel", format!("{head}[]\nwhen: '{}'", "!".repeat(500_000))),
        ("matcher", format!("{head}[]\ntriggers: [{{alert: ['a=~\"{}\"']}}]", "(a{99}){99}".repeat(2000))),
        ("groups", format!("{head}[]\ntriggers: [{{alert: ['a=~\"{}\"']}}]", "(".repeat(200_000))),
        (
            "template",
            format!(
                "{head}[{{id: a, use: notify.send, with: {{to: ops, text: \"{}\"}}}}]",
                "{{ a.b }}".repeat(5_000)
            ),
        ),
    ];
    let calls: String = (0..12)
        .map(|n| {
            let steps: String = (0..30).map(|s| format!("  - {{id: s{s}, run: q{}}}\n", n + 1)).collect();
            format!(
                "---\napiVersion: regreen/v1\nplaybook: q{n}\ntriggers: [{{manual: {{}}}}]\nsteps:\n{steps}"
            )
        })
        .collect();
    let last = "---\napiVersion: regreen/v1\nplaybook: q12\nsteps: [{id: a, wait: 1s}]\n";
    let cases = cases.into_iter().chain([("calls", format!("{calls}{last}"))]);
    for (name, text) in cases {
        let before = peak();
        let began = std::time::Instant::now();
        let (_, findings) = load(vec![source("base.yaml", books::BASE), source("a.yaml", text.as_str())]);
        let human = report::human(&findings, false);
        let taken = began.elapsed();
        let grown = peak().zip(before).map(|(after, before)| after.saturating_sub(before));
        println!(
            "{name}: {} findings, {} bytes, {taken:?}, {grown:?} bytes grown",
            findings.list.len(),
            human.len()
        );
        assert!(taken.as_secs() < 60, "{name} takes {taken:?}");
        let most = 300_000_000 + 100 * text.len();
        assert!(grown.is_none_or(|grown| grown < most), "{name} takes {grown:?} bytes");
        assert!(human.len() < 20_000_000, "{name} says {} bytes", human.len());
    }
}

#[test]
fn what_is_well_typed_never_fails_for_its_type() {
    // What only the moment can tell.
    let allowed = [
        "is no whole number",
        "the number is too large, or divided by zero",
        "the number is too large",
        "is no duration",
        "there is no item",
        "is missing",
        "there is no group",
        "too many steps",
        "grows too long",
        "builds too much",
    ];
    let scope = cel::scope();
    let mut typed = 0;
    let cases = number("REGREEN_CASES", 4000);
    let first = number("REGREEN_SEED", 1);
    for seed in first..first + cases {
        let mut dice = Dice::new(seed);
        let mut writer = cel::Writer::new(&mut dice);
        let kind = writer.kind();
        let text = writer.of(&kind);
        let Ok(expr) = parse(&text) else { continue };
        let (found, problems) = check(&expr, &scope);
        if !problems.is_empty() {
            continue;
        }
        typed += 1;
        assert_eq!(found.as_ref(), Some(&kind), "seed {seed}: {text}");
        match eval(&expr, &cel::World::new(seed), &mut Trace::new()) {
            Ok(_) | Err(Stop::Unknown(_)) => {}
            Err(Stop::Failed { message, .. }) => {
                let known = allowed.iter().any(|allowed| message.contains(allowed));
                assert!(known, "seed {seed}: {text}: {message}");
            }
        }
    }
    assert!(typed * 2 > cases, "only {typed} of {cases} are well typed");
}

#[test]
fn ill_typed_text_is_refused_or_fails() {
    let scope = cel::scope();
    seeds(6000, |seed| {
        let mut dice = Dice::new(seed);
        let mut writer = cel::Writer::new(&mut dice);
        let kind = writer.kind();
        let text = writer.of(&kind);
        let text = yaml::mutated(&mut dice, &text);
        if let Ok(expr) = parse(&text) {
            drop(check(&expr, &scope));
            drop(eval(&expr, &cel::World::new(seed), &mut Trace::new()));
        }
    });
}

#[test]
fn expressions_build_no_more_than_they_may() {
    let big = format!("\"{}\"", "x".repeat(1000));
    let doubled = "[1]".to_owned() + &".map(a, [a, a])".repeat(16);
    let cases = [
        "[1]".to_owned() + &".map(a, [a, a])".repeat(30),
        doubled.clone(),
        format!("{doubled} == {doubled}"),
        format!(
            "[{big}].map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a)"
        ),
        format!(
            "[1, 2, 3, 4, 5, 6, 7, 8, 9].map(a, [1, 2, 3, 4, 5, 6, 7, 8, 9].map(b, [1, 2, 3, 4, 5, 6, 7, 8, 9].map(c, [1, 2, 3, 4, 5, 6, 7, 8, 9].map(d, {big}))))"
        ),
    ];
    for text in cases {
        let expr = parse(&text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let began = std::time::Instant::now();
        if let Ok(value) = eval(&expr, &cel::World::new(1), &mut Trace::new()) {
            let size = value.to_json().to_string().len();
            assert!(size < 8_000_000, "{size} bytes of {text}");
        }
        assert!(began.elapsed().as_secs() < 20, "{text}");
    }
}

#[test]
fn templates_and_matchers_of_any_text() {
    let words = [
        "{{",
        "}}",
        "{{{",
        "{{#if ",
        "{{#each ",
        "{{/if}}",
        "{{/each}}",
        "{{else}}",
        "target",
        ".",
        "name",
        " ",
        "\n",
        "\"",
        "'",
        "\\",
        "{{! x }}",
        "{{> x}}",
        "{{& a}}",
        "ls",
        "li",
        "s",
        "o_node.name",
        "=",
        "=~",
        "!=",
        "!~",
        "a",
        "(",
        ")",
        "{9}",
        "*",
        "[a&&b]",
        "\\d",
        "(?i)",
        "|",
        "é",
        "\u{0}",
        "{{~",
        "~}}",
        "{{#",
        "{{/",
        "@root",
        "../",
        "this",
        "as |x|",
    ];
    let world = cel::World::new(1);
    seeds(6000, |seed| {
        let mut dice = Dice::new(seed);
        let text: String = (0..dice.below(25)).map(|_| *dice.pick(&words)).collect();
        if let Ok(file) = File::parse("a.hbs", &text) {
            drop(file.render(&world));
        }
        if let Ok(template) = Template::parse(&text) {
            drop(template.render(&world, plain));
            drop(template.text(&world));
        }
        drop(Matcher::parse(&text));
        drop(Matcher::parse(&format!("a=~\"{text}\"")));
    });
    let nested = "{{#each ln}}".repeat(40) + "x" + &"{{/each}}".repeat(40);
    if let Ok(file) = File::parse("a.hbs", &nested) {
        assert!(file.render(&world).map_or(0, |text| text.len()) <= 64 * 1024);
    }
}
