//! `.hbs` files: texts of many lines that a parameter is filled in from. `handlebars` reads them; a list of what is
//! allowed turns its tree into ours, and only ours is filled in. So there are no helpers, and what has no value
//! fails, under `#if` too.

use std::{ops::Range, sync::Arc};

use handlebars::template::{HelperTemplate, Template, TemplateElement};
use regreen_schemas::check::Status;

use super::{
    Error, TEXT_MAX,
    tag::{Tag, TagKind, tags},
    value,
};
use crate::{
    cel::{Env, Expr, Kind, Tree},
    value::Value,
};

/// Most items that all `#each` of a file go through together.
const ITEMS_MAX: usize = 10_000;

/// A file of the set that a parameter is filled in from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path in the set: its source's.
    pub path: Arc<str>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Path(Place),
    If { asked: Place, then: Vec<Piece>, otherwise: Vec<Piece> },
    Each { list: Place, name: String, body: Vec<Piece>, otherwise: Vec<Piece> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    expr: Expr,
    range: Range<usize>,
}

/// A path of a file, for the checker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The path; the item of an `#each` reads as an item of its list. Places are those of the path as written.
    pub expr: Expr,
    /// Its bytes in the file.
    pub range: Range<usize>,
    /// What must stand there.
    pub wants: Wants,
}

/// What a path of a file must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Anything that is text.
    Text,
    /// True or false: `#if`.
    Bool,
    /// A list: `#each`.
    List,
}

impl File {
    /// Reads a file: text, `{{ path }}`, `{{#if path}}`, `{{#each path as |item|}}`, `{{else}}` and comments.
    ///
    /// # Errors
    /// The first place that is none of these.
    pub fn parse(path: &str, text: &str) -> Result<Self, Error> {
        if text.len() > TEXT_MAX {
            let message = format!("the file is longer than {TEXT_MAX} bytes");
            return Err(Error { range: 0..1, message });
        }
        let mut tags = tags(text)?.into_iter();
        let pieces = Template::compile(text).ok().and_then(|read| pieces(read, &mut tags));
        let pieces = pieces.filter(|_| tags.next().is_none());
        let pieces = pieces.ok_or(Error { range: 0..1, message: "this can't be read".into() })?;
        Ok(Self { path: path.into(), pieces })
    }

    /// The text, filled in as it is: nothing is escaped.
    ///
    /// # Errors
    /// Names the path that has no value, or not the right one.
    pub fn render(&self, env: &dyn Env) -> Result<String, String> {
        let mut out = Out { text: String::new(), items: 0 };
        out.all(&self.pieces, env)?;
        Ok(out.text)
    }

    /// Every path, in the order of the file.
    #[must_use]
    pub fn paths(&self) -> Vec<Spot> {
        let mut out = Vec::new();
        spots(&self.pieces, &mut Vec::new(), &mut out);
        out
    }
}

/// The pieces of a tree, whose paths come in the order of the tags; `None` where the two do not agree.
fn pieces(read: Template, tags: &mut impl Iterator<Item = Tag>) -> Option<Vec<Piece>> {
    let mut out = Vec::new();
    for element in read.elements {
        match element {
            TemplateElement::RawString(text) => out.push(Piece::Text(text)),
            TemplateElement::Comment(_) => {}
            TemplateElement::Expression(path) if plain(&path, 0) => {
                let tag = tags.next().filter(|tag| tag.kind == TagKind::Text)?;
                (path.name.as_name()? == tag.expr.text).then_some(())?;
                out.push(Piece::Path(Place { expr: tag.expr, range: tag.range }));
            }
            TemplateElement::HelperBlock(block) if plain(&block, 1) => out.push(self::block(*block, tags)?),
            _ => return None,
        }
    }
    Some(out)
}

fn plain(helper: &HelperTemplate, params: usize) -> bool {
    helper.params.len() == params && helper.hash.is_empty() && !helper.is_chained()
}

fn block(block: HelperTemplate, tags: &mut impl Iterator<Item = Tag>) -> Option<Piece> {
    let tag = tags.next()?;
    (block.params.first()?.as_name()? == tag.expr.text).then_some(())?;
    let word = block.name.as_name()?.to_owned();
    let asked = Place { expr: tag.expr, range: tag.range };
    let inner = pieces(block.template.unwrap_or_default(), tags)?;
    let otherwise = pieces(block.inverse.unwrap_or_default(), tags)?;
    match (tag.kind, word.as_str()) {
        (TagKind::If, "if") => Some(Piece::If { asked, then: inner, otherwise }),
        (TagKind::Each(name), "each") => Some(Piece::Each { list: asked, name, body: inner, otherwise }),
        _ => None,
    }
}

