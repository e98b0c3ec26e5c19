//! `actions:`: foreign actions, declared for playbooks that are checked before any runner has them.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{
    action::{Effect, ParamType},
    hash::h,
    id::is_token,
};
use serde_json::json;

use super::{kind::kind, shelf::Shelf};
use crate::{
    action::{Action, PARAM_WORDS, Param, ParamKind, TIMEOUT},
    diagnostic::{Findings, Place, nearest},
    keys,
    tree::{Kind, Node},
    value::Type,
    walk::Walk,
};

const EFFECTS: [(&str, Effect); 4] = [
    ("read", Effect::Read),
    ("idempotent", Effect::Idempotent),
    ("reconcilable", Effect::Reconcilable),
    ("at_most_once", Effect::AtMostOnce),
];

/// Where an action says what undoes it.
type Undone = (Arc<Action>, Place);

/// Reads every declaration into the shelf, then looks for what undoes each: it may be declared later.
pub(super) fn actions<'n>(
    documents: impl Iterator<Item = (usize, &'n Node)>,
    shelf: &mut Shelf,
    findings: &mut Findings,
) {
    let mut undone = Vec::new();
    for (file, document) in documents {
        let mut walk = Walk { file, findings: &mut *findings, shelf: &*shelf };
        let Some(fields) = walk.fields(document, "actions", keys::ACTIONS) else { continue };
        let entries = fields.get("actions").map(|node| walk.named(node, "actions")).unwrap_or_default();
        let mut read = Vec::new();
        for (name, value) in entries {
            let Some(action) = declaration(&mut walk, name, value).map(Arc::new) else { continue };
            if let Some(known) = walk.shelf.actions.get(&action.name) {
                let (label, hint) = if known.foreign {
                    ("declared already", "take one away")
                } else {
                    ("this build has it", "take it out, and use what is there")
                };
                walk.error(102, name, format!("action `{}` is there twice", action.name), label, hint);
                continue;
            }
            let place = value.get("undo").map(|node| walk.place(node.range.clone()));
            undone.extend(place.map(|place| (action.clone(), place)));
            read.push((action, walk.place(name.range.clone())));
        }
        for (action, place) in read {
            shelf.declared.insert(action.name.clone(), place);
            shelf.actions.insert(action.name.clone(), action);
        }
    }
    undone.iter().for_each(|undone| opposite(undone, shelf, findings));
}

fn declaration(walk: &mut Walk<'_>, name: &Node, value: &Node) -> Option<Action> {
    let fields = walk.fields(value, "action", keys::ACTION)?;
    let text = walk.plain(name, "action")?;
    if !(text.contains('.') && text.split('.').all(is_token)) {
        let label = "lower-case words joined by `.`, the provider first";
        walk.error(109, name, format!("bad name `{text}`"), label, "`provider.noun.verb`");
    }
    let doc = fields.get("description").and_then(|node| walk.plain(node, "description"));
    let effect = fields.get("effect").and_then(|node| walk.one_of(node, "effect", &EFFECTS));
    let mut flag = |key: &str| fields.get(key).and_then(|node| walk.bool(node, key));
    let (destructive, irreversible) = (flag("destructive"), flag("irreversible"));
    let params = fields.get("with").map(|node| params(walk, node)).unwrap_or_default();
    let result = fields.get("result").map(|node| result(walk, node));
    let undo = fields.get("undo").and_then(|node| walk.plain(node, "undo")).map(Arc::from);
    let timeout = fields.get("timeout").and_then(|node| walk.duration(node, "timeout"));
    let irreversible = irreversible.unwrap_or(false);
    if let (Some(node), true) = (fields.get("undo"), irreversible) {
        walk.error(203, node, "what is irreversible has no `undo`", "here", "take one of the two out");
    }
    let adds = fields.get("adds").and_then(|node| {
        let of = |name: &str| result.as_ref()?.get(name).map(|kind| *kind == Type::Object("node"));
        node_of(walk, node, "adds", "field of its `result`", of)
    });
    let removes = fields.get("removes").and_then(|node| {
        let is = |param: &Param| param.kind == ParamKind::Is(ParamType::Node);
        let of = |name: &str| params.iter().find(|param| *param.name == *name).map(is);
        node_of(walk, node, "removes", "parameter", of)
    });
    let mut action = Action {
        name: text.into(),
        doc: doc?.into(),
        params,
        effect: effect?,
        destructive: destructive?,
        irreversible,
        result,
        undo,
        adds,
        removes,
        timeout: timeout.unwrap_or(TIMEOUT),
        foreign: true,
        declared: "".into(),
    };
    action.declared = declared(&action).into();
    Some(action)
}

