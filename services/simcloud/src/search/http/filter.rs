//! `filter_path`: of an answer only what is asked for, or all but that.

use serde_json::{Map, Value};

use crate::search::allocate::matches;

/// Keeps what the comma list of paths names; with `-`, drops it.
pub fn filter(value: &Value, paths: &str) -> Value {
    let paths = paths.split(',').map(str::trim).filter(|path| !path.is_empty());
    let (drop, keep): (Vec<&str>, Vec<&str>) = paths.partition(|path| path.starts_with('-'));
    let split = |path: &&str| path.trim_start_matches('-').split('.').map(str::to_owned).collect::<Vec<_>>();
    let keep: Vec<Vec<String>> = keep.iter().map(split).collect();
    let kept = if keep.is_empty() { Some(value.clone()) } else { pick(value, &keep) };
    let mut kept = kept.unwrap_or_else(|| Value::Object(Map::new()));
    for path in drop.iter().map(split) {
        cut(&mut kept, &path);
    }
    kept
}

fn pick(value: &Value, paths: &[Vec<String>]) -> Option<Value> {
    if paths.iter().any(Vec::is_empty) {
        return Some(value.clone());
    }
    match value {
        Value::Object(map) => {
            let picked = map.iter().filter_map(|(key, inner)| {
                let rest: Vec<Vec<String>> = paths.iter().flat_map(|path| behind(path, key)).collect();
                Some((key.clone(), if rest.is_empty() { None } else { pick(inner, &rest) }?))
            });
            let picked: Map<String, Value> = picked.collect();
            (!picked.is_empty()).then_some(Value::Object(picked))
        }
        Value::Array(items) => {
            let picked: Vec<Value> = items.iter().filter_map(|item| pick(item, paths)).collect();
            (!picked.is_empty()).then_some(Value::Array(picked))
        }
        _ => None,
    }
}

/// What is left of a path behind a key: `**` may stand for more of them.
fn behind(path: &[String], key: &str) -> Vec<Vec<String>> {
    match path {
        [first, rest @ ..] if first == "**" => {
            let mut left = behind(rest, key);
            left.push(path.to_vec());
            left
        }
        [first, rest @ ..] if matches(first, key) => vec![rest.to_vec()],
        _ => Vec::new(),
    }
}

fn cut(value: &mut Value, path: &[String]) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !behind(path, key).iter().any(Vec::is_empty));
            for (key, inner) in map.iter_mut() {
                for rest in behind(path, key) {
                    cut(inner, &rest);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| cut(item, path)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn paths_pick_and_drop() {
        let value = json!({"a": {"b": {"c": 1, "d": 2}}, "n": {"x": {"name": "p", "z": 1}, "y": {"name": "q"}}, "l": [{"c": 1}, {"d": 2}]});
        let table = [
            ("a.b.c", json!({"a": {"b": {"c": 1}}})),
            ("n.*.name", json!({"n": {"x": {"name": "p"}, "y": {"name": "q"}}})),
            ("a", json!({"a": {"b": {"c": 1, "d": 2}}})),
            ("**.c", json!({"a": {"b": {"c": 1}}, "l": [{"c": 1}]})),
            ("a.b.d,n.x.z", json!({"a": {"b": {"d": 2}}, "n": {"x": {"z": 1}}})),
            ("none", json!({})),
            ("-n,-l,-a.b.c", json!({"a": {"b": {"d": 2}}})),
        ];
        for (paths, expected) in table {
            assert_eq!(super::filter(&value, paths), expected, "{paths}");
        }
    }
}
