//! Checks over members: one for each node or group, with its templates filled in.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{
    CheckName,
    check::Status,
    view::{self, Search, SearchMeasure},
};

use crate::{
    cel::Env,
    diagnostic::{Findings, nearest},
    inventory::{Group, Inventory},
    read::{CheckDraft, Each, SearchWord, What},
    template::{Template, plain},
    value::Value,
};

/// What a check's templates see.
struct Member<'a> {
    node: Option<(&'a Arc<str>, &'a Value)>,
    group: Option<&'a Group>,
}

impl Env for Member<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        match name {
            "node" => self.node.map(|(_, value)| value.clone()),
            "group" => self.group.map(|group| group.value.clone()),
            _ => None,
        }
    }
    fn verdict(&self, _: &str) -> Status {
        Status::Unknown
    }
    fn group(&self, _: &str) -> Option<Value> {
        None
    }
}

/// Adds a check for every member. Joined checks are left for when all others are there.
pub(crate) fn expand(
    name: &str,
    draft: &CheckDraft,
    inventory: &Inventory,
    checks: &mut BTreeMap<CheckName, view::Check>,
    findings: &mut Findings,
) {
    let mut add = |name: String, member: &Member<'_>, findings: &mut Findings| match kind(&draft.what, member)
    {
        Ok(kind) => {
            let name = CheckName::from(name);
            checks.insert(name.clone(), draft.check(name, kind));
        }
        Err(why) => findings.error(
            303,
            draft.place.clone(),
            format!("check `{name}` can't be filled in: {why}"),
            "this check",
            "`node` and `group` are visible under `with`",
        ),
    };
    let Some(each) = draft.each else {
        add(name.to_owned(), &Member { node: None, group: None }, findings);
        return;
    };
    if draft.groups.is_empty() {
        findings.error(108, draft.place.clone(), "key `in` is missing", "`each` needs it", "`in: [group]`");
    }
    for (group_name, place) in &draft.groups {
        let Some(group) = inventory.groups.get(group_name.as_str()) else {
            let near = nearest(group_name, inventory.groups.keys().map(AsRef::as_ref));
            let hint = near
                .map_or_else(|| "not in the inventory".to_owned(), |near| format!("did you mean `{near}`?"));
            let message = format!("unknown group `{group_name}`");
            findings.error(205, place.clone(), message, "not in the inventory", hint);
            continue;
        };
        match each {
            Each::Group => {
                add(format!("{name}/{group_name}"), &Member { node: None, group: Some(group) }, findings);
            }
            Each::Node => {
                for (node_name, node) in &group.nodes {
                    let member = Member { node: Some((node_name, &node.value)), group: Some(group) };
                    add(format!("{name}/{node_name}"), &member, findings);
                }
            }
        }
    }
}

/// Checks of silences by the member that each looks at.
pub(crate) fn silences(
    drafts: &BTreeMap<String, CheckDraft>,
    inventory: &Inventory,
) -> BTreeMap<Arc<str>, Vec<CheckName>> {
    let mut out: BTreeMap<Arc<str>, Vec<CheckName>> = BTreeMap::new();
    for (name, draft) in drafts.iter().filter(|(_, draft)| matches!(draft.what, What::Silences { .. })) {
        let groups =
            draft.groups.iter().filter_map(|(group, _)| inventory.groups.get_key_value(group.as_str()));
        for (group_name, group) in groups {
            let members: Vec<&Arc<str>> = match draft.each {
                Some(Each::Node) => group.nodes.keys().collect(),
                Some(Each::Group) => vec![group_name],
                None => Vec::new(),
            };
            for member in members {
                out.entry(member.clone()).or_default().push(CheckName::from(format!("{name}/{member}")));
            }
        }
    }
    out
}

impl CheckDraft {
    fn check(&self, name: CheckName, kind: view::Kind) -> view::Check {
        view::Check {
            name,
            kind,
            interval: self.interval,
            timeout: self.timeout,
            fall: self.fall,
            rise: self.rise,
            fresh: self.fresh,
            vantages: self.vantages.clone(),
            quorum: self.quorum,
            degraded: self.degraded,
            down: self.down,
            expose: self.expose,
        }
    }
}

