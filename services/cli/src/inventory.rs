//! `regreen inventory`: what playbooks may act on, how it is, and what acts on it now.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use regreen_bus::Bus;
use regreen_decider::{Discovery, Library, State, Wrong};
use regreen_engine::{library, recover};
use regreen_kit::clock;
use regreen_playbook::{Set, inventory::Group, value::Value};
use regreen_schemas::{
    CheckName, RunId, SetHash, Timestamp, Zone,
    check::Status,
    event::Target,
    roster::{By, Members},
};
use serde::Serialize;

use crate::{args::Connect, client, out, status};

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
    /// How more nodes are found at the provider.
    discovery: Option<Discovered>,
    /// Nodes of which files, runs and provider do not say the same.
    contradictions: BTreeMap<Arc<str>, Arc<str>>,
    nodes: Vec<ShownNode>,
}

#[derive(Serialize)]
struct Discovered {
    provider: Arc<str>,
    tag: Arc<str>,
    /// When the provider last said all that it has.
    good: Option<Timestamp>,
    /// What has been wrong since then.
    wrong: Option<Wrong>,
    #[serde(skip)]
    said: String,
}

#[derive(Serialize)]
struct ShownNode {
    node: Arc<str>,
    zone: Zone,
    address: String,
    /// `file`, `run <id>` or `discovered`.
    origin: String,
    /// The run that took it away: it counts no more.
    removed_by: Option<RunId>,
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
        notes(&shown).iter().for_each(|note| out::line(note));
    }
    let silence = clock::wall() - recovered.state.now;
    if silence > status::ENGINE_SILENT {
        out::error(&format!("this is as of {} ago: see `regreen status`", out::age(silence)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The set in force, compiled from its bodies, with the inventory as it is now.
async fn in_force(bus: &Bus, recovered: &recover::Recovered) -> anyhow::Result<Option<(SetHash, Arc<Set>)>> {
    let Some((hash, _)) = &recovered.state.set else { return Ok(None) };
    let Some(files) = recovered.sets.get(hash) else { return Ok(None) };
    let mut all = Library::default();
    library::bring(bus, &mut all, files).await?;
    Ok(all.in_force(&recovered.state).map(|set| (hash.clone(), set)))
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
    let groups = set.inventory.groups.iter().map(|(name, group)| show_group(state, set, &runs, name, group));
    Shown { set: set_hash, as_of: state.now, groups: groups.collect() }
}

fn show_group(state: &State, set: &Set, runs: &Runs, name: &Arc<str>, group: &Group) -> ShownGroup {
    let contradictions = state.contradicted.iter().filter(|((group, _), _)| group == name);
    let of_files = |node: &str| set.is_of_files(name, node);
    let (members, health) = (state.roster.groups.get(name), group.health.as_ref());
    let nodes = group.nodes.iter().chain(&group.gone).map(|(node, found)| {
        let path = Target::Node { group: name.clone(), name: node.clone() }.lock();
        ShownNode {
            node: node.clone(),
            zone: found.via.clone(),
            address: address(&found.value),
            origin: if of_files(node) { "file".to_owned() } else { origin(members, node) },
            removed_by: members.and_then(|members| members.gone.get(node)).map(|gone| gone.run.clone()),
            health: health
                .filter(|_| group.nodes.contains_key(node))
                .map(|check| verdict(state, &format!("{check}/{node}"))),
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
        discovery: state.discoveries.get(name).map(|discovery| discovered(discovery, state.now)),
        contradictions: contradictions.map(|((_, node), why)| (node.clone(), why.clone())).collect(),
        nodes: nodes.collect(),
    }
}

fn discovered(discovery: &Discovery, now: Timestamp) -> Discovered {
    let Discovery { provider, tag, good, wrong, .. } = discovery.clone();
    Discovered { provider, tag, good, wrong, said: discovery.said(now) }
}

/// Where a node comes from that no file lists. Of one that is gone nobody remembers it.
fn origin(members: Option<&Members>, node: &str) -> String {
    match members.and_then(|members| members.nodes.get(node)).map(|member| &member.by) {
        None => "-".to_owned(),
        Some(By::Run(run)) => format!("run {run}"),
        Some(By::Discovery) => "discovered".to_owned(),
    }
}

/// What there is to say below the table: how discovery is, and what does not agree.
fn notes(shown: &Shown) -> Vec<String> {
    let mut out = Vec::new();
    for group in &shown.groups {
        if let Some(Discovered { provider, tag, said, .. }) = &group.discovery {
            out.push(format!("discovery of {} ({provider}, tag {tag}): {said}", group.group));
        }
        let said = |(node, why): (&Arc<str>, &Arc<str>)| format!("! {}/{node}: {why}", group.group);
        out.extend(group.contradictions.iter().map(said));
    }
    if !out.is_empty() {
        out.insert(0, String::new());
    }
    out
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
                node.removed_by
                    .as_ref()
                    .map_or_else(|| node.origin.clone(), |run| format!("removed by run {run}")),
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
    use regreen_schemas::{
        event::{DiscoveryEvent, Event},
        roster::{Member, Node, Roster},
    };

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
        assert!(notes(&shown).is_empty());
    }

    #[test]
    fn it_says_who_brought_each_node_and_what_does_not_agree() {
        let mut state = fixture::busy();
        let node = |name: &str| Node { name: name.into(), id: name.into(), ..Node::default() };
        let mut roster = Roster::default();
        for (name, by) in [("three", By::Run("r1".into())), ("four", By::Discovery)] {
            roster.add(&"web".into(), Member { node: node(name), by, since: state.now });
        }
        roster.remove(&"web".into(), &node("two"), &By::Run("r2".into()), state.now);
        let wanted = DiscoveryEvent::Wanted { provider: "lab".into(), tag: "web".into() };
        let failed = DiscoveryEvent::Failed { reason: "503".into(), again_at: state.now };
        state.roster = Arc::new(roster.clone());
        for what in [wanted, failed] {
            state.apply(&Event::Discovery { group: "web".into(), what }).expect("legal");
        }
        let (group, node, why) = ("web".into(), "one".into(), "the files have it".into());
        state.apply(&Event::Contradicted { group, node, why }).expect("legal");
        let (set, _) = load(vec![Source { path: "all.yaml".into(), text: FILES.into() }]);
        let shown = show(&state, SetHash::from("s"), &set.expect("it is good").with(&roster));
        let origins: Vec<_> = rows(&shown).into_iter().map(|row| (row[1].clone(), row[4].clone())).collect();
        let wanted = [
            ("(group)", "-"),
            ("four", "discovered"),
            ("one", "file"),
            ("three", "run r1"),
            ("two", "removed by run r2"),
        ];
        assert_eq!(origins, wanted.map(|(node, origin)| (node.to_owned(), origin.to_owned())));
        let notes = notes(&shown).join("\n");
        assert!(
            notes.contains("discovery of web (lab, tag web): never well; 1 times since 0s ago: 503"),
            "{notes}"
        );
        assert!(notes.contains("! web/one: the files have it"), "{notes}");
        let json = serde_json::to_value(&shown).expect("plain data");
        assert_eq!(json["groups"][1]["discovery"]["wrong"]["reason"], "503");
        assert_eq!(json["groups"][1]["nodes"][3]["removed_by"], "r2");
    }
}
