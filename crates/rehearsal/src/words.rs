//! Words for people: values as YAML writes them, moments as they stand in a timeline, runs by their number.

use regreen_schemas::{RunId, Span, Timestamp};
use serde_json::Value;

/// Length of a moment as `Timestamp` prints it: `2030-01-01T00:00:00.000Z`.
const MOMENT: usize = 24;
/// What stands at each place of a moment; `d` is a digit.
const PATTERN: &[u8; MOMENT] = b"dddd-dd-ddTdd:dd:dd.dddZ";

/// Text of the decider, with runs by number and moments as of the case's start.
pub(crate) fn clean(text: &str, start: Timestamp, runs: &[RunId]) -> String {
    let mut text = text.to_owned();
    for (nth, run) in (1..).zip(runs) {
        text = text.replace(run.as_str(), &format!("{nth}"));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if let Some(moment) = rest.get(..MOMENT).and_then(moment) {
            out.push_str(&since(start, moment));
            rest = &rest[MOMENT..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// A moment as of the start.
pub(crate) fn since(start: Timestamp, at: Timestamp) -> String {
    let span = at - start;
    if span < Span::ZERO { format!("-{}", Span(-span.0)) } else { span.to_string() }
}

/// Reads what `Timestamp` prints; days from dates by Howard Hinnant's `days_from_civil`.
fn moment(text: &str) -> Option<Timestamp> {
    let fits =
        |(byte, wanted): (u8, &u8)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == *wanted };
    if !text.bytes().zip(PATTERN).all(fits) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    Some(Timestamp((days * 86_400 + seconds) * 1000 + number(20..23)?))
}

/// A value as YAML writes it in a line. An object of the inventory is its name.
pub(crate) fn yaml(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Object(map) => match named(value) {
            Some(name) => scalar(name),
            None => {
                let entries = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), yaml(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        },
        Value::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The name of what is an object of the inventory.
fn named(value: &Value) -> Option<&str> {
    let map = value.as_object().filter(|map| map.contains_key("labels"))?;
    map.get("name")?.as_str()
}

fn scalar(text: &str) -> String {
    let starts = text.chars().next().is_some_and(|c| c.is_alphanumeric() || "/._".contains(c));
    let read_else = serde_json::from_str::<Value>(text).is_ok() || matches!(text, "~" | "" | "null");
    let within = text.chars().any(|c| ",[]{}\"\n\t".contains(c));
    let plain = starts && !read_else && !within && !text.contains(": ") && !text.contains(" #");
    if plain && !text.ends_with(':') && !text.ends_with(' ') {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// Whether what was found is what a test wants: maps may hold more, objects of the inventory go by their name, and text
/// stands for every simple value.
pub(crate) fn agrees(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| agrees(wanted, found)))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(wanted, found)| agrees(wanted, found))
        }
        (wanted, found) => wanted == found || text_of(wanted) == text_of(found),
    }
}

/// A simple value, or an object of the inventory, as text.
fn text_of(value: &Value) -> String {
    named(value).or_else(|| value.as_str()).map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_read_as_they_are_printed() {
        for millis in [0, 951_782_400_001, 1_893_456_000_000, 1_795_175_123_297] {
            let at = Timestamp(millis);
            assert_eq!(moment(&at.to_string()), Some(at));
        }
        let text = clean(
            "until 2030-01-01T00:00:30.000Z (run ab)",
            Timestamp(1_893_456_000_000),
            &[RunId::from("ab")],
        );
        assert_eq!(text, "until 30s (run 1)");
    }

    #[test]
    fn values_are_written_as_yaml() {
        for (value, text) in [
            (json!({"node": {"name": "a2", "labels": {}}}), "{node: a2}"),
            (json!("a: b"), "\"a: b\""),
            (json!("5"), "\"5\""),
            (json!([1, true, null, "x"]), "[1, true, null, x]"),
            (json!("http://a/b"), "http://a/b"),
        ] {
            assert_eq!(yaml(&value), text);
        }
    }

    #[test]
    fn what_is_wanted_may_say_less() {
        for (wanted, found, agree) in [
            (json!("a2"), json!({"name": "a2", "labels": {}, "id": "7"}), true),
            (json!({"a": 1}), json!({"a": 1, "b": 2}), true),
            (json!({"a": 1, "b": 2}), json!({"a": 1}), false),
            (json!("30"), json!(30), true),
            (json!(30), json!("30"), true),
            (json!([1]), json!([1, 2]), false),
        ] {
            assert_eq!(agrees(&wanted, &found), agree, "{wanted} {found}");
        }
    }
}
