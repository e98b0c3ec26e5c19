//! A command of the allow-list: its program, its arguments, and what may stand in their `{}`. What playbooks give fills
//! one place of one argument; it never becomes an option, another argument, or a line of a shell.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use regreen_schemas::Span;
use serde::Deserialize;
use serde_json::Value;

use super::options::{Error, absolute, timeout};

/// Most characters of a text, unless the list says otherwise.
const TEXT_MAX: usize = 256;
/// Programs that would read an argument as a line of their own.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "env"];

/// A command that may be run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// The program by its whole path, and its arguments; `{name}` stands for what playbooks give.
    pub argv: Vec<String>,
    /// What may be given, by name.
    #[serde(default)]
    pub arguments: BTreeMap<String, Kind>,
    /// Longest time that it may run; then it is killed, with all that it started in its group.
    #[serde(default = "timeout", deserialize_with = "regreen_kit::config::span")]
    pub timeout: Span,
    /// It changes nothing, and may be used with `effect: read`.
    #[serde(default)]
    pub harmless: bool,
    /// Exit codes by which it says that it has done nothing.
    #[serde(default)]
    pub not_done: Vec<i32>,
    /// What it prints becomes part of the result, and of the log for ever.
    #[serde(default)]
    pub keep_output: bool,
}

/// What may stand in a place.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// One of these.
    OneOf {
        /// Them.
        values: Vec<String>,
    },
    /// A whole number.
    Int {
        /// At least.
        min: i64,
        /// At most.
        max: i64,
    },
    /// Any text without control characters.
    Text {
        /// Most characters.
        #[serde(default = "text_max")]
        max: usize,
        /// It may begin with `-`, where it stands at the beginning of an argument.
        #[serde(default)]
        dash: bool,
    },
}

fn text_max() -> usize {
    TEXT_MAX
}

/// An argument with the place in it.
struct Place<'a> {
    before: &'a str,
    name: &'a str,
    after: &'a str,
}

/// The place in an argument, if there is one.
fn place(argument: &str) -> Option<Place<'_>> {
    let (before, rest) = argument.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some(Place { before, name, after })
}

impl Allowed {
    /// What can be found wrong with it before anything starts.
    pub fn sound(&self, name: &str) -> Result<(), Error> {
        let key = |part: &str| format!("commands.{name}.{part}");
        let wrong = |part: &str, why: String| Err(Error::at(key(part), why));
        let Some((program, arguments)) = self.argv.split_first() else {
            return wrong("argv", "it is empty: begin it with the program's whole path".into());
        };
        absolute(&key("argv"), Path::new(program))?;
        let file = program.rsplit('/').next().unwrap_or_default();
        if SHELLS.contains(&file) || program.contains('{') {
            return wrong(
                "argv",
                format!("`{program}` would run whatever it is given: name the program itself"),
            );
        }
        let places: Vec<_> = arguments.iter().filter_map(|argument| place(argument)).collect();
        if places.iter().any(|place| place.after.contains('{')) {
            return wrong("argv", "an argument has one `{}` at most".into());
        }
        let used: BTreeSet<&str> = places.iter().map(|place| place.name).collect();
        let known: BTreeSet<&str> = self.arguments.keys().map(String::as_str).collect();
        if let Some(odd) = used.symmetric_difference(&known).next() {
            return wrong("arguments", format!("`{odd}` must stand both here and as `{{{odd}}}` in `argv`"));
        }
        if self.timeout <= Span::ZERO {
            return wrong("timeout", "it is no time at all".into());
        }
        Ok(())
    }

    /// The program's arguments, with what was given in their places.
    pub fn fill(&self, given: &BTreeMap<String, Value>) -> Result<Vec<String>, String> {
        if let Some(odd) = given.keys().find(|name| !self.arguments.contains_key(*name)) {
            return Err(format!("`{odd}` is no argument of this command"));
        }
        self.argv.iter().skip(1).map(|argument| self.filled(argument, given)).collect()
    }

    fn filled(&self, argument: &str, given: &BTreeMap<String, Value>) -> Result<String, String> {
        let Some(Place { before, name, after }) = place(argument) else { return Ok(argument.to_owned()) };
        let kind = &self.arguments[name];
        let value = given.get(name).ok_or_else(|| format!("argument `{name}` is missing"))?;
        let text = kind.text(value).map_err(|why| format!("argument `{name}`: {why}"))?;
        if before.is_empty() && text.starts_with('-') && !kind.may_dash() {
            return Err(format!("argument `{name}` begins with `-`, and would be an option"));
        }
        Ok(format!("{before}{text}{after}"))
    }
}

