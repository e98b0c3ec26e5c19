//! YAML text to a tree with places, in one pass over the parser's events. What YAML would silently make of a
//! slip is found here: duplicate keys, tags, anchors, `{{ x }}` read as a map, a value cut by ` #`. Everything is
//! bounded: hostile input must not end the process.

use std::{collections::BTreeMap, ops::Range};

use granit_parser::{Event, Parser, Placement, ScalarStyle};

use crate::diagnostic::{Findings, Place};

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 48;
/// Most nodes in a file.
const NODES_MAX: usize = 200_000;

/// A value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a node is. Scalars are text: there is no YAML 1.1 question of booleans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, and whether it was written without quotes.
    Scalar {
        /// After escapes.
        text: String,
        /// Unquoted.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys in order; each is there once.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value)
    }

    /// What it is, in a word for messages.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { .. } => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Whether nothing stands there.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }
}

enum Open {
    List(Vec<Node>, usize),
    Map {
        entries: Vec<(Node, Node)>,
        key: Option<Node>,
        start: usize,
        skipped: bool,
        /// Where each key stands first.
        first: BTreeMap<String, Range<usize>>,
    },
}

/// The documents of one file. A syntax error ends its list; what came before it is returned.
pub fn parse(file: usize, findings: &mut Findings) -> Vec<Node> {
    let text = findings.sources[file].text.clone();
    let mut builder =
        Builder { file, findings, stack: Vec::new(), documents: Vec::new(), nodes: 0, last_plain: None };
    for step in Parser::new_from_str(&text) {
        let outcome = match step {
            Ok((event, span)) => builder.event(event, span.byte_range().unwrap_or(0..0)),
            Err(error) => {
                builder.unreadable(error.marker().byte_offset().unwrap_or(text.len()), &error.info());
                Err(())
            }
        };
        if outcome.is_err() {
            break;
        }
    }
    builder.documents
}

struct Builder<'f> {
    file: usize,
    findings: &'f mut Findings,
    stack: Vec<Open>,
    documents: Vec<Node>,
    nodes: usize,
    last_plain: Option<(String, Range<usize>)>,
}

impl Builder<'_> {
    fn error(&mut self, code: u16, range: Range<usize>, message: impl Into<String>, label: &str, hint: &str) {
        self.findings.error(code, Place { file: self.file, range }, message, label, hint);
    }

    /// What the parser gives up at. A condition that begins with `!` is the commonest.
    fn unreadable(&mut self, at: usize, why: &str) {
        if why.starts_with("while scanning a tag") {
            self.tag(at..at + 1);
        } else {
            let colon = why.starts_with("mapping values are not allowed");
            let hint = if colon { "`: ` begins another map: quote the whole value" } else { "" };
            self.error(100, at..at + 1, why, "here", hint);
        }
    }

    fn tag(&mut self, range: Range<usize>) {
        self.error(
            103,
            range,
            "a leading `!` is read as a YAML tag",
            "leading `!`",
            "quote the value in '…'",
        );
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) -> Result<(), ()> {
        self.nodes += 1;
        if self.nodes > NODES_MAX || self.stack.len() > DEPTH_MAX {
            let limit = format!("more than {NODES_MAX} values or {DEPTH_MAX} levels");
            self.error(100, range, limit, "here", "split the file");
            return Err(());
        }
        if let Event::Comment(_, placement) = &event {
            self.comment(*placement, range);
            return Ok(());
        }
        self.last_plain = None;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                self.properties(anchor, tag.is_some(), &range);
                let text = text.into_owned();
                if plain {
                    self.last_plain = Some((text.clone(), range.clone()));
                }
                self.close(Node { range, kind: Kind::Scalar { text, plain } });
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.properties(anchor, tag.is_some(), &range);
                self.stack.push(Open::List(Vec::new(), range.start));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.properties(anchor, tag.is_some(), &range);
                self.stack.push(Open::Map {
                    entries: Vec::new(),
                    key: None,
                    start: range.start,
                    skipped: false,
                    first: BTreeMap::new(),
                });
            }
            Event::SequenceEnd => {
                if let Some(Open::List(items, start)) = self.stack.pop() {
                    self.close(Node { range: start..range.end.max(start + 1), kind: Kind::List(items) });
                }
            }
            Event::MappingEnd => {
                if let Some(Open::Map { entries, start, .. }) = self.stack.pop() {
                    let range = start..range.end.max(start + 1);
                    let kind = self.braces(&range, &entries).unwrap_or(Kind::Map(entries));
                    self.close(Node { range, kind });
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.error(
                    110,
                    range.clone(),
                    "anchors are not supported",
                    "an alias",
                    "share by `run`, or write it out",
                );
                self.close(Node { range, kind: Kind::Scalar { text: String::new(), plain: false } });
            }
            _ => {}
        }
        Ok(())
    }

    /// An unquoted `{{ x }}`, which was told of: it goes on as the text that was meant.
    fn braces(&self, range: &Range<usize>, entries: &[(Node, Node)]) -> Option<Kind> {
        let text = self.findings.sources[self.file].text.get(range.clone())?;
        let meant = entries.is_empty() && text.starts_with("{{") && text.ends_with("}}");
        meant.then(|| Kind::Scalar { text: text.to_owned(), plain: false })
    }

    fn properties(&mut self, anchor: usize, tagged: bool, range: &Range<usize>) {
        if anchor != 0 {
            self.error(
                110,
                range.clone(),
                "anchors are not supported",
                "an anchor",
                "share by `run`, or write it out",
            );
        }
        if tagged {
            self.tag(range.clone());
        }
    }

    /// A comment right of an unquoted value that is not balanced has most likely cut it.
    fn comment(&mut self, placement: Placement, range: Range<usize>) {
        let Some((text, value)) = self.last_plain.take() else { return };
        let count = |c: char| text.matches(c).count();
        let cut = count('"') % 2 == 1
            || count('\'') % 2 == 1
            || count('(') != count(')')
            || count('[') != count(']');
        if placement == Placement::Right && cut {
            self.error(104, value, "the value ends at ` #`", "cut here", "quote the whole value in '…'");
            self.findings.also(Place { file: self.file, range }, "the rest is read as a comment");
        }
    }

    /// A finished value goes to whatever is open.
    fn close(&mut self, node: Node) {
        let file = self.file;
        match self.stack.last_mut() {
            None => self.documents.push(node),
            Some(Open::List(items, _)) => items.push(node),
            Some(Open::Map { entries, key, skipped, first, .. }) => match key.take() {
                None if node.text().is_some() => {
                    *skipped = false;
                    *key = Some(node);
                }
                None => {
                    // A map or list as a key: nobody writes that on purpose, but `{{ x }}` unquoted is one.
                    *key = Some(Node {
                        range: node.range.clone(),
                        kind: Kind::Scalar { text: String::new(), plain: false },
                    });
                    *skipped = true;
                    self.error(
                        105,
                        node.range,
                        "`{{ … }}` is read as a map",
                        "unquoted",
                        "quote it: \"{{ … }}\"",
                    );
                }
                Some(_) if *skipped => *skipped = false,
                Some(name) => {
                    let text = name.text().unwrap_or_default();
                    if let Some(first) = first.get(text) {
                        let first = Place { file, range: first.clone() };
                        let message = format!("duplicate key `{text}`");
                        self.findings.error(
                            102,
                            Place { file, range: name.range },
                            message,
                            "again",
                            "join the two, or take one away",
                        );
                        self.findings.also(first, "first here");
                    } else {
                        first.insert(text.to_owned(), name.range.clone());
                        entries.push((name, node));
                    }
                }
            },
        }
    }
}
