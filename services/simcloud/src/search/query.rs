//! Searches: as much of the language as canaries and drills need; anything else is refused, never guessed.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{documents::Document, errors::Refused};

/// Hits where a search does not say how many.
const SIZE: usize = 10;

/// A search's body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    query: Option<Value>,
    sort: Option<Value>,
    size: Option<usize>,
    from: usize,
    #[serde(rename = "_source")]
    source: Option<Value>,
    track_total_hits: Option<Value>,
}

/// A count's body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Count {
    pub query: Option<Value>,
}

/// By what, and whether the greatest comes first.
type Order = Vec<(String, bool)>;

/// Finds what a search asks for, in documents of several indices: the `hits` of the answer.
pub fn find<'a>(
    search: &Search,
    documents: impl Iterator<Item = (&'a str, &'a String, &'a Document)>,
) -> Result<Value, Refused> {
    let order = order(search.sort.as_ref())?;
    let mut found = Vec::new();
    for (index, id, document) in documents {
        if matches(search.query.as_ref(), id, &document.source)? {
            let keys: Vec<Value> = order.iter().map(|(field, desc)| key(document, field, *desc)).collect();
            found.push((index, id, document, keys));
        }
    }
    found.sort_by(|(.., a), (.., b)| {
        let each = order.iter().zip(a.iter().zip(b)).map(|((_, desc), (a, b))| {
            let ordering = compare(a, b);
            if *desc { ordering.reverse() } else { ordering }
        });
        each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    let total = found.len();
    let show_source = search.source.as_ref() != Some(&Value::Bool(false));
    let hits: Vec<Value> = found
        .into_iter()
        .skip(search.from)
        .take(search.size.unwrap_or(SIZE))
        .map(|(index, id, document, keys)| {
            let score = if order.is_empty() { json!(1.0) } else { Value::Null };
            let mut hit = json!({"_index": index, "_id": id, "_score": score});
            if show_source {
                hit["_source"] = document.source.clone();
            }
            if !order.is_empty() {
                hit["sort"] = keys.into();
            }
            hit
        })
        .collect();
    let mut answer = json!({"max_score": if order.is_empty() && total > 0 { json!(1.0) } else { Value::Null }, "hits": hits});
    if search.track_total_hits != Some(Value::Bool(false)) {
        answer["total"] = json!({"value": total, "relation": "eq"});
    }
    Ok(answer)
}

/// `"field"`, `{"field": "desc"}`, `{"field": {"order": "desc", …}}`, or a list of them.
fn order(sort: Option<&Value>) -> Result<Order, Refused> {
    let wrong = || Refused::parsing("this sort is not understood here: fields with an order are");
    let items = match sort {
        None => return Ok(Order::new()),
        Some(Value::Array(items)) => items.clone(),
        Some(one) => vec![one.clone()],
    };
    let one = |item: &Value| {
        if let Value::String(text) = item {
            return Ok(match text.split_once(':') {
                Some((field, way)) => (field.to_owned(), way == "desc"),
                None => (text.clone(), false),
            });
        }
        let (field, how) = single(item).ok_or_else(wrong)?;
        let way = how.get("order").unwrap_or(how).as_str();
        Ok((field.clone(), way == Some("desc")))
    };
    items.iter().map(one).collect()
}

fn single(value: &Value) -> Option<(&String, &Value)> {
    let map = value.as_object()?;
    if map.len() == 1 { map.iter().next() } else { None }
}

/// What a document is sorted by: numbers, dates as milliseconds, texts. Without the field it comes last.
fn key(document: &Document, field: &str, desc: bool) -> Value {
    match field_of(&document.source, field) {
        Some(Value::String(text)) => date(text).map_or_else(|| text.as_str().into(), Value::from),
        Some(value @ Value::Number(_)) => value.clone(),
        _ => json!(if desc { i64::MIN } else { i64::MAX }),
    }
}

fn field_of<'a>(source: &'a Value, field: &str) -> Option<&'a Value> {
    source.get(field).or_else(|| field.split('.').try_fold(source, |at, part| at.get(part)))
}

fn date(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|date| date.timestamp_millis())
}

/// Numbers and dates before texts.
fn compare(a: &Value, b: &Value) -> std::cmp::Ordering {
    let number = |value: &Value| match value {
        Value::String(text) => date(text).map(|millis| millis as f64),
        other => other.as_f64(),
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.as_str().cmp(&b.as_str()),
    }
}

