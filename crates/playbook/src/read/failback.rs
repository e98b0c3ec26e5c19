//! What comes beside a playbook's steps: `failback:`, `drill:`, `outputs:`.

use regreen_schemas::{PlaybookName, Span};

use super::{expression, guard};
use crate::{
    keys,
    model::{Approval, Drill, Failback, Output},
    tree::Node,
    walk::Walk,
};

/// Most documents that a drill may lose.
const RPO_MAX: u32 = 1_000_000_000;

pub(super) fn failback(walk: &mut Walk<'_>, node: &Node) -> Option<Failback> {
    let fields = walk.fields(node, "failback", keys::FAILBACK)?;
    let run = fields.get("run").and_then(|node| walk.name(node, "run")).map(PlaybookName::from);
    let when = fields.get("when").and_then(|node| expression(walk, node, "when"));
    let hold: Option<Span> = fields.get("for").and_then(|node| walk.duration(node, "for"));
    let approval = fields.get("approval").and_then(|node| asked(walk, node));
    Some(Failback { run: run?, when: when?, hold: hold?, approval: approval? })
}

/// Nobody is only asked where `none` is written out.
fn asked(walk: &mut Walk<'_>, node: &Node) -> Option<Option<Approval>> {
    match node.text() {
        Some("none") => Some(None),
        _ => guard::approval(walk, node, "approval", keys::APPROVAL).map(Some),
    }
}

pub(super) fn drill(walk: &mut Walk<'_>, node: &Node) -> Option<Drill> {
    let fields = walk.fields(node, "drill", keys::DRILL)?;
    let of = PlaybookName::from(fields.get("of").and_then(|node| walk.name(node, "of"))?);
    let rto = fields.get("rto").and_then(|node| walk.duration(node, "rto"));
    let rpo = fields.get("rpo").and_then(|node| walk.int(node, "rpo", 0..=RPO_MAX));
    let canary = fields.get("canary").and_then(|node| walk.plain(node, "canary")).map(Into::into);
    Some(Drill { of, rto, rpo, canary })
}

pub(super) fn outputs(walk: &mut Walk<'_>, node: &Node) -> Vec<Output> {
    let entries = walk.identified(node, "outputs");
    let output = |(name, node): (&str, &Node)| {
        Some(Output { name: name.into(), value: expression(walk, node, "outputs")? })
    };
    entries.into_iter().filter_map(output).collect()
}
