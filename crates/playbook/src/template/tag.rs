//! The tags of an `.hbs` file, with their bytes: what may stand there is decided here, before the parser sees the
//! text. So nothing gets through by its grammar, and its recursion is bounded by what we let in.

use std::ops::Range;

use super::{Error, is_path};
use crate::cel::{self, Expr};

/// Deepest nesting of `#if` and `#each`.
const DEPTH_MAX: usize = 8;
/// Names that mean something else in other template languages, or nothing at all.
const REFUSED: [&str; 4] = ["this", "else", "as", "null"];

/// A tag that names a path; comments, `else` and the ends of blocks do not.
pub(super) struct Tag {
    /// What it is.
    pub kind: TagKind,
    /// Its path.
    pub expr: Expr,
    /// The path's bytes in the file.
    pub range: Range<usize>,
}

/// Kinds of tags with a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TagKind {
    /// `{{ path }}`
    Text,
    /// `{{#if path}}`
    If,
    /// `{{#each path as |name|}}`
    Each(String),
}

/// What is open, and whether its `else` has come.
struct Open {
    word: &'static str,
    otherwise: bool,
    range: Range<usize>,
}

/// Every tag with a path, in order.
///
/// # Errors
/// The first tag that may not stand there.
pub(super) fn tags(text: &str) -> Result<Vec<Tag>, Error> {
    let mut tags = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("{{").map(|found| found + at) {
        let before = &text[..start];
        let slashes = before.len() - before.trim_end_matches('\\').len();
        if slashes == 1 {
            // `\{{` stands for itself.
            at = start + if text[start..].starts_with("{{{{") { 4 } else { 2 };
            continue;
        }
        let end = end(text, start)?;
        let (range, inner) = (start..end, &text[start + 2..end - 2]);
        if !inner.starts_with('!') {
            tags.extend(tag(inner, &range, &mut open)?);
        }
        at = end;
    }
    match open.pop() {
        None => Ok(tags),
        Some(open) => Err(refused(&open.range, format!("`#{}` has no end", open.word))),
    }
}

fn refused(range: &Range<usize>, message: impl Into<String>) -> Error {
    Error { range: range.clone(), message: message.into() }
}

/// The end of the tag that starts here.
fn end(text: &str, start: usize) -> Result<usize, Error> {
    let rest = &text[start..];
    let long = rest.starts_with("{{!--").then(|| rest[5..].find("--}}").map(|found| 5 + found + 4)).flatten();
    let length = long.or_else(|| rest.find("}}").map(|found| found + 2));
    length.map(|length| start + length).ok_or_else(|| refused(&(start..text.len()), "`{{` without `}}`"))
}

fn tag(inner: &str, range: &Range<usize>, open: &mut Vec<Open>) -> Result<Option<Tag>, Error> {
    let words: Vec<&str> = inner.split_whitespace().collect();
    let (kind, path) = match words.as_slice() {
        ["else"] => return otherwise(range, open).map(|()| None),
        ["/if"] => return close("if", range, open).map(|()| None),
        ["/each"] => return close("each", range, open).map(|()| None),
        ["#if", path] => (TagKind::If, *path),
        ["#each", path, "as", name] => (TagKind::Each(item(name, range)?), *path),
        ["#each", ..] => return Err(refused(range, "`#each` names its item: `{{#each list as |item|}}`")),
        [path] => (TagKind::Text, *path),
        _ => return Err(refused(range, format!("`{}` is no path", inner.trim()))),
    };
    let opened = match kind {
        TagKind::Text => None,
        TagKind::If => Some("if"),
        TagKind::Each(_) => Some("each"),
    };
    open.extend(opened.map(|word| Open { word, otherwise: false, range: range.clone() }));
    if open.len() > DEPTH_MAX {
        return Err(refused(range, format!("nested deeper than {DEPTH_MAX}")));
    }
    let at = range.start + 2 + inner.find(path).expect("invariant: a word of this tag");
    let expr = path_of(path).ok_or_else(|| refused(range, format!("`{path}` is no path")))?;
    Ok(Some(Tag { kind, expr, range: at..at + path.len() }))
}

/// Only names and dots: no literals, helpers, parents, roots.
fn path_of(path: &str) -> Option<Expr> {
    let expr = cel::parse(path).ok().filter(|expr| is_path(&expr.tree.kind))?;
    (!path.split('.').any(|name| REFUSED.contains(&name))).then_some(expr)
}

fn item(word: &str, range: &Range<usize>) -> Result<String, Error> {
    let name = word.strip_prefix('|').and_then(|word| word.strip_suffix('|')).unwrap_or_default();
    let good = path_of(name).is_some() && !name.contains('.');
    if good { Ok(name.to_owned()) } else { Err(refused(range, format!("`{word}` is no name: `|item|`"))) }
}

fn otherwise(range: &Range<usize>, open: &mut [Open]) -> Result<(), Error> {
    match open.last_mut() {
        Some(open) if !open.otherwise => {
            open.otherwise = true;
            Ok(())
        }
        _ => Err(refused(range, "`else` belongs to one `#if` or `#each`")),
    }
}

fn close(word: &str, range: &Range<usize>, open: &mut Vec<Open>) -> Result<(), Error> {
    match open.pop() {
        Some(open) if open.word == word => Ok(()),
        _ => Err(refused(range, format!("`/{word}` ends nothing"))),
    }
}
