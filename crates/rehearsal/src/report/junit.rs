//! JUnit's XML, as CI systems read it: a suite for each file.

use std::fmt::Write as _;

use super::{by_file, place};
use crate::{Difference, Outcome, Report};

/// The whole report. Times are virtual.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites tests=\"{}\" failures=\"{}\">", report.cases.len(), report.failed());
    for (path, cases) in by_file(report) {
        let failed = cases.iter().filter(|case| !case.passed()).count();
        let (name, all) = (escaped(path), cases.len());
        let _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"{all}\" failures=\"{failed}\">");
        cases.iter().for_each(|case| one(&mut out, report, case));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn one(out: &mut String, report: &Report, case: &Outcome) {
    let (name, playbook) = (escaped(&case.name), escaped(&case.playbook));
    let seconds = format!("{}.{:03}", case.lasted.0 / 1000, case.lasted.0 % 1000);
    let _ = write!(out, "    <testcase name=\"{name}\" classname=\"{playbook}\" time=\"{seconds}\"");
    if case.passed() {
        out.push_str("/>\n");
        return;
    }
    let sections: Vec<&str> = case.differences.iter().map(|difference| difference.section.word()).collect();
    let text: String = case.differences.iter().map(text).collect();
    let message = escaped(&format!("{} at {}", sections.join(", "), place(report, case)));
    let _ = writeln!(
        out,
        ">\n      <failure message=\"{message}\">{}</failure>\n    </testcase>",
        escaped(&text)
    );
}

fn text(difference: &Difference) -> String {
    let lines = difference.lines.iter().chain(&difference.notes);
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    format!("{}\n{lines}", difference.section.word())
}

/// Text as XML 1.0 takes it: what it has no character for is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if u32::from(c) < 0x20 || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_xml() {
        assert_eq!(escaped("a < \"b\" & c\u{1b}[31m"), "a &lt; &quot;b&quot; &amp; c[31m");
    }
}
