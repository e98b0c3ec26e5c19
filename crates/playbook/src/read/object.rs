//! Parameters that are objects of the inventory: by a path, or by name.

use std::sync::Arc;

use regreen_schemas::action::ParamType;

use super::template;
use crate::{action::ParamKind, model::Subject, template::Template, tree::Node, walk::Walk};

/// How an object that is named is meant.
pub(super) type Named = fn(Arc<str>) -> Subject;

/// Whether a parameter is an object, and which.
pub(super) fn kind(kind: &ParamKind) -> Option<Named> {
    match kind {
        ParamKind::Is(ParamType::Node) => Some(Subject::Node),
        ParamKind::Is(ParamType::Group) => Some(Subject::Group),
        ParamKind::Service => Some(Subject::Service),
        _ => None,
    }
}

pub(super) fn subject(walk: &mut Walk<'_>, node: &Node, named: Named) -> Option<Subject> {
    let template: Template = template(walk, node, "an object of the inventory")?;
    Some(match template.constant() {
        None => Subject::Path(template),
        Some(name) => named(name.into()),
    })
}
