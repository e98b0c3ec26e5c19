//! `guard:`: what may forbid or delay a run.

use regreen_schemas::Span;

use super::template;
use crate::{
    keys,
    model::{
        Approval, Breaker, Budget, BudgetScope, Busy, DEFAULT_APPROVERS, Guard, LockScope, Maintenance,
        MinHealthy, Needed,
    },
    tree::Node,
    walk::{Fields, Walk},
};

/// Most failed runs that a circuit breaker may count.
const FAILURES_MAX: u32 = 1000;
/// How long an answer is waited for unless given.
pub(super) const APPROVAL_WITHIN: Span = Span::minutes(30);

/// A guard of which nothing is written.
pub(super) fn bare() -> Guard {
    Guard {
        scope: LockScope::Target,
        busy: Busy::Queue,
        wait: Span::minutes(30),
        cooldown: None,
        budgets: Vec::new(),
        min_healthy: None,
        quorum: None,
        approval: None,
        maintenance: Maintenance::Skip,
        breaker: None,
    }
}

pub(super) fn guard(walk: &mut Walk<'_>, node: Option<&Node>) -> Guard {
    let mut guard = bare();
    let Some(fields) = node.and_then(|node| walk.fields(node, "guard", keys::GUARD)) else { return guard };
    if let Some(fields) = fields.get("lock").and_then(|node| walk.fields(node, "lock", keys::LOCK)) {
        lock(walk, fields, &mut guard);
    }
    guard.cooldown = fields.get("cooldown").and_then(|node| walk.duration(node, "cooldown"));
    guard.budgets = fields.get("budget").map(|node| budgets(walk, node)).unwrap_or_default();
    guard.min_healthy = fields.get("min_healthy").and_then(|node| min_healthy(walk, node));
    guard.approval = fields.get("approval").and_then(|node| approval(walk, node, "approval", keys::APPROVAL));
    guard.quorum = fields.get("quorum").and_then(|node| walk.int(node, "quorum", 1..=9));
    let words = [("skip", Maintenance::Skip), ("wait", Maintenance::Wait), ("ignore", Maintenance::Ignore)];
    let maintenance = fields.get("maintenance").and_then(|node| walk.one_of(node, "maintenance", &words));
    guard.maintenance = maintenance.unwrap_or(guard.maintenance);
    guard.breaker = fields.get("circuit_breaker").and_then(|node| breaker(walk, node));
    guard
}

fn lock(walk: &mut Walk<'_>, fields: Fields<'_>, guard: &mut Guard) {
    let scopes = [
        ("target", LockScope::Target),
        ("node", LockScope::Target),
        ("group", LockScope::Group),
        ("service", LockScope::Service),
        ("domain", LockScope::Domain),
    ];
    let words = [("queue", Busy::Queue), ("skip", Busy::Skip), ("cancel_running", Busy::CancelRunning)];
    let scope = fields.get("scope").and_then(|node| walk.one_of(node, "scope", &scopes));
    let busy = fields.get("busy").and_then(|node| walk.one_of(node, "busy", &words));
    let wait = fields.get("wait").and_then(|node| walk.duration(node, "wait"));
    guard.scope = scope.unwrap_or(guard.scope);
    guard.busy = busy.unwrap_or(guard.busy);
    guard.wait = wait.unwrap_or(guard.wait);
}

fn breaker(walk: &mut Walk<'_>, node: &Node) -> Option<Breaker> {
    let fields = walk.fields(node, "circuit_breaker", keys::BREAKER)?;
    let failures = fields.get("failures").and_then(|node| walk.int(node, "failures", 1..=FAILURES_MAX));
    let within = fields.get("within").and_then(|node| walk.duration(node, "within"));
    let rest = fields.get("rest").and_then(|node| walk.duration(node, "rest"));
    Some(Breaker { failures: failures?, within: within?, rest: rest? })
}

