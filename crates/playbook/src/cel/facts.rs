//! What an expression's truth says about steps and labels, and what literals alone make of it.

use super::{Binary, Kind, Tree, Unary};
use crate::value::Value;

/// Something that is known to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// This step went well: its result is there.
    Ok(String),
    /// The alert has this label.
    Label(String),
}

/// What must be so when the expression is true, or false.
#[must_use]
pub fn facts(tree: &Tree, truth: bool) -> Vec<Fact> {
    match &tree.kind {
        Kind::Unary(Unary::Not, inner) => facts(inner, !truth),
        Kind::Binary(operator @ (Binary::And | Binary::Or), left, right) => {
            let (mut left, right) = (facts(left, truth), facts(right, truth));
            if truth == (*operator == Binary::And) {
                left.extend(right);
            } else {
                left.retain(|fact| right.contains(fact));
            }
            left
        }
        Kind::Field(step, field) if truth && field == "ok" => match &step.kind {
            Kind::Field(steps, id) if is_name(steps, "steps") => vec![Fact::Ok(id.clone())],
            _ => Vec::new(),
        },
        Kind::Has(object, label) if truth && is_labels(object) => vec![Fact::Label(label.clone())],
        _ => Vec::new(),
    }
}

/// What it is always, by its literals alone.
#[must_use]
pub fn constant(tree: &Tree) -> Option<bool> {
    match &tree.kind {
        Kind::Literal(Value::Bool(value)) => Some(*value),
        Kind::Unary(Unary::Not, inner) => constant(inner).map(|value| !value),
        Kind::Binary(operator @ (Binary::And | Binary::Or), left, right) => {
            let decisive = *operator == Binary::Or;
            match (constant(left), constant(right)) {
                (Some(value), _) | (_, Some(value)) if value == decisive => Some(decisive),
                (Some(_), Some(_)) => Some(!decisive),
                _ => None,
            }
        }
        Kind::Binary(operator @ (Binary::Eq | Binary::Ne), left, right) => match (&left.kind, &right.kind) {
            (Kind::Literal(a), Kind::Literal(b)) => Some((a == b) == (*operator == Binary::Eq)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether this is `alert.labels`.
pub(super) fn is_labels(tree: &Tree) -> bool {
    matches!(&tree.kind, Kind::Field(alert, field) if field == "labels" && is_name(alert, "alert"))
}

fn is_name(tree: &Tree, wanted: &str) -> bool {
    matches!(&tree.kind, Kind::Name(name) if name == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, truth: bool) -> Vec<String> {
        let fact = |fact: Fact| match fact {
            Fact::Ok(name) | Fact::Label(name) => name,
        };
        facts(&super::super::parse(text).expect(text).tree, truth).into_iter().map(fact).collect()
    }

    #[test]
    fn what_truth_says() {
        for (text, truth, wanted) in [
            ("steps.a.ok", true, &["a"][..]),
            ("steps.a.ok", false, &[]),
            ("steps.a.ok && has(alert.labels.b)", true, &["a", "b"]),
            ("steps.a.ok && steps.b.ok", false, &[]),
            ("steps.a.ok || steps.b.ok", true, &[]),
            ("steps.a.ok && up(\"x\") || steps.a.ok", true, &["a"]),
            ("!steps.a.ok || down(\"x\")", false, &["a"]),
            ("steps.a.failed", true, &[]),
        ] {
            assert_eq!(found(text, truth), wanted, "{text} {truth}");
        }
    }

    #[test]
    fn what_literals_say() {
        for (text, wanted) in [
            ("false", Some(false)),
            ("!false", Some(true)),
            ("up(\"x\") && false", Some(false)),
            ("up(\"x\") || false", None),
            ("1 == 2", Some(false)),
            ("1 != 2", Some(true)),
        ] {
            assert_eq!(constant(&super::super::parse(text).expect(text).tree), wanted, "{text}");
        }
    }
}