/// Whether a document is meant.
pub fn matches(query: Option<&Value>, id: &str, source: &Value) -> Result<bool, Refused> {
    let Some(query) = query else { return Ok(true) };
    let (kind, body) = single(query).ok_or_else(|| Refused::parsing("a query has one kind"))?;
    match kind.as_str() {
        "match_all" => Ok(true),
        "ids" => Ok(list(body.get("values")).iter().any(|value| *value == id)),
        "term" | "terms" | "range" => {
            let (field, wanted) = single(body).ok_or_else(|| Refused::parsing("one field is wanted"))?;
            let found = field_of(source, field);
            Ok(found.is_some_and(|found| holds(kind, found, wanted)))
        }
        "exists" => Ok(body["field"].as_str().and_then(|field| field_of(source, field)).is_some()),
        "bool" => all_of(body, id, source),
        other => Err(Refused::parsing(&format!("unknown query [{other}]"))),
    }
}

fn holds(kind: &str, found: &Value, wanted: &Value) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match kind {
        "term" => compare(found, wanted.get("value").unwrap_or(wanted)) == Equal,
        "terms" => list(Some(wanted)).into_iter().any(|one| compare(found, one) == Equal),
        _ => {
            let bounds: [(&str, &[std::cmp::Ordering]); 4] =
                [("gt", &[Greater]), ("gte", &[Greater, Equal]), ("lt", &[Less]), ("lte", &[Less, Equal])];
            bounds.iter().all(|(name, fine)| {
                wanted.get(name).is_none_or(|bound| fine.contains(&compare(found, bound)))
            })
        }
    }
}

fn all_of(body: &Value, id: &str, source: &Value) -> Result<bool, Refused> {
    let empty = Map::new();
    for (clause, queries) in body.as_object().unwrap_or(&empty) {
        let wanted = match clause.as_str() {
            "must" | "filter" => true,
            "must_not" => false,
            other => {
                return Err(Refused::parsing(&format!("[bool] clause [{other}] is not understood here")));
            }
        };
        for query in list(Some(queries)) {
            if matches(Some(query), id, source)? != wanted {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// A list, or one as a list.
fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(body: &Value) -> Result<(Vec<String>, Value), String> {
        let sources = [
            ("a", json!({"n": 1, "@timestamp": "2026-11-22T04:00:00Z", "who": {"name": "x"}})),
            ("b", json!({"n": 3, "@timestamp": "2026-11-22T04:00:02+00:00"})),
            ("c", json!({"n": 2, "@timestamp": 1_795_320_001_000_i64})),
            ("d", json!({"other": true})),
        ];
        let documents: Vec<(String, Document)> = sources
            .into_iter()
            .map(|(id, source)| (id.to_owned(), Document { version: 1, seq: 0, term: 1, source }))
            .collect();
        let search: Search = serde_json::from_value(body.clone()).map_err(|error| error.to_string())?;
        let hits = find(&search, documents.iter().map(|(id, document)| ("i", id, document)))
            .map_err(|refused| refused.reason.unwrap_or_default())?;
        let ids = hits["hits"]
            .as_array()
            .expect("hits")
            .iter()
            .map(|hit| hit["_id"].as_str().expect("an id").into());
        Ok((ids.collect(), hits))
    }

    #[test]
    fn what_is_asked_for_is_found_in_its_order() {
        let newest = json!([{"@timestamp": {"order": "desc", "numeric_type": "date"}}]);
        let table = [
            (json!({}), "a b c d"),
            (json!({"sort": newest, "size": 1, "_source": false, "track_total_hits": false}), "b"),
            (json!({"sort": newest}), "b c a d"),
            (json!({"sort": ["n"], "from": 1, "size": 2}), "c b"),
            (json!({"sort": {"n": "desc"}}), "b c a d"),
            (json!({"query": {"match_all": {}}, "size": 0}), ""),
            (json!({"query": {"ids": {"values": ["a", "z"]}}}), "a"),
            (json!({"query": {"term": {"who.name": "x"}}}), "a"),
            (json!({"query": {"terms": {"n": [1, 2]}}}), "a c"),
            (json!({"query": {"range": {"n": {"gte": 2, "lt": 3}}}}), "c"),
            (json!({"query": {"range": {"@timestamp": {"gt": "2026-11-22T04:00:01Z"}}}}), "b"),
            (
                json!({"query": {"bool": {"must": [{"exists": {"field": "n"}}], "must_not": {"term": {"n": 1}}}}}),
                "b c",
            ),
        ];
        for (body, expected) in table {
            assert_eq!(search(&body).expect("found").0.join(" "), expected, "{body}");
        }
        let (_, hits) =
            search(&json!({"sort": newest, "size": 1, "_source": false, "track_total_hits": false}))
                .expect("found");
        assert_eq!(hits["hits"][0]["sort"], json!([1_795_320_002_000_i64]));
        assert!(hits.get("total").is_none() && hits["hits"][0].get("_source").is_none());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for body in [
            json!({"aggs": {}}),
            json!({"query": {"match": {"a": "b"}}}),
            json!({"query": {}}),
            json!({"sort": [{}]}),
        ] {
            assert!(search(&body).is_err(), "{body}");
        }
    }
}
