//! The commands of a guide in Markdown. A block `sh` is one command, whose output does not matter but which must go well;
//! in a block `console` a command follows `$ `, goes on after `> `, and what it prints stands below.

/// Stands for anything.
const ANYTHING: &str = "…";

/// A command as the guide gives it.
pub struct Given {
    /// Its line in the guide.
    pub line: usize,
    /// What the reader types.
    pub text: String,
    /// What it prints.
    pub expected: String,
    /// What it prints does not matter.
    pub silent: bool,
}

/// All commands, in order.
pub fn commands(guide: &str) -> Vec<Given> {
    let mut found: Vec<Given> = Vec::new();
    let mut fence = None;
    for (nth, line) in (1..).zip(guide.lines()) {
        let new =
            |text: &str, silent| Given { line: nth, text: text.to_owned(), expected: String::new(), silent };
        let last = found.last_mut();
        match (fence, line) {
            (None, "```sh") => {
                fence = Some("sh");
                found.push(new("", true));
            }
            (None, "```console") => fence = Some("console"),
            (None, line) if line.starts_with("```") => fence = Some("other"),
            (None, _) => {}
            (Some(_), "```") => fence = None,
            (Some("sh"), line) => append(&mut last.expect("invariant: begun with its fence").text, line),
            (Some("console"), line) => match (line.strip_prefix("$ "), line.strip_prefix("> "), last) {
                (Some(text), _, _) => found.push(new(text, false)),
                (None, Some(more), Some(last)) if last.expected.is_empty() => append(&mut last.text, more),
                (None, _, last) => append(&mut last.expect("output follows a command").expected, line),
            },
            (Some(_), _) => {}
        }
    }
    found
}

fn append(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

/// Whether something is printed as expected; spaces at the ends of lines, and empty lines at the end, do not count.
pub fn matches(expected: &str, printed: &str) -> bool {
    let expected: Vec<&str> = expected.trim_end().lines().collect();
    let printed: Vec<&str> = printed.trim_end().lines().collect();
    all_match(&expected, &printed)
}

fn all_match(expected: &[&str], printed: &[&str]) -> bool {
    match (expected, printed) {
        ([], []) => true,
        ([ANYTHING, rest @ ..], _) => (0..=printed.len()).any(|skipped| all_match(rest, &printed[skipped..])),
        ([wanted, expected @ ..], [found, printed @ ..]) => {
            one_matches(wanted.trim_end(), found.trim_end()) && all_match(expected, printed)
        }
        _ => false,
    }
}

fn one_matches(wanted: &str, found: &str) -> bool {
    let Some((head, rest)) = wanted.split_once(ANYTHING) else { return wanted == found };
    let Some(found) = found.strip_prefix(head) else { return false };
    let mut ends = found.char_indices().map(|(at, _)| at).chain([found.len()]);
    ends.any(|at| one_matches(rest, &found[at..]))
}

#[test]
fn commands_are_found_with_what_they_print() {
    let guide =
        "text\n```sh\na\nb\n```\n```console\n$ c <<E\n> d\n> E\nprinted\n> too\n$ e\n```\n```yaml\nno\n```\n";
    let found: Vec<_> = commands(guide).into_iter().map(|c| (c.line, c.text, c.expected, c.silent)).collect();
    let given =
        |line, text: &str, expected: &str, silent| (line, text.to_owned(), expected.to_owned(), silent);
    assert_eq!(
        found,
        [
            given(2, "a\nb", "", true),
            given(7, "c <<E\nd\nE", "printed\n> too", false),
            given(12, "e", "", false)
        ]
    );
}

#[test]
fn what_differs_each_time_is_left_open() {
    for (expected, printed, wanted) in [
        ("a", "a  \n", true),
        ("a", "a\nb", false),
        ("", "b", false),
        ("a …", "a 1", true),
        ("…b… d", "a b c d", true),
        ("…b… d", "a b c", false),
        ("a\n…\nd", "a\nb\nc\nd", true),
        ("a\n…", "a", true),
        ("…", "", true),
        ("a\n…\nd", "a\nb", false),
    ] {
        assert_eq!(matches(expected, printed), wanted, "{expected:?} against {printed:?}");
    }
}