/// A name of something that must be a node: a field of the result, or a parameter.
fn node_of(
    walk: &mut Walk<'_>,
    node: &Node,
    key: &str,
    what: &str,
    is_node: impl Fn(&str) -> Option<bool>,
) -> Option<Arc<str>> {
    let name = walk.plain(node, key)?;
    match is_node(name) {
        Some(true) => return Some(name.into()),
        Some(false) => {
            walk.error(203, node, format!("`{key}` wants a node"), "of another type", "`type: node`");
        }
        None => {
            walk.error(
                205,
                node,
                format!("`{key}` names no {what}: `{name}`"),
                "not declared",
                "declare it too",
            );
        }
    }
    None
}

fn params(walk: &mut Walk<'_>, node: &Node) -> Vec<Param> {
    let entries = walk.identified(node, "with");
    entries.into_iter().filter_map(|(name, node)| param(walk, name, node)).collect()
}

fn param(walk: &mut Walk<'_>, name: &str, node: &Node) -> Option<Param> {
    let fields = walk.fields(node, "parameter", keys::PARAM)?;
    let kind = match (fields.get("type"), fields.get("one_of")) {
        (Some(node), None) => word(walk, node)?,
        (None, Some(node)) => ParamKind::OneOf(words(walk, node)?),
        (None, None) => {
            walk.missing(
                node,
                "key `type` is missing",
                "this parameter",
                "`type: text`, or `one_of: [a, b]`",
            );
            return None;
        }
        (Some(_), Some(node)) => {
            let hint = "keep the one that it is";
            walk.error(107, node, "two kinds in a parameter", "`type` and `one_of`", hint);
            return None;
        }
    };
    let optional = fields.get("optional").map_or(Some(false), |node| walk.bool(node, "optional"))?;
    let doc = fields.get("description").and_then(|node| walk.plain(node, "description"));
    Some(Param { name: name.into(), kind, required: !optional, doc: doc.unwrap_or_default().into() })
}

fn word(walk: &mut Walk<'_>, node: &Node) -> Option<ParamKind> {
    let words: Vec<(&str, &ParamKind)> = PARAM_WORDS.iter().map(|(word, kind)| (*word, kind)).collect();
    walk.one_of(node, "type", &words).cloned()
}

fn words(walk: &mut Walk<'_>, node: &Node) -> Option<Vec<Arc<str>>> {
    let items = walk.list(node, "one_of");
    let words: Vec<Arc<str>> =
        items.iter().filter_map(|node| walk.plain(node, "one_of")).map(Arc::from).collect();
    if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
        walk.error(203, node, "`one_of` wants a word at least", "empty", "name the words");
    }
    (!words.is_empty()).then_some(words)
}

fn result(walk: &mut Walk<'_>, node: &Node) -> BTreeMap<Arc<str>, Type> {
    let entries = walk.identified(node, "result");
    let more = [("json", Type::Json)];
    entries.into_iter().filter_map(|(name, node)| Some((name.into(), kind(walk, node, &more)?))).collect()
}

