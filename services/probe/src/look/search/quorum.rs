//! How many more voting nodes a cluster could lose.

use std::collections::BTreeMap;

use regreen_schemas::{check::Status, view::Check};
use serde::{Deserialize, de::IgnoredAny};

use super::{Ask, Cluster};
use crate::look::{Failed, Found};

/// What is needed of the state: both parts are of the same moment.
const PARTS: &str = "metadata.cluster_coordination.last_committed_config,nodes.*.name";

/// `_cluster/state/metadata,nodes`. An answer without the parts is `{}`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    metadata: Metadata,
    /// By id.
    nodes: BTreeMap<String, IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    cluster_coordination: Coordination,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Coordination {
    /// Ids of the nodes that vote.
    last_committed_config: Vec<String>,
}

pub async fn look(cluster: &Cluster<'_>, check: &Check) -> Result<Found, Failed> {
    let path = ["_cluster", "state", "metadata,nodes"];
    let ask = Ask { path: &path, query: &[("filter_path", PARTS)], body: None };
    judge(check, &cluster.first(&ask).await?)
}

fn judge(check: &Check, state: &State) -> Result<Found, Failed> {
    let voting = &state.metadata.cluster_coordination.last_committed_config;
    if voting.is_empty() {
        return Err(Failed::Blind("the cluster does not say who votes".into()));
    }
    let present = voting.iter().filter(|id| state.nodes.contains_key(*id)).count();
    let margin = present as f64 - (voting.len() / 2 + 1) as f64;
    let words = format!("{present} of {} voting nodes are there", voting.len());
    Ok(match (check.degraded, check.down) {
        (None, None) if margin < 0.0 => Found::down(words),
        (None, None) if margin < 1.0 => Found::not_up(Status::Degraded, words),
        _ => Found::measured(check, margin, words),
    })
}

#[cfg(test)]
mod tests {
    use regreen_schemas::view::{Bound, Kind};

    use super::*;
    use crate::look::check_of;

    #[test]
    fn the_margin_is_what_is_there_beyond_the_majority() {
        let state = |voting: &[&str], present: &[&str]| {
            let nodes: Vec<String> =
                present.iter().map(|id| format!(r#""{id}":{{"name":"node-{id}"}}"#)).collect();
            format!(
                r#"{{"metadata":{{"cluster_coordination":{{"last_committed_config":{voting:?}}}}},"nodes":{{{}}}}}"#,
                nodes.join(",")
            )
        };
        let three = ["a", "b", "c"];
        let table = [
            (state(&three, &three), None, Status::Up, ""),
            (state(&three, &["a", "b", "x"]), None, Status::Degraded, "2 of 3 voting nodes are there"),
            (state(&three, &["a", "x", "y"]), None, Status::Down, "1 of 3 voting nodes are there"),
            (state(&["a"], &["a"]), None, Status::Degraded, "1 of 1 voting nodes are there"),
            (state(&["a"], &["a"]), Some(Bound::Below(0.0)), Status::Up, ""),
            (state(&three, &["a"]), Some(Bound::Below(0.0)), Status::Down, "1 of 3 voting nodes are there"),
        ];
        for (body, down, status, reason) in table {
            let check = check_of(Kind::Tcp { address: "a:1".into() }, None, down);
            let found = judge(&check, &serde_json::from_str(&body).expect("a state")).expect("a margin");
            assert_eq!((found.status, found.reason.as_ref()), (status, reason), "{body}");
        }
        let check = check_of(Kind::Tcp { address: "a:1".into() }, None, None);
        assert!(matches!(judge(&check, &State::default()), Err(Failed::Blind(_))));
    }
}
