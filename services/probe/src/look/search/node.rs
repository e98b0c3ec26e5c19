//! One node among its peers: the culprit of a split is the one whose peers count more than it sees.

use futures::{StreamExt as _, future::try_join, stream::FuturesUnordered};
use regreen_schemas::{check::Status, view::Check};
use serde::Deserialize;
use tokio::time::timeout;

use super::{Ask, Cluster};
use crate::look::{Failed, Found};

/// Peers that are asked, all at the same time: so many tell as well as all.
const PEERS_MAX: usize = 32;

/// `_cluster/health?local=true`: what the node knows without asking anybody.
#[derive(Clone, Deserialize)]
struct Sight {
    number_of_nodes: u32,
    /// Elasticsearch since 7.16. A node that has lost its master goes on counting the nodes that it last saw.
    #[serde(default)]
    discovered_master: Option<bool>,
    /// OpenSearch since 2.0.
    #[serde(default)]
    discovered_cluster_manager: Option<bool>,
}

impl Sight {
    fn master(&self) -> Option<bool> {
        self.discovered_cluster_manager.or(self.discovered_master)
    }
}

pub async fn look(cluster: &Cluster<'_>, check: &Check) -> Result<Found, Failed> {
    let nodes = &cluster.search.nodes;
    let own = cluster.search.own.as_ref();
    let own = own.ok_or_else(|| Failed::Blind("no node is named: `measure: node` is of one".into()))?;
    let url = nodes.get(own).ok_or_else(|| Failed::Blind(format!("node `{own}` has no address")))?;
    let ask = Ask { path: &["_cluster", "health"], query: &[("local", "true")], body: None };
    // A peer that hangs must leave time to judge.
    let patience = cluster.patience * 3 / 4;
    let mut asked = FuturesUnordered::new();
    for (_, url) in nodes.iter().filter(|(name, _)| *name != own).take(PEERS_MAX) {
        asked.push(timeout(patience, cluster.ask::<Sight>(url, &ask)));
    }
    let peers = async {
        let mut peers = Vec::new();
        while let Some(answer) = asked.next().await {
            peers.extend(answer.ok().and_then(Result::ok));
        }
        Ok(peers)
    };
    let (own, peers) = try_join(cluster.ask::<Sight>(url, &ask), peers).await?;
    Ok(judge(check, &own, &peers, nodes.len()))
}

fn judge(check: &Check, own: &Sight, peers: &[Sight], configured: usize) -> Found {
    let sees = own.number_of_nodes;
    let most = peers.iter().map(|peer| peer.number_of_nodes).max().unwrap_or(0);
    let split = format!("sees {sees} nodes, a peer sees {most}");
    let found = Found::measured(check, sees.into(), format!("sees {sees} nodes"));
    if own.master() == Some(false) && peers.iter().any(|peer| peer.master() == Some(true)) {
        return Found::down("has no master, a peer has one");
    }
    match sees {
        _ if sees >= most => found,
        _ if sees as usize * 2 <= configured => Found::down(split),
        _ => Found::not_up(Status::Degraded, split).or_worse(found),
    }
}

#[cfg(test)]
mod tests {
    use regreen_schemas::view::{Bound, Kind};

    use super::*;
    use crate::look::check_of;

    fn sight(nodes: u32, master: Option<bool>) -> Sight {
        Sight { number_of_nodes: nodes, discovered_master: master, discovered_cluster_manager: None }
    }

    #[test]
    fn the_culprit_is_the_one_that_sees_fewer_than_its_peers() {
        let check = check_of(Kind::Tcp { address: "a:1".into() }, Some(Bound::Below(3.0)), None);
        let table = [
            (3, vec![3, 3], Status::Up, ""),
            (1, vec![2, 2], Status::Down, "sees 1 nodes, a peer sees 2"),
            // Its peers see fewer than are configured too, but it is not the one that is apart.
            (2, vec![2, 1], Status::Degraded, "sees 2 nodes"),
            (2, vec![3, 3], Status::Degraded, "sees 2 nodes, a peer sees 3"),
            (1, vec![], Status::Degraded, "sees 1 nodes"),
            (4, vec![3, 3], Status::Up, ""),
        ];
        for (own, peers, status, reason) in table {
            let peers: Vec<Sight> = peers.into_iter().map(|nodes| sight(nodes, None)).collect();
            let found = judge(&check, &sight(own, None), &peers, 3);
            assert_eq!((found.status, found.reason.as_ref()), (status, reason), "{own}");
        }
    }

    #[test]
    fn a_node_without_master_is_the_culprit_only_while_a_peer_has_one() {
        let check = check_of(Kind::Tcp { address: "a:1".into() }, None, None);
        let table = [
            (Some(false), Some(true), Status::Down),
            (Some(false), Some(false), Status::Up),
            (Some(true), Some(false), Status::Up),
            (None, Some(true), Status::Up),
        ];
        for (own, peer, status) in table {
            let found = judge(&check, &sight(3, own), &[sight(3, peer)], 3);
            assert_eq!(found.status, status, "{own:?} {peer:?}");
        }
        // OpenSearch says it twice.
        let both = r#"{"number_of_nodes":3,"discovered_master":true,"discovered_cluster_manager":true}"#;
        assert_eq!(serde_json::from_str::<Sight>(both).expect("health").master(), Some(true));
    }
}
