//! Reads typed values out of the tree and says what is wrong with each, with its place. Unknown keys are errors:
//! a typo never means "default".

use std::ops::Range;

use regreen_schemas::{Span, time::parse_span};

use crate::{
    diagnostic::{Findings, Place, nearest},
    keys::Key,
    tree::{Kind, Node},
};

/// One file being read.
pub(crate) struct Walk<'f> {
    /// Which.
    pub file: usize,
    /// Where findings go.
    pub findings: &'f mut Findings,
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

    fn wrong(&mut self, node: &Node, what: &str, wanted: &str, hint: &str) {
        let found = node.text().map_or_else(|| node.word().to_owned(), |text| format!("`{text}`"));
        self.error(203, node, format!("`{what}` wants {wanted}"), format!("found {found}"), hint);
    }

    /// The parameters of an action: name, meaning, whether it must be there.
    pub fn parameters<'n>(&mut self, node: &'n Node, known: &[(&str, &str, bool)]) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong(node, "with", "a map", "");
            return None;
        };
        for (key, _) in entries {
            let name = key.text().unwrap_or_default();
            if !name.is_empty() && !known.iter().any(|(known, ..)| *known == name) {
                let hint = nearest(name, known.iter().map(|(known, ..)| *known)).map_or_else(
                    || {
                        format!(
                            "known: {}",
                            known.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
                        )
                    },
                    |near| format!("did you mean `{near}`?"),
                );
                self.error(101, key, format!("unknown key `{name}`"), "no parameter of this action", hint);
            }
        }
        for (name, doc, _) in
            known.iter().filter(|(name, _, required)| *required && node.get(name).is_none_or(Node::is_null))
        {
            let at = Node { range: node.range.start..node.range.start + 1, kind: Kind::List(Vec::new()) };
            let message = format!("parameter `{name}` is missing");
            self.error(108, &at, message, "this `with`", format!("{name}: {doc}"));
        }
        Some(Fields { node })
    }

    /// A map with only these keys; what must be there is.
    pub fn fields<'n>(&mut self, node: &'n Node, what: &str, keys: &[Key]) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong(node, what, "a map", "");
            return None;
        };
        for (key, _) in entries {
            let name = key.text().unwrap_or_default();
            if name.is_empty() || keys.iter().any(|known| known.name == name) {
                continue;
            }
            let near = nearest(name, keys.iter().map(|key| key.name));
            let hint = near.map_or_else(
                || format!("known: {}", keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.error(101, key, format!("unknown key `{name}`"), format!("no key of {what}"), hint);
        }
        for key in keys.iter().filter(|key| key.required) {
            if node.get(key.name).is_none_or(Node::is_null) {
                let first_line = node.range.start..node.range.start + 1;
                let at = Node { range: first_line, kind: Kind::List(Vec::new()) };
                self.error(
                    108,
                    &at,
                    format!("key `{}` is missing", key.name),
                    format!("this {what}"),
                    format!("{} {}", key.name, key.doc),
                );
            }
        }
        Some(Fields { node })
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
}