impl Kind {
    /// The list's own words, and numbers, are what it says they are.
    fn may_dash(&self) -> bool {
        match self {
            Self::OneOf { .. } | Self::Int { .. } => true,
            Self::Text { dash, .. } => *dash,
        }
    }

    fn text(&self, value: &Value) -> Result<String, String> {
        match self {
            Self::OneOf { values } => {
                let text = value.as_str().filter(|text| values.iter().any(|one| one == text));
                text.map(str::to_owned).ok_or_else(|| format!("it is none of {}", values.join(", ")))
            }
            Self::Int { min, max } => {
                // Templates make text of numbers.
                let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
                let number = number.filter(|number| (min..=max).contains(&number));
                number
                    .map(|number| number.to_string())
                    .ok_or_else(|| format!("it is no number from {min} to {max}"))
            }
            Self::Text { max, .. } => {
                let fits = |text: &&str| text.chars().count() <= *max && !text.chars().any(char::is_control);
                let text = value.as_str().filter(fits);
                text.map(str::to_owned)
                    .ok_or_else(|| format!("it is no text of at most {max} characters in one line"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn allowed(list: Value) -> Allowed {
        serde_json::from_value(list).expect("an entry of the list")
    }

    fn rotate() -> Allowed {
        allowed(json!({
            "argv": ["/usr/sbin/rotate", "--force", "--keep={keep}", "{file}", "{note}"],
            "arguments": {
                "keep": {"type": "int", "min": -1, "max": 9},
                "file": {"type": "one_of", "values": ["/etc/a", "-"]},
                "note": {"type": "text", "max": 8},
            },
        }))
    }

    fn fill(given: Value) -> Result<Vec<String>, String> {
        rotate().fill(&serde_json::from_value(given).expect("arguments"))
    }

    #[test]
    fn what_is_given_fills_its_place_and_no_other() {
        assert!(rotate().sound("rotate").is_ok());
        let filled = fill(json!({"keep": 3, "file": "/etc/a", "note": "; rm -f"})).expect("good");
        assert_eq!(
            filled,
            ["--force", "--keep=3", "/etc/a", "; rm -f"],
            "one argument, whatever it looks like"
        );
        let filled = fill(json!({"keep": "-1", "file": "-", "note": "{file}"})).expect("good");
        assert_eq!(filled, ["--force", "--keep=-1", "-", "{file}"], "what is given is not filled in again");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        for (given, name) in [
            (json!({"keep": 10, "file": "-", "note": ""}), "keep"),
            (json!({"keep": "1 2", "file": "-", "note": ""}), "keep"),
            (json!({"keep": 1, "file": "/etc/b", "note": ""}), "file"),
            (json!({"keep": 1, "file": "-", "note": "--all"}), "note"),
            (json!({"keep": 1, "file": "-", "note": "a\nb"}), "note"),
            (json!({"keep": 1, "file": "-", "note": "123456789"}), "note"),
            (json!({"keep": 1, "file": "-", "note": {"secret": "a"}}), "note"),
            (json!({"keep": 1, "file": "-"}), "note"),
            (json!({"keep": 1, "file": "-", "note": "", "more": 1}), "more"),
        ] {
            let why = fill(given).expect_err(name);
            assert!(why.contains(&format!("`{name}`")), "{why}");
        }
    }

    #[test]
    fn a_list_that_would_let_more_through_is_refused() {
        for (list, key) in [
            (json!({"argv": []}), "commands.x.argv"),
            (json!({"argv": ["rotate"]}), "commands.x.argv"),
            (json!({"argv": ["/bin/sh", "-c", "true"]}), "commands.x.argv"),
            (json!({"argv": ["/usr/bin/env", "rotate"]}), "commands.x.argv"),
            (json!({"argv": ["/bin/{a}"], "arguments": {"a": {"type": "text"}}}), "commands.x.argv"),
            (json!({"argv": ["/bin/a", "{a}{a}"], "arguments": {"a": {"type": "text"}}}), "commands.x.argv"),
            (json!({"argv": ["/bin/a", "{a}"]}), "commands.x.arguments"),
            (json!({"argv": ["/bin/a"], "arguments": {"a": {"type": "text"}}}), "commands.x.arguments"),
            (json!({"argv": ["/bin/a"], "timeout": "0s"}), "commands.x.timeout"),
        ] {
            let why = allowed(list).sound("x").expect_err(key).to_string();
            assert!(why.starts_with(&format!("providers.host.{key}: ")), "{why}");
        }
        for odd in [
            json!({"argv": ["/bin/a"], "shell": true}),
            json!({"argv": ["/bin/a"], "arguments": {"a": {"type": "text", "max": 1, "min": 2}}}),
        ] {
            assert!(serde_json::from_value::<Allowed>(odd.clone()).is_err(), "{odd}");
        }
    }
}
