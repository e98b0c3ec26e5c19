//! Templates: text with `{{ path }}`, nothing else. Alone it keeps its type; a path without value fails the step
//! and nothing is sent. Rendered text is never parsed again.

mod file;
mod tag;

use std::ops::Range;

pub use file::{File, Spot, Wants};

use crate::{
    cel::{self, Env, Expr, Kind},
    value::Value,
};

/// Longest rendered text.
pub const TEXT_MAX: usize = 64 * 1024;

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its pieces.
    pub parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// A path, with its bytes in the template.
    Path(Expr, Range<usize>),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The first thing that is no path.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find("{{").map(|open| open + at) {
            if open > at {
                parts.push(Part::Text(text[at..open].to_owned()));
            }
            let Some(close) = text[open..].find("}}").map(|close| close + open) else {
                return Err(Error { range: open..text.len(), message: "`{{` without `}}`".into() });
            };
            let inner = &text[open + 2..close];
            let path = inner.trim();
            let start = open + 2 + (inner.len() - inner.trim_start().len());
            let not_a_path = || Error {
                range: open..close + 2,
                message: format!("`{path}` is no path: only names and dots stand in `{{{{ }}}}`"),
            };
            let expr = cel::parse(path).map_err(|_| not_a_path())?;
            if !is_path(&expr.tree.kind) {
                return Err(not_a_path());
            }
            parts.push(Part::Path(expr, start..start + path.len()));
            at = close + 2;
        }
        if at < text.len() {
            parts.push(Part::Text(text[at..].to_owned()));
        }
        Ok(Self { parts })
    }

    /// The text, where there is no path in it.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The value: of its type when a path stands alone, else text. Each value from outside passes `escape` on its
    /// way into text.
    ///
    /// # Errors
    /// Names the path that has no value.
    pub fn render(&self, env: &dyn Env, escape: fn(&str) -> Result<String, String>) -> Result<Value, String> {
        if let [Part::Path(expr, _)] = self.parts.as_slice() {
            return value(expr, env);
        }
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Path(expr, _) if trusted(&expr.tree.kind) => {
                    out.push_str(&value(expr, env)?.to_string());
                }
                Part::Path(expr, _) => out.push_str(&escape(&value(expr, env)?.to_string())?),
            }
            if out.len() > TEXT_MAX {
                return Err(format!("the text grows longer than {TEXT_MAX} bytes"));
            }
        }
        Ok(Value::str(out))
    }

    /// For people: what is missing is named instead of failing.
    #[must_use]
    pub fn text(&self, env: &dyn Env) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Path(expr, _) => match value(expr, env) {
                    Ok(value) => out.push_str(&value.to_string()),
                    Err(_) => out.push_str(&format!("<missing {}>", expr.text)),
                },
            }
        }
        out.truncate(out.floor_char_boundary(TEXT_MAX));
        out
    }
}

fn value(expr: &Expr, env: &dyn Env) -> Result<Value, String> {
    cel::eval(expr, env, &mut Vec::new()).map_err(|stop| format!("`{}`: {}", expr.text, stop.because()))
}

/// Whether a path reads the inventory, or our own ids: people wrote those, and an address such as `host:port` must
/// stay one. Alerts, inputs and results come from outside and are escaped.
#[must_use]
pub fn trusted(kind: &Kind) -> bool {
    match kind {
        Kind::Name(name) => matches!(name.as_str(), "target" | "node" | "group" | "run"),
        Kind::Field(object, _) => trusted(&object.kind),
        _ => false,
    }
}

fn is_path(kind: &Kind) -> bool {
    match kind {
        Kind::Name(_) => true,
        Kind::Field(object, _) => is_path(&object.kind),
        _ => false,
    }
}

/// Lets a value into text as it is.
///
/// # Errors
/// Never.
pub fn plain(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// Percent-encodes everything but RFC 3986's unreserved characters: a value can't leave its place in a URL.
///
/// # Errors
/// Never.
pub fn url(text: &str) -> Result<String, String> {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(out)
}

/// Refuses control characters: a value can't start a new header.
///
/// # Errors
/// When there is one.
pub fn header(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        Err("a control character in a header".into())
    } else {
        Ok(text.to_owned())
    }
}
