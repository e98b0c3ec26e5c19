//! What is edited: the line of one server in one backend.

use super::{
    super::params::Server,
    address::Address,
    text::{Line, Text},
};
use crate::rest::Wrong;

/// Where a line is put that has no neighbour to follow.
const INDENT: &str = "    ";
/// After these a new server is put.
const NEIGHBOURS: [&str; 3] = ["server", "server-template", "default-server"];

/// How a server's line shall be.
#[derive(Clone, Debug)]
pub enum Wish {
    /// There, with this address; with these options, or with those that it has.
    There { address: Address, options: Option<String> },
    /// Not there.
    Gone,
}

/// Makes it so.
///
/// # Errors
/// When there is no such backend.
pub fn edit(text: &mut Text, server: &Server, wish: &Wish) -> Result<(), Wrong> {
    let sections = text.sections();
    let backend = sections.iter().find(|one| one.balances() && one.name() == Some(&server.backend));
    let lines = backend
        .map(|section| section.lines.clone())
        .ok_or_else(|| Wrong::permanent(format!("the configuration has no backend `{}`", server.backend)))?;
    let found = lines.clone().find(|n| text.lines[*n].says(&["server", &server.name]));
    match (wish, found) {
        (Wish::Gone, None) => {}
        (Wish::Gone, Some(n)) => drop(text.lines.remove(n)),
        (Wish::There { address, options }, Some(n)) => {
            text.lines[n] = altered(&text.lines[n], &address.to_string(), options.as_deref());
        }
        (Wish::There { address, options }, None) => {
            let is = |n: &usize| text.lines[*n].word(0).is_some_and(|word| NEIGHBOURS.contains(&word));
            let says = |n: &usize| text.lines[*n].word(0).is_some();
            let after = lines.clone().rfind(is).or_else(|| lines.clone().rfind(says)).unwrap_or(lines.start);
            let rest = options.as_deref().filter(|rest| !rest.is_empty()).map(|rest| format!(" {rest}"));
            let words = format!("server {} {address}{}", server.name, rest.unwrap_or_default());
            add(text, after, after == lines.start, &words);
        }
    }
    Ok(())
}

/// The same line, with another address and other options where they differ.
fn altered(line: &Line, address: &str, options: Option<&str>) -> Line {
    let (raw, words) = (line.raw(), line.words());
    let Some(name) = words.get(1) else { return line.clone() };
    let place = words.get(2).map_or(name.at.end..name.at.end, |word| word.at.clone());
    let end = words.last().map_or(place.end, |word| word.at.end);
    let stands = line.word(2) == Some(address);
    let head = if stands {
        raw[..place.end].to_owned()
    } else {
        format!("{} {address}", raw[..place.start].trim_end())
    };
    let same = |wanted: &str| {
        let wanted = Line::read(wanted);
        let has = words.iter().skip(3).map(|word| &word.text);
        wanted.words().iter().map(|word| &word.text).eq(has)
    };
    let rest = match options {
        Some("") => String::new(),
        Some(wanted) if !same(wanted) => format!(" {wanted}"),
        _ => raw[place.end..end].to_owned(),
    };
    Line::read(format!("{head}{rest}{}", &raw[end..]))
}

/// A new line below another one, as that one is indented and ended.
fn add(text: &mut Text, after: usize, first: bool, words: &str) {
    let raw = text.lines[after].raw();
    let indent = match first {
        true => INDENT,
        false => &raw[..raw.len() - raw.trim_start().len()],
    };
    let end = if raw.ends_with("\r\n") { "\r\n" } else { "\n" };
    let line = Line::read(format!("{indent}{words}{end}"));
    if !raw.ends_with('\n') {
        text.lines[after] = Line::read(format!("{raw}{end}"));
    }
    text.lines.insert(after + 1, line);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
# Ours.
global
  daemon

backend app   # the application
  default-server check
  server app1 10.0.0.1:80 weight 10   # the first
\tserver app2 10.0.0.2:80  check  inter 1s
  # server app3 10.0.0.3:80

backend empty # none yet
backend other
  server app1 10.0.9.1:80";

    fn edited(config: &str, server: &str, wish: &Wish) -> String {
        let (backend, name) = server.split_once('/').expect("both");
        let mut text = Text::read(config);
        edit(&mut text, &Server { backend: backend.into(), name: name.into() }, wish).expect("a backend");
        text.written()
    }

    fn there(address: &str, options: Option<&str>) -> Wish {
        Wish::There {
            address: address.to_owned().try_into().expect(address),
            options: options.map(Into::into),
        }
    }

    #[test]
    fn one_line_is_edited_and_all_else_stays() {
        let first = "  server app1 10.0.0.1:80 weight 10   # the first\n";
        let second = "\tserver app2 10.0.0.2:80  check  inter 1s\n";
        let table = [
            (
                "app/app1",
                there("10.0.0.7:80", None),
                first,
                "  server app1 10.0.0.7:80 weight 10   # the first\n",
            ),
            (
                "app/app1",
                there("10.0.0.1:80", Some("weight 7")),
                first,
                "  server app1 10.0.0.1:80 weight 7   # the first\n",
            ),
            ("app/app1", there("10.0.0.1:80", Some("")), first, "  server app1 10.0.0.1:80   # the first\n"),
            // What says the same is the same.
            ("app/app2", there("10.0.0.2:80", Some("check inter 1s")), second, second),
            ("app/app2", there("10.0.0.2:80", None), second, second),
            ("app/app2", Wish::Gone, second, ""),
            ("app/app3", Wish::Gone, "", ""),
            (
                "app/app3",
                there("[fd00::3]:80", Some("check")),
                second,
                &format!("{second}\tserver app3 [fd00::3]:80 check\n"),
            ),
            (
                "empty/a",
                there("10.0.0.3:80", None),
                "backend empty # none yet\n",
                "backend empty # none yet\n    server a 10.0.0.3:80\n",
            ),
            ("other/app1", Wish::Gone, "\n  server app1 10.0.9.1:80", "\n"),
            (
                "other/app2",
                there("10.0.9.2:80", None),
                "10.0.9.1:80",
                "10.0.9.1:80\n  server app2 10.0.9.2:80\n",
            ),
        ];
        for (server, wish, old, new) in table {
            assert_eq!(edited(CONFIG, server, &wish), CONFIG.replacen(old, new, 1), "{server} {wish:?}");
        }
        let dos = CONFIG.replace('\n', "\r\n");
        let added = edited(&dos, "app/app3", &there("10.0.0.3:80", None));
        assert!(added.contains("inter 1s\r\n\tserver app3 10.0.0.3:80\r\n"), "{added:?}");
    }

    #[test]
    fn a_backend_must_be_there() {
        let server = Server { backend: "nope".into(), name: "a".into() };
        let wrong = edit(&mut Text::read(CONFIG), &server, &Wish::Gone).expect_err("no backend");
        assert_eq!(wrong.reason, "the configuration has no backend `nope`");
    }
}
