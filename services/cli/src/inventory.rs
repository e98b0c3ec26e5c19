//! `regreen inventory`: what playbooks may act on, how it is, and what acts on it now.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use regreen_bus::Bus;
use regreen_decider::{Library, State};
use regreen_engine::{library, recover};
use regreen_kit::clock;
use regreen_playbook::{Set, inventory::Group, value::Value};
use regreen_schemas::{CheckName, RunId, SetHash, Timestamp, Zone, check::Status, event::Target};
use serde::Serialize;

use crate::{args::Connect, client, out, status};

/// Where all nodes come from, as long as nothing is discovered.
const FILE: &str = "file";

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize)]
struct Shown {
    set: SetHash,
    /// Up to when health, runs and locks are told.
    as_of: Timestamp,
    groups: Vec<ShownGroup>,
}

#[derive(Serialize)]
struct ShownGroup {
    group: Arc<str>,
    zone: Zone,
    /// The check over its nodes.
    health: Option<Arc<str>>,
    /// Open runs on the group as a whole.
    runs: Vec<RunId>,
    nodes: Vec<ShownNode>,
}

#[derive(Serialize)]
struct ShownNode {
    node: Arc<str>,
    zone: Zone,
    address: String,
    origin: &'static str,
    /// None where the group has no check for it.
    health: Option<Status>,
    /// Open runs on it.
    runs: Vec<RunId>,
    /// What keeps others from acting on it.
    lock: Option<Lock>,
}

#[derive(Serialize)]
struct Lock {
    lock: Arc<str>,
    run: RunId,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let bus = client::connect(&options.connect).await?.bus;
    let recovered = recover::recover(&bus).await?;
    let Some((hash, set)) = in_force(&bus, &recovered).await? else {
        out::error("no set of playbooks is in force: see `regreen status`");
        return Ok(ExitCode::from(1));
    };
    let shown = show(&recovered.state, hash, &set);
    if options.json {
        out::json(&shown)?;
    } else {
        out::table(&["GROUP", "NODE", "ZONE", "ADDRESS", "ORIGIN", "HEALTH", "RUN", "LOCK"], rows(&shown));
    }
    let silence = clock::wall() - recovered.state.now;
    if silence > status::ENGINE_SILENT {
        out::error(&format!("this is as of {} ago: see `regreen status`", out::age(silence)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The set in force, compiled from its bodies.
async fn in_force(bus: &Bus, recovered: &recover::Recovered) -> anyhow::Result<Option<(SetHash, Arc<Set>)>> {
    let Some((hash, _)) = &recovered.state.set else { return Ok(None) };
    let Some(files) = recovered.sets.get(hash) else { return Ok(None) };
    let mut all = Library::default();
    library::bring(bus, &mut all, files).await?;
    Ok(all.sets.remove(hash).map(|set| (hash.clone(), set)))
}

/// Open runs by the lock path of their target.
type Runs = BTreeMap<Arc<str>, Vec<RunId>>;

fn show(state: &State, set_hash: SetHash, set: &Set) -> Shown {
    let mut runs = Runs::new();
    for run in state.runs.values() {
        if let Some(target) = &run.target {
            runs.entry(target.lock()).or_default().push(run.id.clone());
        }
    }
    let groups = set.inventory.groups.iter().map(|(name, group)| show_group(state, &runs, name, group));
    Shown { set: set_hash, as_of: state.now, groups: groups.collect() }
}

fn show_group(state: &State, runs: &Runs, name: &Arc<str>, group: &Group) -> ShownGroup {
    let nodes = group.nodes.iter().map(|(node, found)| {
        let path = Target::Node { group: name.clone(), name: node.clone() }.lock();
        ShownNode {
            node: node.clone(),
            zone: found.via.clone(),
            address: address(&found.value),
            origin: FILE,
            health: group.health.as_ref().map(|check| verdict(state, &format!("{check}/{node}"))),
            runs: runs.get(&path).cloned().unwrap_or_default(),
            lock: state
                .locks_holder(std::slice::from_ref(&path))
                .map(|(lock, run)| Lock { lock: lock.clone(), run: run.clone() }),
        }
    });
    ShownGroup {
        group: name.clone(),
        zone: group.via.clone(),
        health: group.health.clone(),
        runs: runs.get(name).cloned().unwrap_or_default(),
        nodes: nodes.collect(),
    }
}

fn address(node: &Value) -> String {
    match node {
        Value::Map(fields) => fields.get("address").map(ToString::to_string).unwrap_or_default(),
        _ => String::new(),
    }
}

fn verdict(state: &State, check: &str) -> Status {
    state.verdicts.get(&CheckName::from(check)).map_or(Status::Unknown, |(status, _)| *status)
}

fn rows(shown: &Shown) -> Vec<Vec<String>> {
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let ids = |runs: &[RunId]| dash(runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let mut rows = Vec::new();
    for group in &shown.groups {
        // A group stands by itself when there is something to say of it alone.
        if group.nodes.is_empty() || !group.runs.is_empty() {
            let (name, zone, runs) = (group.group.to_string(), group.zone.to_string(), ids(&group.runs));
            let [node, none] = ["(group)", "-"].map(str::to_owned);
            rows.push(vec![name, node, zone, none.clone(), none.clone(), none.clone(), runs, none]);
        }
        for node in &group.nodes {
            rows.push(vec![
                group.group.to_string(),
                node.node.to_string(),
                node.zone.to_string(),
                dash(node.address.clone()),
                node.origin.to_owned(),
                node.health.map_or("-", Status::word).to_owned(),
                ids(&node.runs),
                node.lock
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |held| format!("{} by {}", held.lock, held.run)),
            ]);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use regreen_playbook::{diagnostic::Source, load};

    use super::*;
    use crate::fixture;

    const FILES: &str = "apiVersion: regreen/v1\ninventory: all\ngroups:\n  web:\n    health: web\n    nodes:\n      one: {address: \"10.0.0.1:80\"}\n      two: {address: \"10.0.0.2:80\", via: far}\n  spare: {nodes: {}}\n---\napiVersion: regreen/v1\nchecks:\n  web:\n    kind: tcp\n    each: node\n    in: [web]\n    with: {address: \"{{ node.address }}\"}\n";

    #[test]
    fn a_node_says_where_it_is_how_it_is_and_what_acts_on_it() {
        let (set, findings) = load(vec![Source { path: "all.yaml".into(), text: FILES.into() }]);
        let set = set.unwrap_or_else(|| panic!("{}", findings.render(false)));
        let shown = show(&fixture::busy(), SetHash::from("s"), &set);
        let one = &rows(&shown)[1];
        let (runs, by) = (
            format!("{} {}", fixture::WAITS, fixture::VERIFIES),
            format!("web/one by {}", fixture::VERIFIES),
        );
        assert_eq!(*one, ["web", "one", "main", "10.0.0.1:80", "file", "down", &runs, &by]);
        let two = &rows(&shown)[2];
        assert_eq!((two[2].as_str(), two[5].as_str()), ("far", "unknown"));
        assert_eq!(rows(&shown)[0][..2], ["spare", "(group)"], "an empty group is shown too");
        let json = serde_json::to_value(&shown).expect("plain data");
        assert_eq!(json["groups"][1]["nodes"][0]["lock"]["run"], fixture::VERIFIES);
    }
}
