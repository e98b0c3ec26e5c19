//! Reads typed values out of the tree and says what is wrong with each, with its place. Unknown keys are errors:
//! a typo never means "default".

use std::ops::Range;

use regreen_schemas::{Span, time::parse_span};

use crate::{
    action::Action,
    diagnostic::{Findings, Place, nearest},
    keys::{Key, Table},
    read::Shelf,
    tree::{Kind, Node},
};

/// Longest name that expressions use: a step's path must stay readable.
const IDENTIFIER_MAX: usize = 40;
/// Words of CEL that can't name anything.
const WORDS: [&str; 4] = ["true", "false", "null", "in"];

/// One file being read.
pub(crate) struct Walk<'f> {
    /// Which.
    pub file: usize,
    /// Where findings go.
    pub findings: &'f mut Findings,
    /// What other files declare.
    pub shelf: &'f Shelf,
}

/// The nearest of the known words, or all of them when they are few.
pub(crate) fn meant(word: &str, known: &[&str]) -> String {
    const SHOWN_MAX: usize = 24;
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.len() <= SHOWN_MAX => format!("known: {}", known.join(", ")),
        None => format!("known: {}, …", known[..SHOWN_MAX].join(", ")),
    }
}

/// The entries of a map whose keys are known.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n> {
    /// The map.
    pub node: &'n Node,
}

impl<'n> Fields<'n> {
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        self.node.get(name).filter(|value| !value.is_null())
    }
}

