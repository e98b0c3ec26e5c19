//! The names in `cluster.routing.allocation.exclude._name`: one list that people and programs share. What others wrote
//! stays as it is, byte for byte, spaces and empty entries included.

use serde::{Deserialize, Serialize};

/// The setting as it stands: a text with commas, or a list, as whoever wrote it liked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// `a1,a2`.
    Text(String),
    /// `["a1", "a2"]`.
    List(Vec<String>),
}

impl Names {
    /// Whether this very name is in it. A pattern that matches it is somebody's own matter.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Text(text) => entries(text).any(|entry| entry.trim() == name),
            Self::List(list) => list.iter().flat_map(|text| entries(text)).any(|entry| entry.trim() == name),
        }
    }

    /// The same with one more name, at its end.
    pub fn with(names: Option<&Self>, name: &str) -> Self {
        match names {
            Some(Self::Text(text)) if !text.is_empty() => Self::Text(format!("{text},{name}")),
            Some(Self::List(list)) => Self::List(list.iter().cloned().chain([name.to_owned()]).collect()),
            _ => Self::Text(name.to_owned()),
        }
    }

    /// The same without a name; `None` when nothing else was in it.
    pub fn without(&self, name: &str) -> Option<Self> {
        match self {
            Self::Text(text) => left(text, name).map(Self::Text),
            Self::List(list) => {
                let left: Vec<_> = list.iter().filter_map(|text| left(text, name)).collect();
                (!left.is_empty()).then_some(Self::List(left))
            }
        }
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
}

fn left(text: &str, name: &str) -> Option<String> {
    let others: Vec<&str> = entries(text).filter(|entry| entry.trim() != name).collect();
    (!others.is_empty()).then(|| others.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn names(value: &Value) -> Option<Names> {
        serde_json::from_value(value.clone()).expect("names or null")
    }

    #[test]
    fn a_name_comes_and_goes_and_the_others_stay_as_they_were_written() {
        let table = [
            (json!(null), json!("a2"), json!(null)),
            (json!("x"), json!("x,a2"), json!("x")),
            (json!("x, y ,,"), json!("x, y ,,,a2"), json!("x, y ,,")),
            (json!("a*,a20"), json!("a*,a20,a2"), json!("a*,a20")),
            (json!(["x", " y"]), json!(["x", " y", "a2"]), json!(["x", " y"])),
            (json!([]), json!(["a2"]), json!(null)),
        ];
        for (before, with, after) in table {
            let before = names(&before);
            assert!(!before.as_ref().is_some_and(|names| names.has("a2")), "{before:?}");
            let added = Names::with(before.as_ref(), "a2");
            assert_eq!((json!(added), added.has("a2")), (with, true), "{before:?}");
            assert_eq!(json!(added.without("a2")), after, "{before:?}");
        }
    }

    #[test]
    fn a_name_is_taken_out_wherever_and_however_often_it_stands() {
        let table = [
            (json!("a2"), json!(null)),
            (json!(" a2 "), json!(null)),
            (json!("a2,x"), json!("x")),
            (json!("x, a2,y,a2"), json!("x,y")),
            (json!(["a2", "x,a2", "y"]), json!(["x", "y"])),
            (json!(["a2"]), json!(null)),
        ];
        for (before, after) in table {
            let before = names(&before).expect("names");
            assert!(before.has("a2"));
            assert_eq!(json!(before.without("a2")), after, "{before:?}");
        }
    }
}
