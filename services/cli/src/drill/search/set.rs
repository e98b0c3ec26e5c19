//! The shipped folder playbooks/elasticsearch-digitalocean, hastened; only its inventory is the simulated cloud's own.

use std::num::NonZeroU32;

use anyhow::Context as _;
use regreen_playbook::{
    Set,
    diagnostic::Source,
    hasten::{Lens, hasten},
    load,
    model::Budget,
};
use regreen_schemas::Span;

/// Text of a shipped file.
macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../../playbooks/elasticsearch-digitalocean/", $name)))),*]
    };
}

/// The files that say what is done; a test compares them with the folder.
pub const SHIPPED: &[(&str, &str)] = shipped![
    "actions.yaml",
    "checks.yaml",
    "drill-node-lost.yaml",
    "elasticsearch-cluster-red.yaml",
    "elasticsearch-node-lost.yaml",
    "elasticsearch-node-replace.yaml",
    "elasticsearch-quorum-lost.yaml",
    "node.cloud-config.hbs",
    "policy.yaml",
];
/// The playbook that repairs.
pub const PLAYBOOK: &str = "elasticsearch-node-lost";
/// The one that says what a drill of it must reach.
const OBJECTIVE: &str = "drill-node-lost";
/// The group, its tag at the provider, and its cluster.
pub const GROUP: &str = "es-a";
/// Checks: one a node, and three of the cluster.
pub const NODES: usize = 3;
/// All checks.
pub const CHECKS: usize = NODES + 3;
/// Places that the shipped checks name.
pub const VANTAGES: [&str; 3] = ["fra", "ams", "par"];
/// How much faster than waits what is remembered passes: between two acts of a drill hours are meant to.
const MEMORY: u32 = 12;

/// The set as the drill runs it, and what it must reach.
pub struct Prepared {
    /// Names and texts.
    pub files: Vec<(&'static str, String)>,
    /// Its speed.
    pub lens: Lens,
    /// The shipped objective for a repair, divided.
    pub rto: Span,
    /// The same as it is written.
    pub rto_shipped: Span,
    /// Documents that may be lost.
    pub rpo: u32,
    /// Budgets of the playbook, hastened.
    pub budgets: Vec<Budget>,
}

/// The inventory: its nodes are those that the simulated provider lists.
const INVENTORY: &str = "apiVersion: regreen/v1
inventory: drill
groups:
  es-a: {provider: digitalocean, health: es-node, discover: {tag: es-a}}
";

/// The set at a speed.
pub fn prepare(speed: NonZeroU32) -> anyhow::Result<Prepared> {
    let lens = Lens { waits: speed, memory: speed.saturating_mul(NonZeroU32::new(MEMORY).unwrap_or(speed)) };
    let mut files = vec![("inventory.yaml", INVENTORY.to_owned())];
    for (name, text) in SHIPPED {
        let yaml = name.ends_with(".yaml");
        let text = if yaml {
            hasten(text, lens).map_err(|wrong| wrong.render(false))
        } else {
            Ok((*text).to_owned())
        };
        let text = text.map_err(anyhow::Error::msg).with_context(|| format!("the shipped {name}"))?;
        files.push((*name, text));
    }
    let hastened = compiled(files.iter().map(|(name, text)| (*name, text.as_str())))?;
    let shipped = compiled([("inventory.yaml", INVENTORY)].into_iter().chain(SHIPPED.iter().copied()))?;
    let rto = |set: &Set| {
        let drill = set.playbooks.get(OBJECTIVE).and_then(|playbook| playbook.drill.as_ref());
        drill.and_then(|drill| Some((drill.rto?, drill.rpo?))).context("drill-node-lost names no objective")
    };
    let ((rto_hastened, rpo), (rto_shipped, _)) = (rto(&hastened)?, rto(&shipped)?);
    let budgets =
        hastened.playbooks.get(PLAYBOOK).context("the playbook is not shipped")?.guard.budgets.clone();
    Ok(Prepared { files, lens, rto: rto_hastened, rto_shipped, rpo, budgets })
}

fn compiled<'f>(files: impl IntoIterator<Item = (&'f str, &'f str)>) -> anyhow::Result<Set> {
    let source = |(name, text): (&str, &str)| Source { path: name.to_owned(), text: text.to_owned() };
    let (set, findings) = load(files.into_iter().map(source).collect());
    set.with_context(|| format!("the set is not good:\n{}", findings.render(false)))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn everything_that_the_folder_ships_is_drilled() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks/elasticsearch-digitalocean");
        let names =
            fs::read_dir(folder).expect("it is shipped").map(|entry| entry.expect("readable").file_name());
        let acts = |name: &String| {
            let file = name.ends_with(".yaml") || name.ends_with(".hbs");
            file && !name.ends_with(".test.yaml") && name != "inventory.yaml"
        };
        let found: BTreeSet<String> =
            names.map(|name| name.to_string_lossy().into_owned()).filter(acts).collect();
        let known: BTreeSet<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(found, known);
    }

    #[test]
    fn the_objective_is_divided_like_everything_else() {
        let prepared = prepare(NonZeroU32::new(20).expect("not zero")).expect("what is shipped is good");
        assert_eq!((prepared.rto_shipped, prepared.rto), (Span::minutes(10), Span::seconds(30)));
        assert_eq!((prepared.rpo, prepared.lens.memory.get()), (0, 240));
        assert_eq!(
            prepared.budgets.iter().map(|b| (b.max, b.per)).collect::<Vec<_>>(),
            [(4, Span::seconds(90))]
        );
    }
}
