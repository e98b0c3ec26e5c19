//! Values that expressions and templates compute with, and their types. No floats: decisions replay (rule 9).

use std::{collections::BTreeMap, fmt, sync::Arc};

use regreen_schemas::{Span, Timestamp};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Str(Arc<str>),
    /// A length of time.
    Span(Span),
    /// A moment.
    Time(Timestamp),
    /// A list.
    List(Arc<Vec<Value>>),
    /// An object or map.
    Map(Arc<BTreeMap<Arc<str>, Value>>),
}

impl Value {
    /// Text.
    #[must_use]
    pub fn str(text: impl Into<Arc<str>>) -> Self {
        Self::Str(text.into())
    }

    /// An object.
    #[must_use]
    pub fn map<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(Arc::new(entries.into_iter().map(|(k, v)| (k.into(), v)).collect()))
    }

    /// As JSON: times are milliseconds, spans the language's text.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(b) => (*b).into(),
            Self::Int(n) => (*n).into(),
            Self::Str(text) => text.as_ref().into(),
            Self::Span(span) => span.to_string().into(),
            Self::Time(time) => time.0.into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                serde_json::Value::Object(entries.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect())
            }
        }
    }

    /// From JSON; `None` for null and for what has no whole number.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        Some(match json {
            serde_json::Value::Null => return None,
            serde_json::Value::Bool(b) => Self::Bool(*b),
            serde_json::Value::Number(n) => match n.as_i64() {
                Some(n) => Self::Int(n),
                // A decimal travels as text.
                None => Self::str(n.to_string()),
            },
            serde_json::Value::String(text) => Self::str(text.as_str()),
            serde_json::Value::Array(items) => {
                Self::List(Arc::new(items.iter().filter_map(Self::from_json).collect()))
            }
            serde_json::Value::Object(entries) => {
                Self::map(entries.iter().filter_map(|(k, v)| Some((k.as_str(), Self::from_json(v)?))))
            }
        })
    }

    /// The name of an inventory object, for text.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Map(entries) => match entries.get("name") {
                Some(Self::Str(name)) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// As it stands in text: an inventory object is its name.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => out.write_str(text),
            Self::Map(_) if self.name().is_some() => out.write_str(self.name().map_or("", |name| name)),
            other => write!(out, "{}", other.to_json().to_string().trim_matches('"')),
        }
    }
}

/// A type, as the checker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// Text.
    Str,
    /// A length of time.
    Span,
    /// A moment.
    Time,
    /// A list of one type.
    List(Box<Type>),
    /// Text to text.
    Labels,
    /// An object with known fields.
    Object(&'static str),
    /// An object whose fields the playbook, or an action's declaration, names.
    Record(Arc<BTreeMap<Arc<str>, Type>>),
    /// JSON from outside: only templates may use it.
    Json,
}

impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => out.write_str("bool"),
            Self::Int => out.write_str("int"),
            Self::Str => out.write_str("string"),
            Self::Span => out.write_str("duration"),
            Self::Time => out.write_str("timestamp"),
            Self::List(item) => write!(out, "list of {item}"),
            Self::Labels => out.write_str("labels"),
            Self::Object(name) => out.write_str(name),
            Self::Record(_) => out.write_str("object"),
            Self::Json => out.write_str("JSON"),
        }
    }
}
