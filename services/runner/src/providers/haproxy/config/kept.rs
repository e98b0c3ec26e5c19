//! Where a balancer keeps what was set at runtime over a reload: its server-state file. One that a reload does not read
//! would be a promise that nobody keeps, so all that is needed for it is looked for.

use std::path::PathBuf;

use super::text::{Line, Section, Text};
use crate::rest::Wrong;

const LOAD: &str = "load-server-state-from-file";

/// The file that a reload reads.
///
/// # Errors
/// When there is none, or some backend does not read it.
pub fn file(text: &Text) -> Result<PathBuf, Wrong> {
    if text.conditional() {
        return Err(Wrong::permanent(
            "the configuration has `.if` in it: what of it is in force can't be told by reading; it is edited by people alone",
        ));
    }
    let path = path(text)?;
    let forgetful: Vec<&str> = forgetful(text);
    if forgetful.is_empty() {
        return Ok(path);
    }
    Err(Wrong::permanent(format!(
        "a reload would forget what was set in {}: write `{LOAD} global` into `defaults`, and reload by hand",
        forgetful.join(", ")
    )))
}

fn path(text: &Text) -> Result<PathBuf, Wrong> {
    let sections = text.sections();
    let global = |key: &str| {
        let globals = sections.iter().filter(|section| section.kind == "global");
        let mut lines = globals.flat_map(|section| &text.lines[section.lines.clone()]);
        lines.rfind(|line| line.word(0) == Some(key)).and_then(|line: &Line| line.word(1))
    };
    let named = global("server-state-file").ok_or_else(|| {
        Wrong::permanent(
            "a reload would forget what was set: name a `server-state-file` in `global`, and reload by hand",
        )
    })?;
    let path = global("server-state-base")
        .map_or_else(|| PathBuf::from(named), |base| PathBuf::from(base).join(named));
    if path.is_relative() {
        return Err(Wrong::permanent(format!(
            "where `server-state-file {named}` lies depends on where HAProxy was started: give its full path"
        )));
    }
    Ok(path)
}

/// Names of what has servers and does not read the file.
fn forgetful(text: &Text) -> Vec<&str> {
    let sections = text.sections();
    let mut defaults: Vec<(Option<&str>, Option<&str>)> = Vec::new();
    let mut forgetful = Vec::new();
    for section in &sections {
        let own = said(text, section);
        let base = match section.from() {
            Some(name) => defaults.iter().rfind(|(known, _)| *known == Some(name)),
            // Of itself a `defaults` begins anew.
            None if section.kind == "defaults" => None,
            None => defaults.last(),
        };
        let mode = own.or_else(|| base.and_then(|(_, mode)| *mode));
        if section.kind == "defaults" {
            defaults.push((section.name(), mode));
        } else if section.balances() && serves(text, section) && mode != Some("global") {
            forgetful.push(section.name().unwrap_or("a backend without a name"));
        }
    }
    forgetful
}

fn said<'a>(text: &'a Text, section: &Section<'_>) -> Option<&'a str> {
    text.lines[section.lines.clone()].iter().rfind(|line| line.word(0) == Some(LOAD))?.word(1)
}

fn serves(text: &Text, section: &Section<'_>) -> bool {
    let mut lines = text.lines[section.lines.clone()].iter();
    lines.any(|line| matches!(line.word(0), Some("server" | "server-template")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_one_that_every_backend_reads() {
        let table = [
            ("global\n server-state-file /s\ndefaults\n LOAD global\nbackend a\n server x y:1\n", Ok("/s")),
            ("global\n server-state-base /b\n server-state-file s\n", Ok("/b/s")),
            ("global\n server-state-base /b\n server-state-file /s\n", Ok("/s")),
            ("global\n server-state-file /s\nbackend a\n LOAD global\n server x y:1\nlisten b\n", Ok("/s")),
            (
                "global\n server-state-file /s\ndefaults one\n LOAD global\ndefaults two\nbackend a from one\n server x y:1\n",
                Ok("/s"),
            ),
            ("global\n daemon\n", Err("name a `server-state-file`")),
            ("global\n server-state-file s\n", Err("give its full path")),
            ("global\n server-state-file /s\nbackend a\n server x y:1\n", Err("what was set in a: write")),
            (
                "global\n server-state-file /s\ndefaults\n LOAD local\nlisten a\n server x y:1\n",
                Err("set in a:"),
            ),
            (
                "global\n server-state-file /s\ndefaults\n LOAD global\nbackend a\n LOAD none\n server x y:1\n",
                Err("set in a:"),
            ),
            (
                "global\n server-state-file /s\ndefaults one\n LOAD global\ndefaults two\nbackend a\n server x y:1\n",
                Err("set in a:"),
            ),
            ("global\n server-state-file /s\n.if defined(X)\n.endif\n", Err("by people alone")),
        ];
        for (text, expected) in table {
            let got = file(&Text::read(&text.replace("LOAD", LOAD)));
            match (&got, expected) {
                (Ok(path), Ok(wanted)) => assert_eq!(path.to_str(), Some(wanted), "{text}"),
                (Err(wrong), Err(why)) => assert!(wrong.reason.contains(why), "{text}: {}", wrong.reason),
                _ => panic!("{text}: {got:?}"),
            }
        }
    }
}
