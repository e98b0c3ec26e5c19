//! The files beside the playbook: what it may act on, how that is looked at, who is told.

use super::plan::Group;

/// Nodes and groups.
pub fn inventory(group: &Group) -> String {
    let name = &group.name;
    let alone = if group.nodes.len() > 1 {
        ""
    } else {
        "    # One node that is down is all of them, and that is no reason to hold back here.\n    storm: 100%\n"
    };
    let nodes: String = group
        .nodes
        .iter()
        .map(|node| {
            format!(
                "      {}:\n        address: \"{}\"\n        aliases:\n          - \"{}\"\n",
                node.name, node.address, node.instance
            )
        })
        .collect();
    format!(
        "apiVersion: regreen/v1
inventory: {name}
# What playbooks may act on: nothing that is not here.
groups:
  {name}:
    # The check that says which nodes are healthy.
    health: {}
{alone}    nodes:
      # An alias is what alerts call a node: here the label `instance`.
{nodes}",
        group.check
    )
}

/// The check over the nodes.
pub fn checks(group: &Group, health: &str) -> String {
    format!(
        "apiVersion: regreen/v1
checks:
  # One check for each node of the group: {check}/{node}, and so on.
  {check}:
    kind: http
    each: node
    in:
      - {name}
    with:
      url: \"http://{{{{ node.address }}}}{health}\"
    interval: 2s
    timeout: 1s
    # So many looks in a row must agree before a node counts as down, or as up again.
    fall: 2
    rise: 1
",
        check = group.check,
        name = group.name,
        node = group.nodes.first().map_or("", |node| &node.name),
    )
}

/// Receivers and approvers.
pub fn policy(receiver: &str) -> String {
    format!(
        "apiVersion: regreen/v1
policy: production
receivers:
  # The notifier's own log, until you name a channel: webhook, slack, pagerduty or email.
  {receiver}:
    log: {{}}
approvers:
  # Who may say yes when a playbook asks. `local` is whoever works on the machine of `regreen up`.
  sre:
    - local
  default: sre
"
    )
}
