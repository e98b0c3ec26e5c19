//! What comes from outside never becomes code (RG308): alerts, events, results of steps, inputs of free text.

use super::judge::Judge;
use crate::{
    cel::{Kind, Scope, Tree},
    model::Playbook,
    template::{Part, Template},
    tree::Node,
    value::Type,
};

/// What may stand in code instead.
pub(super) const CODE_HINT: &str = "an input with `one_of`, or something of the inventory";

/// What an expression reads that comes from outside, in a word.
pub(super) fn outside(tree: &Tree, playbook: &Playbook, scope: &Scope) -> Option<String> {
    match &tree.kind {
        Kind::Name(name) => match name.as_str() {
            "alert" => Some("of an alert".to_owned()),
            "event" => Some("of an event".to_owned()),
            "steps" => Some("result of a step".to_owned()),
            name => {
                scope.outside.iter().any(|known| known == name).then(|| format!("`{name}`, from outside"))
            }
        },
        Kind::Field(object, field) => match &object.kind {
            Kind::Name(root) if root == "inputs" => free(playbook, field).then(|| format!("input `{field}`")),
            Kind::Field(steps, _) if is_steps(steps) => {
                let said = matches!(field.as_str(), "ok" | "failed" | "skipped");
                (!said).then(|| "result of a step".to_owned())
            }
            _ => outside(object, playbook, scope),
        },
        _ => tree.inner().into_iter().find_map(|inner| outside(inner, playbook, scope)),
    }
}

fn is_steps(tree: &Tree) -> bool {
    matches!(&tree.kind, Kind::Name(name) if name == "steps")
}

/// Whether an input may hold any text.
fn free(playbook: &Playbook, name: &str) -> bool {
    playbook.inputs.get(name).is_some_and(|input| {
        let text = match &input.kind {
            Type::List(item) => **item == Type::Str,
            kind => *kind == Type::Str,
        };
        text && input.one_of.is_empty()
    })
}

impl Judge<'_> {
    /// A template in code.
    pub(super) fn code(&mut self, template: &Template, name: &str, node: &Node, scope: &Scope) {
        for part in &template.parts {
            let Part::Path(expr, range) = part else { continue };
            let Some(what) = outside(&expr.tree, self.playbook, scope) else { continue };
            let at = self.at(crate::read::within(node, range));
            let label = format!("{what}, in `{name}`");
            self.findings.error(308, at, "untrusted text as code", label, CODE_HINT);
        }
    }
}
