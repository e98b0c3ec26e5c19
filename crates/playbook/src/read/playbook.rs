//! A playbook: its triggers, inputs and ends; guards and steps have files of their own.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{PlaybookName, Span, check::Status, event::Mode};

use super::{
    Draft, correlate, each, expression, failback, guard, inputs,
    step::{Steps, Unsaid},
    template, trigger,
};
use crate::{
    keys,
    model::{Approval, DEFAULT_APPROVERS, Escalate, Guard, OnResolved, Playbook, TargetKind, Verify},
    tree::Node,
    walk::{Fields, Walk},
};

/// How long a run may begin steps unless given.
const DEADLINE: Span = Span::minutes(60);
/// Words of `mode:`.
pub(super) const MODES: [(&str, Mode); 3] =
    [("observe", Mode::Observe), ("approve", Mode::Approve), ("auto", Mode::Auto)];

/// Where the parts of a playbook stand. What has one place in the document is found there by its key.
pub(crate) struct Places {
    pub file: usize,
    /// Of the playbook's name.
    pub name: std::ops::Range<usize>,
    /// All of it.
    pub document: Node,
    /// Every step by its id, however deep it stands.
    pub steps: BTreeMap<Arc<str>, Node>,
    /// As in the model, for lists of which unreadable items are left out.
    pub triggers: Vec<Node>,
    pub verify: Vec<Node>,
    pub escalate: Vec<Node>,
    pub notify: Vec<Node>,
}

/// A playbook of which only the name is certain.
fn bare(name: &str) -> Playbook {
    Playbook {
        name: PlaybookName::from(name),
        description: String::new(),
        mode: None,
        target: TargetKind::None,
        triggers: Vec::new(),
        correlate: None,
        when: None,
        inputs: BTreeMap::new(),
        vars: BTreeMap::new(),
        outputs: Vec::new(),
        guard: guard::bare(),
        steps: Vec::new(),
        finally: Vec::new(),
        verify: Vec::new(),
        on_resolved: OnResolved::Cancel,
        deadline: DEADLINE,
        failback: None,
        notify: Vec::new(),
        escalate: Vec::new(),
        drill: None,
    }
}

pub(super) fn playbook(walk: &mut Walk<'_>, document: Node, draft: &mut Draft) {
    let Some(fields) = walk.fields(&document, "playbook", keys::PLAYBOOK) else { return };
    let Some(name) = document.get("playbook") else { return };
    let name_range = name.range.clone();
    let mut playbook = bare(walk.name(name, "playbook").unwrap_or("unnamed"));
    start(walk, fields, &mut playbook);
    let (triggers, trigger_nodes) =
        fields.get("triggers").map(|node| trigger::triggers(walk, node)).unwrap_or_default();
    playbook.triggers = triggers;
    playbook.guard = asking(guard::guard(walk, fields.get("guard")), playbook.mode);
    let steps = steps(walk, fields, &mut playbook);
    let (closing, verify) = each(walk, fields.get("verify"), "verify", verify);
    let (escalations, escalate) = each(walk, fields.get("escalate"), "escalate", escalate);
    let (followers, notify) = each(walk, fields.get("notify"), "notify", follower);
    (playbook.verify, playbook.escalate, playbook.notify) = (closing, escalations, followers);
    end(walk, fields, &mut playbook);
    let places = Places {
        file: walk.file,
        name: name_range,
        triggers: trigger_nodes,
        steps,
        verify,
        escalate,
        notify,
        document,
    };
    draft.playbooks.push((playbook, places));
}

/// What it is, and when it starts.
fn start(walk: &mut Walk<'_>, fields: Fields<'_>, playbook: &mut Playbook) {
    let get = |key: &str| fields.get(key);
    if let Some(text) = get("description").and_then(|node| walk.plain(node, "description")) {
        text.clone_into(&mut playbook.description);
    }
    playbook.mode = get("mode").and_then(|node| walk.one_of(node, "mode", &MODES));
    let kinds = [TargetKind::None, TargetKind::Node, TargetKind::Group, TargetKind::Service];
    let kinds = kinds.map(|kind| (kind.word(), kind));
    let target = get("target").and_then(|node| walk.one_of(node, "target", &kinds));
    playbook.target = target.unwrap_or(TargetKind::None);
    playbook.correlate = get("correlate").and_then(|node| correlate::correlate(walk, node));
    playbook.when = get("when").and_then(|node| expression(walk, node, "when"));
    playbook.inputs = get("inputs").map(|node| inputs::inputs(walk, node)).unwrap_or_default();
    playbook.vars = get("vars").map(|node| inputs::vars(walk, node)).unwrap_or_default();
}

