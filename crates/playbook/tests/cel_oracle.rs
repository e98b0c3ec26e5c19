//! Our subset of CEL against the `cel` crate: generated expressions must give the same value, or both none.

use cel::{Context, Program, Value as Theirs};
use proptest::{prelude::*, test_runner::Config};
use regreen_playbook::{
    cel::{Env, eval, parse},
    value::Value,
};
use regreen_schemas::check::Status;

struct Fixed;

impl Env for Fixed {
    fn root(&self, name: &str) -> Option<Value> {
        match name {
            "a" => Some(Value::Int(7)),
            "b" => Some(Value::str("text")),
            "c" => Some(Value::map([("x", Value::Int(1)), ("y", Value::str("why"))])),
            "l" => Some(Value::List(vec![Value::Int(1), Value::Int(2), Value::Int(3)].into())),
            _ => None,
        }
    }
    fn verdict(&self, _: &str) -> Status {
        Status::Unknown
    }
    fn group(&self, _: &str) -> Option<Value> {
        None
    }
}

fn ours(text: &str) -> Option<serde_json::Value> {
    eval(&parse(text).expect("generated text is well-formed"), &Fixed, &mut Vec::new())
        .ok()
        .map(|value| value.to_json())
}

fn theirs(text: &str) -> Option<serde_json::Value> {
    let mut context = Context::default();
    context.add_variable_from_value("a", 7_i64);
    context.add_variable_from_value("b", "text");
    context.add_variable_from_value(
        "c",
        std::collections::HashMap::from([("x", Theirs::from(1_i64)), ("y", Theirs::from("why"))]),
    );
    context.add_variable_from_value("l", vec![1_i64, 2, 3]);
    Some(match Program::compile(text).expect("well-formed").execute(&context).ok()? {
        Theirs::Bool(b) => b.into(),
        Theirs::Int(n) => n.into(),
        Theirs::String(s) => s.as_str().into(),
        _ => return Some(serde_json::Value::Null),
    })
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (0..20_i64).prop_map(|n| n.to_string()),
        Just("a".into()),
        Just("c.x".into()),
        Just("c.nope".into()),
        Just("size(b)".into()),
        Just("l[1]".into()),
        Just("l[9]".into())
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), prop_oneof![Just("+"), Just("-"), Just("*"), Just("/"), Just("%")], inner)
            .prop_map(|(l, o, r)| format!("({l} {o} {r})"))
    })
}

fn truth() -> impl Strategy<Value = String> {
    let compare = (
        number(),
        prop_oneof![Just("=="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")],
        number(),
    )
        .prop_map(|(l, o, r)| format!("{l} {o} {r}"));
    let leaf = prop_oneof![
        compare,
        Just("true".into()),
        Just("false".into()),
        Just("b.startsWith(\"te\")".into()),
        Just("c.y == \"why\"".into()),
        Just("has(c.x)".into()),
        Just("has(c.nope)".into()),
        Just("2 in l".into()),
        number().prop_map(|n| format!("l.exists(i, i == {n})")),
        number().prop_map(|n| format!("l.all(i, i < {n})")),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("({l} && {r})")),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("({l} || {r})")),
            inner.clone().prop_map(|i| format!("!({i})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(c, y, n)| format!("({c} ? {y} : {n})")),
        ]
    })
}

proptest! {
    #![proptest_config(Config { cases: 4000, failure_persistence: None, ..Config::default() })]
    #[test]
    fn the_same_value_or_none(text in truth()) {
        prop_assume!(parse(&text).is_ok());
        prop_assert_eq!(ours(&text), theirs(&text), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-c0-9.()\\[\\]!&|<>=+\"', ?:-]{0,200}") {
        if let Ok(expr) = parse(&text) {
            let _ = eval(&expr, &Fixed, &mut Vec::new());
        }
    }
}

#[test]
fn unknown_wins_over_failure_and_is_never_true() {
    use regreen_playbook::cel::Stop;
    for (text, unknown) in [
        ("up(\"x\")", true),
        ("!up(\"x\")", true),
        ("up(\"x\") && nope", true),
        ("nope || down(\"x\")", true),
        ("up(\"x\") || true", false),
        ("up(\"x\") && false", false),
        ("known(\"x\")", false),
    ] {
        let found = eval(&parse(text).expect("well-formed"), &Fixed, &mut Vec::new());
        assert_eq!(matches!(found, Err(Stop::Unknown(_))), unknown, "{text}: {found:?}");
    }
}