pub(super) fn budgets(walk: &mut Walk<'_>, node: &Node) -> Vec<Budget> {
    walk.list(node, "budget").iter().filter_map(|node| budget(walk, node)).collect()
}

fn budget(walk: &mut Walk<'_>, node: &Node) -> Option<Budget> {
    let fields = walk.fields(node, "budget", keys::BUDGET)?;
    let scopes = [BudgetScope::Playbook, BudgetScope::Group, BudgetScope::Provider, BudgetScope::Domain]
        .map(|scope| (scope.word(), scope));
    Some(Budget {
        max: fields.get("max").and_then(|node| walk.int(node, "max", 1..=1_000_000))?,
        per: fields.get("per").and_then(|node| walk.duration(node, "per"))?,
        scope: fields
            .get("scope")
            .map_or(Some(BudgetScope::Playbook), |node| walk.one_of(node, "scope", &scopes))?,
    })
}

fn min_healthy(walk: &mut Walk<'_>, node: &Node) -> Option<MinHealthy> {
    let fields = walk.fields(node, "min_healthy", keys::MIN_HEALTHY)?;
    let needed = match (fields.get("at_least"), fields.get("percent")) {
        (Some(node), None) => walk.int(node, "at_least", 1..=10_000).map(Needed::AtLeast),
        (None, Some(node)) => walk.int(node, "percent", 1..=100).map(Needed::Percent),
        _ => {
            walk.error(
                108,
                node,
                "`min_healthy` needs one of `at_least` and `percent`",
                "here",
                "`{at_least: 2}`",
            );
            None
        }
    };
    let group = fields.get("group").and_then(|node| template(walk, node, "group"));
    Some(MinHealthy { needed: needed?, group })
}

/// Who is asked, and until when.
pub(super) fn approval(
    walk: &mut Walk<'_>,
    node: &Node,
    what: &str,
    known: &[keys::Key],
) -> Option<Approval> {
    let fields = walk.fields(node, what, known)?;
    let by = fields.get("by").map_or(Some(DEFAULT_APPROVERS), |node| walk.name(node, "by"))?;
    let within = fields.get("within").map_or(Some(APPROVAL_WITHIN), |node| walk.duration(node, "within"))?;
    Some(Approval { by: by.into(), within })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{each_is_told, good};
    use crate::model::{Busy, LockScope, Maintenance};

    #[test]
    fn what_is_written_is_there_and_the_rest_does_the_least_harm() {
        let guard = good(
            r#"guard:
  lock: {scope: service, busy: cancel_running, wait: 5m}
  maintenance: wait
  circuit_breaker: {failures: 3, within: 2h, rest: 1h}
  min_healthy: {at_least: 2, group: "{{ target.standby.name }}"}"#,
        )
        .guard;
        assert_eq!((guard.scope, guard.busy), (LockScope::Service, Busy::CancelRunning));
        assert_eq!(guard.maintenance, Maintenance::Wait);
        assert_eq!(guard.breaker.map(|breaker| breaker.failures), Some(3));
        assert!(guard.min_healthy.expect("it is there").group.is_some());
        let bare = good("mode: approve").guard;
        assert_eq!((bare.maintenance, bare.busy), (Maintenance::Skip, Busy::Queue));
        assert!(bare.approval.is_some(), "the mode asks");
        assert!(good("").guard.approval.is_none());
    }

    #[test]
    fn each_slip_is_told() {
        each_is_told(&[
            ("guard: {maintenance: stop}", 203, "`maintenance` wants one of"),
            ("guard: {lock: {scope: world}}", 203, "`scope` wants one of"),
            ("guard: {lock: {busy: cancel}}", 203, "`busy` wants one of"),
            ("guard: {circuit_breaker: {failures: 3, within: 2h}}", 108, "key `rest`"),
            ("guard: {circuit_breaker: {failures: 0, within: 2h, rest: 1h}}", 203, "`failures` wants"),
            ("guard: {min_healthy: {group: a}}", 108, "`at_least` and `percent`"),
        ]);
    }
}
