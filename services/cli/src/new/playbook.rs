//! The text of the playbook: block style, with comments that say why.

use super::{
    Target, Trigger,
    plan::{Group, Plan},
};

/// The whole file.
pub fn text(plan: &Plan) -> String {
    let head = format!(
        "apiVersion: regreen/v1\nplaybook: {}\ndescription: {}\n{MODE}mode: auto\ntarget: {}\n",
        plan.name,
        description(plan),
        match plan.target {
            Target::Node => "node",
            Target::Group => "group",
            Target::None => "none",
        }
    );
    let mut parts = vec![head, triggers(plan)];
    match &plan.group {
        Some(group) if plan.target != Target::None => {
            parts.extend(when(plan, group));
            parts.push(guard(plan));
            parts.push(repair(plan, group));
            parts.push(verify(plan, group));
            parts.push(escalate(plan));
        }
        _ => parts.push(tell(plan)),
    }
    if plan.asks() {
        parts.push(format!(
            "# Who hears that a yes is wanted, and what came of it.\nnotify:\n  - {}\n",
            plan.receiver
        ));
    }
    let mut text = parts.join("\n");
    if let Some(group) = plan.group.as_ref().filter(|_| plan.target == Target::Group) {
        text.push_str(&all(group));
    }
    text
}

const MODE: &str = "# observe: only says what it would do. approve: asks a person first. auto: acts.\n";

fn description(plan: &Plan) -> String {
    match (plan.target, &plan.group) {
        (Target::Node, Some(group)) => {
            format!("Restarts a node of {} that is down, and looks whether that helped.", group.name)
        }
        (Target::Group, Some(group)) => format!(
            "Restarts the nodes of {} that are down, one after the other, and looks whether that helped.",
            group.name
        ),
        _ => "Tells people what happened, and does nothing else.".to_owned(),
    }
}

fn triggers(plan: &Plan) -> String {
    let target = |path: &str| format!("    target: \"{{{{ {path} }}}}\"\n");
    let check = plan.group.as_ref().map_or("", |group| &group.check);
    match (plan.trigger, plan.target) {
        (Trigger::Manual, _) => format!(
            "triggers:\n  # A person: regreen start {}{}\n  - manual: {{}}\n",
            plan.name,
            match (plan.target, &plan.group) {
                (Target::Node, Some(group)) => format!(" --target {}", group.nodes[0].name),
                (Target::Group, Some(group)) => format!(" --target {}", group.name),
                _ => String::new(),
            }
        ),
        (Trigger::Alert, Target::None) => {
            format!(
                "triggers:\n  # Alertmanager's matchers; all must match.\n  - alert:\n      - 'alertname=\"{}\"'\n",
                plan.alert()
            )
        }
        (Trigger::Alert, on) => {
            let (label, means) = if on == Target::Node { ("instance", "node") } else { ("job", "group") };
            format!(
                "triggers:\n  # Alertmanager's matchers; all must match. `{label}` says which {means}, so it must be there.\n  - alert:\n      - 'alertname=\"{}\"'\n      - '{label}!=\"\"'\n{}",
                plan.alert(),
                target(&format!("alert.labels.{label}"))
            )
        }
        (Trigger::Verdict, Target::Group) => format!(
            "triggers:\n  # Regreen's own check: of all nodes together, down when one of them is.\n  - verdict:\n      check: {}\n      is: down\n    for: 10s\n    target: {}\n",
            all_of(plan),
            plan.group.as_ref().map_or("", |group| &group.name)
        ),
        (Trigger::Verdict, on) => format!(
            "triggers:\n  # Regreen's own check of any node, when it has lasted.\n  - verdict:\n      check: {check}/*\n      is: down\n    for: 10s\n{}",
            if on == Target::Node { target("verdict.node") } else { String::new() }
        ),
    }
}

/// What is asked of our own checks, where only somebody else says that something is wrong.
fn when(plan: &Plan, group: &Group) -> Option<String> {
    let check = &group.check;
    let condition = match (plan.trigger, plan.target) {
        (Trigger::Verdict | Trigger::Manual, _) => return None,
        (Trigger::Alert, Target::Group) => format!("target.nodes.exists(n, down(\"{check}/\" + n.name))"),
        (Trigger::Alert, _) => format!("down(\"{check}/\" + target.name)"),
    };
    let why = "# An alert alone repairs nothing: Regreen's own check must see it down as well.";
    Some(format!("{why}\nwhen: {condition}\n"))
}

