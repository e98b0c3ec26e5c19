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

#[cfg(test)]
mod tests {
    use regreen_schemas::Span;

    use super::super::tests::{each_is_told, good};

    #[test]
    fn they_are_read_as_written() {
        let playbook = good(
            r#"outputs: {node: steps.pause.ok, all: now}
failback: {run: back, when: up("es-cluster/es-a"), for: 10m, approval: {by: sre, within: 1d}}
drill: {of: lost, rto: 10m, rpo: 0, canary: canary}"#,
        );
        let names: Vec<_> = playbook.outputs.iter().map(|output| &*output.name).collect();
        assert_eq!(names, ["node", "all"]);
        let failback = playbook.failback.expect("it is there");
        assert_eq!((failback.run.as_str(), failback.hold), ("back", Span::minutes(10)));
        assert_eq!(failback.approval.map(|asked| asked.within), Some(Span::minutes(24 * 60)));
        let drill = playbook.drill.expect("it is there");
        assert_eq!((drill.rto, drill.rpo), (Some(Span::minutes(10)), Some(0)));
        let silent = good("failback: {run: back, when: up(\"a\"), for: 10m, approval: none}");
        assert!(silent.failback.expect("it is there").approval.is_none());
    }

    #[test]
    fn each_slip_is_told() {
        each_is_told(&[
            ("failback: {run: back, when: up(\"a\"), for: 10m}", 108, "key `approval`"),
            ("failback: {run: back, when: up(\"a\"), for: 10m, approval: no}", 203, "`approval` wants a map"),
            ("failback: {run: back, for: 10m, approval: none}", 108, "key `when`"),
            ("failback: {run: back, when: [1], for: 10m, approval: none}", 203, "`when` wants an expression"),
            ("drill: {rto: 1m}", 108, "key `of`"),
            ("drill: {of: a, rpo: some}", 203, "`rpo` wants a whole number"),
            ("outputs: {a-b: now}", 109, "bad name `a-b`"),
            ("outputs: {a: \"{{ now }}\"}", 301, "`outputs` is CEL"),
        ]);
    }
}
