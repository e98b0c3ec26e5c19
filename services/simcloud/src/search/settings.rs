//! Settings: flat inside, flat or nested where they come in, nested where they go out.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{allocate, errors::Refused};

/// What is to be changed; none takes a setting back, and its name may have stars then.
pub type Patch = BTreeMap<String, Option<String>>;

/// What settings of a cluster begin with.
const KNOWN: &[&str] =
    &["cluster.", "indices.", "action.", "search.", "logger.", "discovery.", "ingest.", "xpack.", "plugins."];

/// Reads a body's settings, flat or nested.
pub fn read(body: &Value) -> Result<Patch, Refused> {
    let mut patch = Patch::new();
    match body {
        Value::Null => {}
        Value::Object(map) => collect("", map, &mut patch)?,
        _ => return Err(Refused::parsing("settings are no object")),
    }
    Ok(patch)
}

fn collect(prefix: &str, map: &Map<String, Value>, patch: &mut Patch) -> Result<(), Refused> {
    for (key, value) in map {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let text = match value {
            Value::Object(inner) => {
                collect(&path, inner, patch)?;
                continue;
            }
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                let texts =
                    texts.ok_or_else(|| Refused::argument(&format!("[{path}] is no list of texts")))?;
                Some(texts.join(","))
            }
        };
        patch.insert(path, text);
    }
    Ok(())
}

/// Refuses what no cluster has.
pub fn known<'a>(keys: impl Iterator<Item = &'a String>) -> Result<(), Refused> {
    for key in keys {
        if !KNOWN.iter().any(|known| key.starts_with(known)) {
            return Err(Refused::argument(&format!("persistent setting [{key}], not recognized")));
        }
    }
    Ok(())
}

/// Changes what is set.
pub fn apply(settings: &mut BTreeMap<String, String>, patch: &Patch) {
    for (key, value) in patch {
        match value {
            Some(value) => drop(settings.insert(key.clone(), value.clone())),
            None => settings.retain(|name, _| !allocate::matches(key, name)),
        }
    }
}

/// What a patch sets.
pub fn set(patch: &Patch) -> BTreeMap<String, String> {
    patch.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
}

/// As the API shows them.
pub fn nested(settings: &BTreeMap<String, String>) -> Value {
    let mut root = Map::new();
    for (key, value) in settings {
        let mut at = &mut root;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                at.insert(part.to_owned(), value.clone().into());
                break;
            }
            let inner = at.entry(part).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(map) = inner else { break };
            at = map;
        }
    }
    Value::Object(root)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_and_flat_are_the_same() {
        let flat = read(&json!({"cluster.routing.allocation.exclude._name": "a,b", "cluster.x": null}))
            .expect("read");
        let nested_body =
            json!({"cluster": {"routing": {"allocation": {"exclude": {"_name": "a,b"}}}, "x": null}});
        assert_eq!(read(&nested_body).expect("read"), flat);
        let mut settings = BTreeMap::from([("cluster.x".to_owned(), "1".to_owned())]);
        apply(&mut settings, &flat);
        let shown = json!({"cluster": {"routing": {"allocation": {"exclude": {"_name": "a,b"}}}}});
        assert_eq!(nested(&settings), shown);
        apply(&mut settings, &read(&json!({"cluster.routing.*": null})).expect("read"));
        assert!(settings.is_empty());
        assert!(known(flat.keys()).is_ok() && known([&"cluter.x".to_owned()].into_iter()).is_err());
        assert!(read(&json!([1])).is_err());
    }
}
