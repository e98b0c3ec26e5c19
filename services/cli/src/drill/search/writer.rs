//! Writes canary documents all the while, to any node that answers, and finds them again at the end.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use regreen_kit::clock;
use regreen_schemas::{Span, Timestamp};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use super::cloud::PORT;
use crate::drill::{canary::Tally, stage::PULSE};

/// The index that the shipped check `canary` reads.
const INDEX: &str = "canary";
/// Pause between two documents.
const EVERY: Duration = Duration::from_millis(50);
/// How long one node may take for one document.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long documents are looked for that no node can tell of.
const FIND_MAX: Duration = Duration::from_secs(60);
/// Documents that are looked for at the same time.
const AT_ONCE: usize = 8;

/// What the task and its owner share.
#[derive(Default)]
struct Shared {
    nodes: Mutex<Vec<String>>,
    acknowledged: Mutex<Vec<(u64, Timestamp)>>,
    tried: AtomicU64,
}

/// The writer; it ends with this.
pub struct Writer {
    http: Client,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    began: Timestamp,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Writer {
    /// Makes the index, a copy of it on every node, and begins. A copy that is lost with its node is made anew elsewhere
    /// after `delayed`.
    pub async fn start(nodes: Vec<String>, delayed: Span) -> anyhow::Result<Self> {
        let http = Client::builder().timeout(PATIENCE).build()?;
        let first = nodes.first().context("there is no node to write to")?;
        let index = json!({
            "settings": {
                "number_of_shards": 1,
                "number_of_replicas": nodes.len() - 1,
                "index.unassigned.node_left.delayed_timeout": format!("{}ms", delayed.0),
            },
            "mappings": {"properties": {"@timestamp": {"type": "date"}, "n": {"type": "long"}}},
        });
        let answer =
            http.put(format!("http://{first}:{PORT}/{INDEX}")).timeout(FIND_MAX).json(&index).send().await?;
        answer.error_for_status().context("the canary's index can't be made")?;
        let shared = Arc::new(Shared { nodes: Mutex::new(nodes), ..Shared::default() });
        let task = tokio::spawn(write(http.clone(), shared.clone()));
        Ok(Self { http, shared, task, began: clock::wall() })
    }

    /// Who is there to write to.
    pub fn nodes(&self, nodes: Vec<String>) {
        *self.shared.nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes;
    }

    /// What has been acknowledged, in order.
    pub fn acknowledged(&self) -> Vec<(u64, Timestamp)> {
        self.shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends, and looks for every document that was acknowledged: what became of them, and which are lost.
    pub async fn finish(&self) -> anyhow::Result<(Tally, BTreeSet<u64>)> {
        self.task.abort();
        let ended = clock::wall();
        let acknowledged = self.acknowledged();
        let look = |number: u64| async move { anyhow::Ok((number, self.find(number).await?)) };
        let numbers = acknowledged.iter().map(|(number, _)| *number);
        let found: Vec<(u64, bool)> =
            stream::iter(numbers).map(look).buffer_unordered(AT_ONCE).try_collect().await?;
        let lost: BTreeSet<u64> =
            found.into_iter().filter(|(_, found)| !found).map(|(number, _)| number).collect();
        let tried = self.shared.tried.load(Ordering::SeqCst);
        Ok((Tally::of(tried, &acknowledged, |number| !lost.contains(&number), self.began, ended), lost))
    }

    /// Whether a document is there: only a node that looked and did not find it counts as a no.
    async fn find(&self, number: u64) -> anyhow::Result<bool> {
        let nodes = self.shared.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let began = Instant::now();
        loop {
            let mut why = "there is no node".to_owned();
            for node in &nodes {
                match self.http.get(format!("http://{node}:{PORT}/{INDEX}/_doc/{number}")).send().await {
                    Ok(answer) if answer.status() == StatusCode::OK => return Ok(true),
                    Ok(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(false),
                    Ok(answer) => why = answer.status().to_string(),
                    Err(error) => why = error.to_string(),
                }
            }
            if began.elapsed() > FIND_MAX {
                bail!("no node can tell whether document {number} is there: {why}");
            }
            tokio::time::sleep(PULSE).await;
        }
    }
}

/// One document after the other, for ever.
async fn write(http: Client, shared: Arc<Shared>) {
    let mut beat = tokio::time::interval(EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let number = shared.tried.fetch_add(1, Ordering::SeqCst) + 1;
        let nodes = shared.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Every node gets its share, and the next one what the first does not take.
        let first = usize::try_from(number).unwrap_or_default() % nodes.len().max(1);
        for node in nodes.iter().cycle().skip(first).take(nodes.len()) {
            if let Some(at) = offer(&http, node, number).await {
                shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push((number, at));
                break;
            }
        }
    }
}

/// When a node acknowledged the document. Whatever else it said, it may be there or not, and does not count.
async fn offer(http: &Client, node: &str, number: u64) -> Option<Timestamp> {
    let url = format!("http://{node}:{PORT}/{INDEX}/_doc/{number}?timeout=1s");
    let document = json!({"@timestamp": clock::wall().0, "n": number});
    let answer = http.put(url).json(&document).send().await.ok()?;
    answer.status().is_success().then(clock::wall)
}
