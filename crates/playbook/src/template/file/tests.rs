//! Files of text: what is filled in, what fails, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::cel::{Scope, check};
use crate::value::Type;

struct World;

impl Env for World {
    fn root(&self, name: &str) -> Option<Value> {
        let node = |name: &str| {
            Value::map([
                ("name", Value::str(name)),
                ("labels", Value::map([("role", Value::str("<&\"'>"))])),
                ("hot", Value::Bool(name == "a1")),
            ])
        };
        let nodes = || Value::List(Arc::new(vec![node("a1"), node("a2")]));
        let texts = ["x", "y"].map(Value::str);
        match name {
            "target" => Some(Value::map([("name", Value::str("es")), ("nodes", nodes())])),
            "vars" => Some(Value::map([
                ("hard", Value::Bool(true)),
                ("soft", Value::Bool(false)),
                ("size", Value::Int(3)),
                ("words", Value::List(Arc::new(texts.to_vec()))),
                ("none", Value::List(Arc::new(Vec::new()))),
            ])),
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

fn filled(text: &str) -> Result<String, String> {
    let file = File::parse("a.hbs", text).map_err(|error| format!("refused: {}", error.message))?;
    file.render(&World)
}

#[test]
fn it_is_filled_in_as_it_is() {
    let cases: &[(&str, &str)] = &[
        ("plain $HOME {a} } {", "plain $HOME {a} } {"),
        ("{{ target.name }}-{{vars.size}}", "es-3"),
        ("{{ target }}", "es"),
        ("{{#if vars.hard}}a{{else}}b{{/if}}{{#if vars.soft}}c{{else}}d{{/if}}", "ad"),
        ("{{#each target.nodes as |n|}}{{ n.name }}={{ n.labels.role }} {{/each}}", "a1=<&\"'> a2=<&\"'> "),
        (
            "{{#each target.nodes as |n|}}{{#if n.hot}}{{ n }} of {{ target.name }}{{/if}}{{/each}}",
            "a1 of es",
        ),
        (
            "{{#each vars.words as |w|}}{{#each vars.words as |v|}}{{ w }}{{ v }} {{/each}}{{/each}}",
            "xx xy yx yy ",
        ),
        ("{{#each vars.none as |n|}}{{ n }}{{else}}none{{/each}}", "none"),
        ("a{{! a {{ comment }}b{{!-- }} more --}}c", "abc"),
        ("a{{!-- {{ more }} --}}c", "ac"),
        ("docker ps --format '\\{{.Names}}' {{ target.name }}", "docker ps --format '{{.Names}}' es"),
        ("{{#if vars.hard}}\nyes\n{{/if}}\nend\n", "yes\nend\n"),
    ];
    for (text, wanted) in cases {
        assert_eq!(filled(text).as_deref(), Ok(*wanted), "{text}");
    }
}

#[test]
fn without_value_nothing_is_sent() {
    let cases: &[(&str, &str)] = &[
        ("{{ target.nope }}", "`target.nope`"),
        ("{{ nope }}", "`nope`"),
        ("{{#if target.nope}}a{{/if}}", "`target.nope`"),
        ("{{#if vars.soft}}{{else}}{{ nope }}{{/if}}", "`nope`"),
        ("{{#if target.name}}a{{/if}}", "neither true nor false"),
        ("{{#if vars.size}}a{{/if}}", "neither true nor false"),
        ("{{#each target.nope as |n|}}a{{/each}}", "`target.nope`"),
        ("{{#each target.name as |n|}}a{{/each}}", "no list"),
        ("{{#each target.nodes as |n|}}{{ n.nope }}{{/each}}", "`n.nope`"),
        ("{{#each target.nodes as |n|}}{{/each}}{{ n }}", "`n`"),
        ("{{#if vars.soft}}{{ nope }}{{/if}}", ""),
    ];
    for (text, wanted) in cases {
        match filled(text) {
            Err(why) => assert!(!wanted.is_empty() && why.contains(wanted), "{text}: {why}"),
            Ok(found) => assert_eq!((found.as_str(), *wanted), ("", ""), "{text}"),
        }
    }
}

#[test]
fn all_else_is_refused_where_it_stands() {
    let cases = [
        "{{{ target.name }}}",
        "{{& target.name }}",
        "{{> part }}",
        "{{* deco }}",
        "{{~ target.name }}",
        "{{ upper target.name }}",
        "{{ lookup target \"name\" }}",
        "{{ (len a) }}",
        "{{ 'a' }}",
        "{{ 7 }}",
        "{{ true }}",
        "{{ ../name }}",
        "{{ @root.name }}",
        "{{ this }}",
        "{{ this.name }}",
        "{{ ./name }}",
        "{{ a/b }}",
        "{{ a.[0] }}",
        "{{ a[0] }}",
        "{{ a-b }}",
        "{{ }}",
        "{{ target.name",
        "{{#with a}}b{{/with}}",
        "{{#unless a}}b{{/unless}}",
        "{{#if a}}b",
        "{{#if}}b{{/if}}",
        "{{#if a b}}c{{/if}}",
        "{{/if}}",
        "{{#if a}}b{{/each}}",
        "{{else}}",
        "{{#if a}}b{{else}}c{{else}}d{{/if}}",
        "{{#if a}}{{else if b}}{{/if}}",
        "{{#each a}}b{{/each}}",
        "{{#each a as |n i|}}b{{/each}}",
        "{{#each a as n}}b{{/each}}",
        "{{#each a as |n.m|}}b{{/each}}",
        "{{#each a as |this|}}b{{/each}}",
        "{{^if a}}b{{/if}}",
        "{{{{raw}}}}a{{{{/raw}}}}",
        "{{ log }} {{ a b }}",
        "{{ else.a }}",
        "{{#*inline \"a\"}}{{/inline}}",
    ];
    for text in cases {
        let text = format!("some\n{text}");
        let Err(error) = File::parse("a.hbs", &text) else { panic!("{text} is allowed") };
        assert!(error.range.start >= 5 && error.range.end <= text.len(), "{text}: {error:?}");
    }
    let deep = "{{#if a}}".repeat(5000);
    assert!(File::parse("a.hbs", &deep).is_err());
    assert!(File::parse("a.hbs", &"x".repeat(TEXT_MAX + 1)).is_err());
}

#[test]
fn every_path_is_shown_with_its_type_to_be() {
    let text = "{{ target.name }}\n{{#each target.nodes as |n|}}\n{{#if n.hot}}{{ n.nme }}{{/if}}\n{{/each}}";
    let spots = File::parse("a.hbs", text).expect("it is good").paths();
    let found: Vec<_> = spots.iter().map(|spot| (&text[spot.range.clone()], spot.wants)).collect();
    let wanted = [
        ("target.name", Wants::Text),
        ("target.nodes", Wants::List),
        ("n.hot", Wants::Bool),
        ("n.nme", Wants::Text),
    ];
    assert_eq!(found, wanted);
    let scope = Scope { roots: vec![("target".into(), Type::Object("group"))], ..Scope::default() };
    let (kind, problems) = check(&spots[1].expr, &scope);
    assert_eq!((kind, problems.len()), (Some(Type::List(Box::new(Type::Object("node")))), 0));
    let (_, problems) = check(&spots[3].expr, &scope);
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(problem.range.end <= spots[3].range.len(), "{problem:?}");
}

#[test]
fn it_is_bounded() {
    let wide = "{{#each vars.words as |a|}}".repeat(7) + &"y".repeat(900) + &"{{/each}}".repeat(7);
    assert!(filled(&wide).expect_err("too long").contains("longer than"));
}

proptest! {
    #[test]
    fn no_text_ends_the_process(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{{", "}}", "{", "}", "#if ", "#each ", " as |n|", "/if", "/each", "else", "!", "!--", "--", "\\", "~",
            "target", ".name", " ", "\n", "(", "[", "'", "\"", ">", "*", "&", "^", "@", "é", "n", "this", "{{ target }}",
            "{{#if vars.hard}}", "{{/if}}", "{{else}}",
        ]), 0..24),
    ) {
        let text = parts.concat();
        if let Ok(file) = File::parse("a.hbs", &text) {
            let _ = file.render(&World);
            for spot in file.paths() {
                prop_assert_eq!(&text[spot.range.clone()], spot.expr.text.as_str());
            }
        }
    }
}