/// Text that is being filled in.
struct Out {
    text: String,
    items: usize,
}

impl Out {
    fn all(&mut self, pieces: &[Piece], env: &dyn Env) -> Result<(), String> {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.text.push_str(text),
                Piece::Path(path) => self.text.push_str(&value(&path.expr, env)?.to_string()),
                Piece::If { asked, then, otherwise } => match value(&asked.expr, env)? {
                    Value::Bool(true) => self.all(then, env)?,
                    Value::Bool(false) => self.all(otherwise, env)?,
                    _ => return Err(format!("`{}` is neither true nor false", asked.expr.text)),
                },
                Piece::Each { list, name, body, otherwise } => match value(&list.expr, env)? {
                    Value::List(items) if items.is_empty() => self.all(otherwise, env)?,
                    Value::List(items) => self.each(&items, name, body, env)?,
                    _ => return Err(format!("`{}` is no list", list.expr.text)),
                },
            }
            if self.text.len() > TEXT_MAX {
                return Err(format!("the text grows longer than {TEXT_MAX} bytes"));
            }
        }
        Ok(())
    }

    fn each(&mut self, items: &[Value], name: &str, body: &[Piece], env: &dyn Env) -> Result<(), String> {
        for value in items {
            self.items += 1;
            if self.items > ITEMS_MAX {
                return Err(format!("more than {ITEMS_MAX} items"));
            }
            self.all(body, &Item { env, name, value })?;
        }
        Ok(())
    }
}

/// The world with one name more.
struct Item<'e> {
    env: &'e dyn Env,
    name: &'e str,
    value: &'e Value,
}

impl Env for Item<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        if name == self.name { Some(self.value.clone()) } else { self.env.root(name) }
    }
    fn verdict(&self, check: &str) -> Status {
        self.env.verdict(check)
    }
    fn group(&self, name: &str) -> Option<Value> {
        self.env.group(name)
    }
}

fn spots(pieces: &[Piece], items: &mut Vec<(String, Tree)>, out: &mut Vec<Spot>) {
    for piece in pieces {
        match piece {
            Piece::Text(_) => {}
            Piece::Path(path) => out.push(spot(path, Wants::Text, items)),
            Piece::If { asked, then, otherwise } => {
                out.push(spot(asked, Wants::Bool, items));
                spots(then, items, out);
                spots(otherwise, items, out);
            }
            Piece::Each { list, name, body, otherwise } => {
                let list = spot(list, Wants::List, items);
                items.push((name.clone(), list.expr.tree.clone()));
                out.push(list);
                spots(body, items, out);
                items.pop();
                spots(otherwise, items, out);
            }
        }
    }
}

fn spot(place: &Place, wants: Wants, items: &[(String, Tree)]) -> Spot {
    let tree = itemised(&place.expr.tree, items);
    let expr = Expr { text: place.expr.text.clone(), tree };
    Spot { expr, range: place.range.clone(), wants }
}

/// Reads the name of an item as the first item of its list: it has the same type, and comes from the same source.
fn itemised(tree: &Tree, items: &[(String, Tree)]) -> Tree {
    let range = tree.range.clone();
    match &tree.kind {
        Kind::Field(object, field) => {
            Tree { range, kind: Kind::Field(Box::new(itemised(object, items)), field.clone()) }
        }
        Kind::Name(name) => match items.iter().rev().find(|(item, _)| item == name) {
            Some((_, list)) => {
                let first = Tree { range: range.clone(), kind: Kind::Literal(Value::Int(0)) };
                let list = Tree { range: range.clone(), kind: placed(list, &range) };
                Tree { range, kind: Kind::Index(Box::new(list), Box::new(first)) }
            }
            None => tree.clone(),
        },
        _ => tree.clone(),
    }
}

/// The same, all of it standing at one place.
fn placed(tree: &Tree, range: &Range<usize>) -> Kind {
    let inner = |tree: &Tree| Box::new(Tree { range: range.clone(), kind: placed(tree, range) });
    match &tree.kind {
        Kind::Field(object, field) => Kind::Field(inner(object), field.clone()),
        Kind::Index(list, item) => Kind::Index(inner(list), inner(item)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