/// Hash over the whole declaration.
fn declared(action: &Action) -> String {
    let param = |param: &Param| {
        let kind = match &param.kind {
            ParamKind::OneOf(words) => json!(words),
            kind => PARAM_WORDS.iter().find(|(_, known)| known == kind).map(|(word, _)| *word).into(),
        };
        json!([param.name, kind, param.required, param.doc])
    };
    let result = action.result.as_ref().map(|result| {
        let fields = result.iter().map(|(name, kind)| json!([name, kind.to_string()]));
        fields.collect::<Vec<_>>()
    });
    let effect = EFFECTS.iter().find(|(_, effect)| *effect == action.effect).map(|(word, _)| *word);
    let whole = json!([
        action.name,
        action.doc,
        action.params.iter().map(param).collect::<Vec<_>>(),
        effect,
        action.destructive,
        action.irreversible,
        result,
        action.undo,
        action.adds,
        action.removes,
        action.timeout,
    ]);
    h(&[whole.to_string().as_bytes()])
}

/// What undoes an action exists, and every parameter that both have is of one type.
fn opposite((action, place): &Undone, shelf: &Shelf, findings: &mut Findings) {
    let Some(name) = &action.undo else { return };
    let Some(undo) = shelf.actions.get(name) else {
        let near = nearest(name, shelf.actions.keys().map(AsRef::as_ref));
        let hint = near.map_or_else(|| "declare it too".to_owned(), |near| format!("did you mean `{near}`?"));
        findings.error(201, place.clone(), format!("unknown action `{name}`"), "no such action", hint);
        return;
    };
    for wanted in &undo.params {
        let found = action.params.iter().find(|param| param.name == wanted.name);
        if found.is_none() && wanted.required {
            let message = format!("`{name}` can't undo this: it needs `{}`", wanted.name);
            let label = "no such parameter here";
            findings.error(108, place.clone(), message, label, "an undo takes the same parameters");
        }
        if found.is_some_and(|found| found.kind != wanted.kind) {
            let message = format!("`{name}` can't undo this: its `{}` is of another type", wanted.name);
            findings.error(203, place.clone(), message, "here", "an undo takes the same parameters");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ACTIONS, read};
    use crate::{
        action::{Action, ParamKind},
        value::Type,
    };

    const GOOD: &str = "description: d, effect: read, destructive: false";

    fn codes(entries: &str) -> Vec<(u16, String)> {
        let text = format!("apiVersion: regreen/v1\nactions:\n  {entries}\n");
        let (_, findings) = read(&[("a.yaml", &text)]);
        findings.list.into_iter().map(|finding| (finding.code, finding.message)).collect()
    }

    fn declared(entry: &str) -> Action {
        let text = format!("apiVersion: regreen/v1\nactions:\n  a.b: {{{entry}}}\n");
        let (draft, findings) = read(&[("a.yaml", &text)]);
        assert!(findings.list.is_empty(), "{}", findings.render(false));
        (*draft.actions["a.b"]).clone()
    }

    #[test]
    fn foreign_actions_stand_beside_those_of_this_build() {
        let (draft, findings) = read(&[("a.yaml", ACTIONS)]);
        assert!(findings.list.is_empty(), "{}", findings.render(false));
        for known in ["http.request", "notify.send", "endpoint.set"] {
            assert!(!draft.actions[known].foreign, "{known}");
        }
        let moving = &draft.actions["cloud.service.move"];
        assert!(moving.foreign && moving.irreversible && moving.undo.is_none());
        assert_eq!(moving.params.iter().map(|param| &*param.name).collect::<Vec<_>>(), ["service", "to"]);
        assert_eq!(moving.params[0].kind, ParamKind::Service);
        let result = moving.result.as_ref().expect("it is declared");
        assert_eq!(result["node"], Type::Object("node"));
        assert_eq!(result["ids"], Type::List(Box::new(Type::Str)));
        assert_eq!(result["raw"], Type::Json);
        assert!(draft.actions["cloud.node.stop"].result.is_none(), "what is not declared is not known");
    }

    #[test]
    fn the_hash_is_over_the_whole_declaration() {
        let entries = [
            GOOD.to_owned(),
            GOOD.replace("description: d", "description: e"),
            GOOD.replace("read", "idempotent"),
            GOOD.replace("destructive: false", "destructive: true"),
            format!("{GOOD}, irreversible: true"),
            format!("{GOOD}, timeout: 31s"),
            format!("{GOOD}, result: {{}}"),
            format!("{GOOD}, result: {{a: int}}"),
            format!("{GOOD}, undo: http.request, with: {{url: {{type: url}}}}"),
            format!("{GOOD}, result: {{a: node}}"),
            format!("{GOOD}, result: {{a: node}}, adds: a"),
            format!("{GOOD}, with: {{a: {{type: node}}}}"),
            format!("{GOOD}, with: {{a: {{type: node}}}}, removes: a"),
            format!("{GOOD}, with: {{url: {{type: url}}}}"),
            format!("{GOOD}, with: {{url: {{type: text}}}}"),
            format!("{GOOD}, with: {{url: {{one_of: [text]}}}}"),
            format!("{GOOD}, with: {{url: {{type: text, optional: true}}}}"),
            format!("{GOOD}, with: {{url: {{type: text, description: d}}}}"),
        ];
        let mut hashes: Vec<_> = entries.iter().map(|entry| declared(entry).declared).collect();
        assert_eq!(hashes[0], declared(GOOD).declared);
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), entries.len());
    }

    #[test]
    fn a_playbook_uses_what_a_later_file_declares() {
        let playbook = "apiVersion: regreen/v1\nplaybook: p\nsteps: [{id: a, use: cloud.node.start, with: {node: a1}}]\n";
        let (_, findings) = read(&[("a.yaml", playbook), ("b.yaml", ACTIONS)]);
        assert!(findings.list.is_empty(), "{}", findings.render(false));
    }

    #[test]
    fn each_slip_is_told() {
        let cases: &[(&str, u16, &str)] = &[
            ("http.request: {GOOD}", 102, "action `http.request`"),
            ("a.b: {GOOD}\n---\napiVersion: regreen/v1\nactions:\n  a.b: {GOOD}", 102, "action `a.b`"),
            ("ab: {GOOD}", 109, "bad name `ab`"),
            ("A.b: {GOOD}", 109, "bad name `A.b`"),
            ("a.b: {description: d, effect: read}", 108, "key `destructive`"),
            ("a.b: {description: d, effect: tell, destructive: false}", 203, "`effect` wants one of"),
            ("a.b: {description: d, effect: read, destructive: perhaps}", 203, "`destructive` wants one of"),
            ("a.b: {GOOD, retries: 3}", 101, "unknown key `retries`"),
            ("a.b: {GOOD, with: {x: {}}}", 108, "key `type`"),
            ("a.b: {GOOD, with: {x: {type: string}}}", 203, "`type` wants one of"),
            ("a.b: {GOOD, with: {x: {type: int, one_of: [a]}}}", 107, "two kinds in a parameter"),
            ("a.b: {GOOD, with: {x: {one_of: []}}}", 203, "a word at least"),
            ("a.b: {GOOD, with: {x-y: {type: int}}}", 109, "bad name `x-y`"),
            ("a.b: {GOOD, result: {x: text}}", 203, "`type` wants one of"),
            ("a.b: {GOOD, adds: x}", 205, "`adds` names no field of its `result`: `x`"),
            ("a.b: {GOOD, result: {x: string}, adds: x}", 203, "`adds` wants a node"),
            ("a.b: {GOOD, removes: x}", 205, "`removes` names no parameter: `x`"),
            ("a.b: {GOOD, with: {x: {type: group}}, removes: x}", 203, "`removes` wants a node"),
            ("a.b: {GOOD, undo: a.c}", 201, "unknown action `a.c`"),
            ("a.b: {GOOD, undo: notify.send}", 108, "needs `text`"),
            ("a.b: {GOOD, undo: http.request, with: {url: {type: text}}}", 203, "`url` is of another type"),
            ("a.b: {GOOD, undo: a.b, irreversible: true}", 203, "irreversible"),
        ];
        let mut wrong = Vec::new();
        for (entries, code, words) in cases {
            let found = codes(&entries.replace("GOOD", GOOD));
            if !found.iter().any(|(found, message)| found == code && message.contains(words)) {
                wrong.push(format!("{entries}: not {code} with `{words}`, {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
