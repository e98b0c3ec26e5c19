//! Complains to Alertmanager about search nodes that do not answer, as Prometheus would by the shipped rule; without
//! its half a minute of patience, which a drill has no time for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{Cloud, api::show};
use crate::search::config::HTTP;

/// How often it looks, and says what it saw.
const TURN: Duration = Duration::from_millis(500);
/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Silent looks in a row before it complains.
const SILENT_MAX: u32 = 2;

/// What is known of a droplet's node.
#[derive(Default)]
struct Watched {
    name: String,
    /// By what the node calls its cluster: only one that has answered is missed.
    cluster: Option<String>,
    silent: u32,
    /// When the complaint began, which Alertmanager has heard.
    since: Option<String>,
}

/// Looks and complains until it is ended. The droplets that are there have answered, as nodes of that cluster.
pub async fn run(cloud: Arc<Cloud>, alertmanager: String, cluster: String) {
    let client = reqwest::Client::new();
    let url = format!("{}/api/v2/alerts", alertmanager.trim_end_matches('/'));
    let answered = |id: &u64| (*id, Watched { cluster: Some(cluster.clone()), ..Watched::default() });
    let mut watched: BTreeMap<u64, Watched> =
        cloud.with(|state| state.droplets.keys().map(answered).collect());
    loop {
        look(&cloud, &client, &mut watched).await;
        let there = cloud.with(|state| state.droplets.keys().copied().collect::<Vec<_>>());
        let alerts: Vec<Value> =
            watched.iter_mut().filter_map(|(id, one)| alert(one, there.contains(id))).collect();
        // What Alertmanager did not take is said again at the next turn.
        let taken = alerts.is_empty()
            || client.post(&url).json(&alerts).send().await.is_ok_and(|answer| answer.status().is_success());
        if taken {
            watched.values_mut().filter(|one| one.silent == 0).for_each(|one| one.since = None);
            watched.retain(|id, _| there.contains(id));
        }
        tokio::time::sleep(TURN).await;
    }
}

async fn look(cloud: &Cloud, client: &reqwest::Client, watched: &mut BTreeMap<u64, Watched>) {
    let droplets = cloud.with(|state| {
        state.droplets.values().map(|one| (one.id, one.name.clone(), one.address)).collect::<Vec<_>>()
    });
    let asked = droplets.iter().map(async |(_, _, address)| {
        let asked = client.get(format!("http://{address}:{HTTP}/")).timeout(PATIENCE).send().await.ok()?;
        let root: Value = asked.json().await.ok()?;
        root["cluster_name"].as_str().map(str::to_owned)
    });
    let answers = futures::future::join_all(asked).await;
    for ((id, name, _), answer) in droplets.iter().zip(answers) {
        let one = watched.entry(*id).or_default();
        one.name.clone_from(name);
        match answer {
            Some(cluster) => (one.cluster, one.silent) = (Some(cluster), 0),
            None => one.silent += 1,
        }
    }
}

/// What is said of it; none when there is nothing to say. A droplet that is destroyed is no longer looked at.
fn alert(one: &mut Watched, there: bool) -> Option<Value> {
    let cluster = one.cluster.as_ref()?;
    let down = there && one.silent >= SILENT_MAX;
    if !down && one.since.is_none() {
        return None;
    }
    let now = show::time_exact(show::now());
    let since = one.since.get_or_insert_with(|| now.clone());
    let labels = json!({"alertname": "ElasticsearchNodeDown", "severity": "critical", "job": "elasticsearch",
        "node": one.name, "cluster": cluster});
    let summary = format!("{} of {cluster} does not answer", one.name);
    let mut alert = json!({"labels": labels, "annotations": {"summary": summary}, "startsAt": since});
    if !down {
        alert["endsAt"] = now.into();
    }
    Some(alert)
}