/// Mode `approve` asks, whether or not the guard says so.
fn asking(mut guard: Guard, mode: Option<Mode>) -> Guard {
    if mode == Some(Mode::Approve) {
        let asks = || Approval { by: DEFAULT_APPROVERS.into(), within: guard::APPROVAL_WITHIN };
        guard.approval.get_or_insert_with(asks);
    }
    guard
}

fn steps(walk: &mut Walk<'_>, fields: Fields<'_>, playbook: &mut Playbook) -> BTreeMap<Arc<str>, Node> {
    let words = [("stop", Unsaid::Stop), ("undo", Unsaid::Undo)];
    let unsaid = fields.get("on_failure").and_then(|node| walk.one_of(node, "on_failure", &words));
    let mut steps = Steps { walk, places: BTreeMap::new() };
    if let Some(node) = fields.get("steps") {
        playbook.steps = steps.list(node, "steps", unsaid.unwrap_or(Unsaid::Stop));
    }
    if let Some(node) = fields.get("finally") {
        // What is done at the end is never a reason to undo.
        playbook.finally = steps.list(node, "finally", Unsaid::Stop);
    }
    steps.places
}

/// How it ends, and what comes after.
fn end(walk: &mut Walk<'_>, fields: Fields<'_>, playbook: &mut Playbook) {
    let get = |key: &str| fields.get(key);
    let words = [("cancel", OnResolved::Cancel), ("continue", OnResolved::Continue)];
    let on_resolved = get("on_resolved").and_then(|node| walk.one_of(node, "on_resolved", &words));
    playbook.on_resolved = on_resolved.unwrap_or(OnResolved::Cancel);
    let deadline = get("deadline").and_then(|node| walk.duration(node, "deadline"));
    playbook.deadline = deadline.unwrap_or(DEADLINE);
    playbook.outputs = get("outputs").map(|node| failback::outputs(walk, node)).unwrap_or_default();
    playbook.failback = get("failback").and_then(|node| failback::failback(walk, node));
    playbook.drill = get("drill").and_then(|node| failback::drill(walk, node));
}

fn follower(walk: &mut Walk<'_>, node: &Node) -> Option<Arc<str>> {
    walk.name(node, "receiver").map(Arc::from)
}

pub(super) fn verify(walk: &mut Walk<'_>, node: &Node) -> Option<Verify> {
    let fields = walk.fields(node, "verify", keys::VERIFY)?;
    let words = [("up", Status::Up), ("degraded", Status::Degraded), ("down", Status::Down)];
    let verify = Verify {
        check: fields.get("check").and_then(|node| template(walk, node, "check"))?,
        is: fields.get("is").map_or(Some(Status::Up), |node| walk.one_of(node, "is", &words))?,
        hold: fields.get("for").map_or(Some(Span::seconds(30)), |node| walk.duration(node, "for"))?,
        within: fields.get("within").and_then(|node| walk.duration(node, "within"))?,
    };
    if verify.hold >= verify.within {
        let message = "this verify can never hold";
        walk.error(
            601,
            node,
            message,
            format!("`for` {} is not below `within` {}", verify.hold, verify.within),
            "raise `within`",
        );
    }
    Some(verify)
}

pub(super) fn escalate(walk: &mut Walk<'_>, node: &Node) -> Option<Escalate> {
    let fields = walk.fields(node, "escalate", keys::ESCALATE)?;
    Some(Escalate {
        to: fields.get("to").and_then(|node| walk.plain(node, "to"))?.into(),
        after: fields.get("after").map_or(Some(Span::ZERO), |node| walk.duration(node, "after"))?,
        text: fields.get("text").and_then(|node| template(walk, node, "text")),
    })
}