fn guard(plan: &Plan) -> String {
    let what = if plan.target == Target::Group { "group" } else { "node" };
    let last = if plan.asks() {
        "  # There is no other node that could serve meanwhile, so a person must say yes.\n  approval:\n    by: sre\n    within: 15m\n"
    } else {
        "  # So many other nodes must be well: the last one that serves is never restarted.\n  min_healthy:\n    at_least: 1\n"
    };
    format!(
        "# What may forbid it: asked at the start, and again before the repair.
guard:
  # Not again on the same {what} before this is over.
  cooldown: 10m
  # No more repairs than this, whatever they are of.
  budget:
    - max: 3
      per: 1h
{last}  # Its checks are looked at from one place only, and that is enough for you. With more vantages, take this out.
  quorum: 1
"
    )
}

/// The request that repairs, as it stands at some depth.
fn request(plan: &Plan, node: &str, indent: &str) -> String {
    let (health, repair) = (&plan.health, &plan.repair);
    format!(
        "- id: repair
  use: http.request
  with:
    node: \"{{{{ {node} }}}}\"
    url: \"http://{{{{ {node}.address }}}}{repair}\"
    method: POST
    # An answer may get lost. Then this says whether it took effect; nothing is sent twice on a guess.
    observe:
      url: \"http://{{{{ {node}.address }}}}{health}\"
      done: status == 200
  timeout: 10s
"
    )
    .lines()
    .map(|line| format!("{indent}{line}\n"))
    .collect()
}

fn repair(plan: &Plan, group: &Group) -> String {
    if plan.target == Target::Node {
        return format!("steps:\n{}", request(plan, "target", "  "));
    }
    let check = &group.check;
    format!(
        "steps:
  - id: each
    for_each: target.nodes.filter(n, down(\"{check}/\" + n.name))
    as: n
    # More than this at once is no case for a restart: nothing is done, and people are told.
    at_most: 3
    steps:
{}      # The next one only when this one is back.
      - id: back
        verify:
          check: \"{check}/{{{{ n.name }}}}\"
          for: 5s
          within: 1m
",
        request(plan, "n", "      ")
    )
}

fn verify(plan: &Plan, group: &Group) -> String {
    let check = match plan.target {
        Target::Group => all_of(plan),
        _ => format!("\"{}/{{{{ target.name }}}}\"", group.check),
    };
    format!(
        "# It is repaired when this has held `for` so long, and not before.\nverify:\n  - check: {check}\n    for: 5s\n    within: 1m\n"
    )
}

fn escalate(plan: &Plan) -> String {
    format!(
        "# Whom to wake when it was not.\nescalate:\n  - to: {}\n    text: \"{{{{ target.name }}}} is not repaired\"\n",
        plan.receiver
    )
}

fn tell(plan: &Plan) -> String {
    let text = match plan.trigger {
        Trigger::Alert => "{{ alert.labels.alertname }} fires",
        Trigger::Verdict => "{{ verdict.check }} is {{ verdict.status }}",
        Trigger::Manual => "{{ run.playbook }} was started by hand",
    };
    format!(
        "steps:\n  - id: tell\n    use: notify.send\n    with:\n      to: {}\n      text: \"{text}\"\n",
        plan.receiver
    )
}

/// Name of the check that joins all nodes.
fn all_of(plan: &Plan) -> String {
    plan.group.as_ref().map_or_else(String::new, |group| format!("{}-all", group.name))
}

/// The check that joins all nodes.
fn all(group: &Group) -> String {
    let members: String =
        group.nodes.iter().map(|node| format!("      - {}/{}\n", group.check, node.name)).collect();
    format!(
        "---\napiVersion: regreen/v1\nchecks:\n  # As bad as the worst of these.\n  {}-all:\n    kind: all\n    of:\n{members}",
        group.name
    )
}