impl Walk<'_> {
    pub fn place(&self, range: Range<usize>) -> Place {
        Place { file: self.file, range }
    }

    pub fn error(
        &mut self,
        code: u16,
        node: &Node,
        message: impl Into<String>,
        label: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let at = self.place(node.range.clone());
        self.findings.error(code, at, message, label, hint);
    }

    /// A value of another shape than its key wants.
    pub fn wrong(&mut self, node: &Node, what: &str, wanted: &str, hint: &str) {
        let found = node.text().map_or_else(|| node.word().to_owned(), |text| format!("`{text}`"));
        self.error(203, node, format!("`{what}` wants {wanted}"), format!("found {found}"), hint);
    }

    /// The parameters of an action.
    pub fn parameters<'n>(&mut self, node: &'n Node, action: &Action) -> Option<Fields<'n>> {
        let known: Vec<&str> = action.params.iter().map(|param| &*param.name).collect();
        self.known_keys(node, "with", &known, "no parameter of this action")?;
        for param in &action.params {
            if param.required && node.get(&param.name).is_none_or(Node::is_null) {
                let message = format!("parameter `{}` is missing", param.name);
                self.missing(node, message, "this `with`", format!("{}: {}", param.name, param.doc));
            }
        }
        Some(Fields { node })
    }

    /// A map with only these keys; what must be there is.
    pub fn fields<'n>(&mut self, node: &'n Node, what: &str, keys: &[Key]) -> Option<Fields<'n>> {
        let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
        self.known_keys(node, what, &known, &format!("no key of {what}"))?;
        for key in keys.iter().filter(|key| key.required) {
            if node.get(key.name).is_none_or(Node::is_null) {
                let message = format!("key `{}` is missing", key.name);
                self.missing(node, message, format!("this {what}"), format!("{} {}", key.name, key.doc));
            }
        }
        Some(Fields { node })
    }

    fn known_keys(&mut self, node: &Node, what: &str, known: &[&str], label: &str) -> Option<()> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong(node, what, "a map", "");
            return None;
        };
        for (key, _) in entries {
            let name = key.text().unwrap_or_default();
            if !name.is_empty() && !known.contains(&name) {
                self.error(101, key, format!("unknown key `{name}`"), label, meant(name, known));
            }
        }
        Some(())
    }

    /// Keys that belong to other kinds of the same thing.
    pub fn owned(&mut self, node: &Node, table: &Table, kind: &str) {
        let Kind::Map(entries) = &node.kind else { return };
        let what = table.name;
        for (key, _) in entries.iter().filter(|(key, _)| key.text() != Some(kind)) {
            let other = |(name, kinds): &&(&str, &[&str])| key.text() == Some(name) && !kinds.contains(&kind);
            let Some((name, kinds)) = table.needs.iter().find(other) else { continue };
            let kinds: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
            self.error(
                101,
                key,
                format!("`{name}` is no key of a {what} with `{kind}`"),
                format!("it belongs to {}", kinds.join(", ")),
                "take it out",
            );
        }
    }

    /// Something is missing in a map: its first byte is drawn, not all of it.
    pub fn missing(
        &mut self,
        node: &Node,
        message: impl Into<String>,
        label: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let at = self.place(node.range.start..node.range.start + 1);
        self.findings.error(108, at, message, label, hint);
    }

    /// Keys and values of a map whose keys are names.
    pub fn named<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(Node, Node)] {
        if let Kind::Map(entries) = &node.kind {
            entries
        } else {
            self.wrong(node, what, "a map", "");
            &[]
        }
    }

    pub fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        if let Kind::List(items) = &node.kind {
            items
        } else {
            self.wrong(node, what, "a list", "write it in `[ ]` or with `-`");
            &[]
        }
    }

    /// Text that is not a template.
    pub fn plain<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let Some(text) = node.text() else {
            self.wrong(node, what, "text", "");
            return None;
        };
        if text.contains("{{") {
            self.error(
                302,
                node,
                "`{{` in a plain value",
                format!("`{what}` takes no template"),
                "write the value itself",
            );
            return None;
        }
        Some(text)
    }

    pub fn duration(&mut self, node: &Node, what: &str) -> Option<Span> {
        let text = self.plain(node, what)?;
        let span = parse_span(text);
        if span.is_none() {
            let hint = if text.parse::<u64>().is_ok() {
                format!("`{text}s` or `{text}m`?")
            } else {
                "like `90s`, `15m`, `1h30m`".into()
            };
            self.error(106, node, format!("`{text}` is no duration"), "no unit, or units out of order", hint);
        }
        span
    }

    pub fn int(&mut self, node: &Node, what: &str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let text = self.plain(node, what)?;
        let number = text.parse::<u32>().ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.wrong(node, what, &format!("a whole number from {} to {}", range.start(), range.end()), "");
        }
        number
    }

    pub fn one_of<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.plain(node, what)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
            let hint = nearest(text, known.iter().copied())
                .map_or(String::new(), |near| format!("did you mean `{near}`?"));
            self.wrong(node, what, &format!("one of {}", known.join(", ")), &hint);
        }
        found
    }

    /// A name that may be a token of a subject, or part of a path.
    pub fn name<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = self.plain(node, what)?;
        if regreen_schemas::id::is_token(text) {
            return Some(text);
        }
        self.error(
            109,
            node,
            format!("bad name `{text}`"),
            "lower-case letters, digits, `-` and `_`, at most 40",
            "rename it",
        );
        None
    }

    /// A name that expressions use.
    pub fn identifier<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = self.plain(node, what)?;
        let good = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && text.starts_with(|c: char| c.is_ascii_alphabetic());
        if good && text.len() <= IDENTIFIER_MAX && !WORDS.contains(&text) {
            return Some(text);
        }
        self.error(
            109,
            node,
            format!("bad {what} `{text}`"),
            "letters, digits and `_`; `-` is minus in CEL",
            format!("`{}`?", text.replace(['-', ' '], "_")),
        );
        None
    }

    /// Entries of a map whose keys are names that expressions use.
    pub fn identified<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n str, &'n Node)> {
        let entries = self.named(node, what);
        entries.iter().filter_map(|(name, value)| Some((self.identifier(name, "name")?, value))).collect()
    }

    /// `true` or `false`.
    pub fn bool(&mut self, node: &Node, what: &str) -> Option<bool> {
        self.one_of(node, what, &[("true", true), ("false", false)])
    }

    /// A share, such as `50%`.
    pub fn percent(&mut self, node: &Node, what: &str) -> Option<u32> {
        let text = self.plain(node, what)?;
        let number = text.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
        let number = number.filter(|number| (1..=100).contains(number));
        if number.is_none() {
            self.wrong(node, what, "a share from 1% to 100%", "like `50%`");
        }
        number
    }
}