fn kind(what: &What, member: &Member<'_>) -> Result<view::Kind, String> {
    let fill = |template: &Template| -> Result<Arc<str>, String> {
        Ok(template.render(member, plain)?.to_string().into())
    };
    let perhaps = |template: &Option<Template>| template.as_ref().map(fill).transpose();
    Ok(match what {
        What::Http { url, accept, json, header, measure, access } => view::Kind::Http(view::Http {
            url: fill(url)?,
            accept: accept.clone(),
            json: json.clone(),
            header: header.clone(),
            measure: measure.clone(),
            access: access.clone(),
        }),
        What::Tcp { address } => view::Kind::Tcp { address: fill(address)? },
        What::Tls { address, name, ca } => {
            view::Kind::Tls { address: fill(address)?, server_name: perhaps(name)?, ca: ca.clone() }
        }
        What::Dns { name, record, server, expect } => view::Kind::Dns {
            name: fill(name)?,
            record: *record,
            server: perhaps(server)?,
            expect: expect.clone(),
        },
        What::Search { url, access, .. } => view::Kind::Elasticsearch(Search {
            nodes: nodes(url, member)?,
            own: member.node.map(|(name, _)| name.clone()),
            measure: measure(what),
            access: access.clone(),
        }),
        What::Haproxy { address, backend, server } => {
            view::Kind::Haproxy { address: fill(address)?, backend: fill(backend)?, server: perhaps(server)? }
        }
        What::Prometheus { url, query, access } => {
            view::Kind::Prometheus { url: fill(url)?, query: fill(query)?, access: access.clone() }
        }
        What::Silences { url, labels, access } => view::Kind::Silences {
            url: fill(url)?,
            labels: labels
                .iter()
                .map(|(name, value)| Ok((name.clone(), fill(value)?)))
                .collect::<Result<_, String>>()?,
            access: access.clone(),
        },
        What::Of { join, .. } => view::Kind::Of { join: *join, checks: Vec::new() },
    })
}

/// The URL of every node of the member's group.
fn nodes(url: &Template, member: &Member<'_>) -> Result<BTreeMap<Arc<str>, Arc<str>>, String> {
    let nodes = member.group.into_iter().flat_map(|group| &group.nodes);
    nodes
        .map(|(name, node)| {
            let member = Member { node: Some((name, &node.value)), group: member.group };
            Ok((name.clone(), url.render(&member, plain)?.to_string().into()))
        })
        .collect()
}

fn measure(what: &What) -> SearchMeasure {
    let What::Search { measure, index, field, repository, .. } = what else { return SearchMeasure::Health };
    match measure {
        SearchWord::Health => SearchMeasure::Health,
        SearchWord::Node => SearchMeasure::Node,
        SearchWord::QuorumMargin => SearchMeasure::QuorumMargin,
        SearchWord::CcrLag => SearchMeasure::CcrLag { index: index.clone() },
        SearchWord::SnapshotAge => SearchMeasure::SnapshotAge { repository: repository.clone() },
        SearchWord::Canary => SearchMeasure::Canary { index: index.clone(), field: field.clone() },
        SearchWord::IndexingLatency => SearchMeasure::IndexingLatency,
    }
}

/// Names the members of a joined check, once all others are there.
pub(crate) fn join(
    name: &str,
    draft: &CheckDraft,
    checks: &mut BTreeMap<CheckName, view::Check>,
    findings: &mut Findings,
) {
    let What::Of { join, of } = &draft.what else { return };
    let mut members = Vec::new();
    for (member, place) in of {
        let before = members.len();
        match member.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('/') => {
                members.extend(checks.keys().filter(|check| check.as_str().starts_with(prefix)).cloned());
            }
            _ => members.extend(checks.get_key_value(member.as_str()).map(|(check, _)| check.clone())),
        }
        if members.len() == before {
            let near = nearest(member, checks.keys().map(CheckName::as_str));
            let hint = near.map_or_else(
                || "declare it under `checks:`".into(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("unknown check `{member}`");
            findings.error(205, place.clone(), message, "not declared", hint);
        }
    }
    if let Some(check) = checks.get_mut(name) {
        check.kind = view::Kind::Of { join: *join, checks: members };
    }
}

/// Joined checks that depend on a check, however far, nearest first. One that depends on itself is an error.
pub(crate) fn dependents(
    drafts: &BTreeMap<String, CheckDraft>,
    checks: &BTreeMap<CheckName, view::Check>,
    findings: &mut Findings,
) -> BTreeMap<CheckName, Vec<CheckName>> {
    let mut above: BTreeMap<&CheckName, Vec<&CheckName>> = BTreeMap::new();
    for (name, check) in checks {
        if let view::Kind::Of { checks: members, .. } = &check.kind {
            members.iter().for_each(|member| above.entry(member).or_default().push(name));
        }
    }
    let mut out = BTreeMap::new();
    for name in above.keys() {
        let mut found: Vec<&CheckName> = Vec::new();
        let mut next = above[*name].clone();
        while !next.is_empty() {
            let fresh: Vec<&CheckName> = next.into_iter().filter(|check| !found.contains(check)).collect();
            next = fresh.iter().flat_map(|check| above.get(*check).cloned().unwrap_or_default()).collect();
            found.extend(fresh);
        }
        if let Some(draft) = drafts.get(name.as_str()).filter(|_| found.contains(name)) {
            let message = format!("check `{name}` is joined from itself");
            findings.error(205, draft.place.clone(), message, "a circle", "take one of its members away");
        }
        out.insert((*name).clone(), found.into_iter().cloned().collect());
    }
    out
}
