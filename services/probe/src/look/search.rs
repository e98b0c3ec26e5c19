//! Elasticsearch and OpenSearch: whom to ask, and which answer counts. What it means is judged in a file a measure.

mod health;
mod node;
mod numbers;
mod quorum;

use std::time::Duration;

use futures::{StreamExt as _, stream::FuturesUnordered};
use regreen_schemas::view::{Check, Search, SearchMeasure};
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::sleep;

pub use self::numbers::Rates;
use super::{
    Failed, Found,
    access::{self, Door, Reply},
};

pub async fn look(door: &Door, check: &Check, search: &Search, rates: &Rates) -> Result<Found, Failed> {
    let cluster = Cluster { door, search, patience: check.timeout.to_std() };
    match &search.measure {
        SearchMeasure::Health => health::look(&cluster, check).await,
        SearchMeasure::Node => node::look(&cluster, check).await,
        SearchMeasure::QuorumMargin => quorum::look(&cluster, check).await,
        SearchMeasure::CcrLag { index } => numbers::ccr_lag(&cluster, check, index).await,
        SearchMeasure::SnapshotAge { repository } => numbers::snapshot_age(&cluster, check, repository).await,
        SearchMeasure::Canary { index, field } => numbers::canary(&cluster, check, index, field).await,
        SearchMeasure::IndexingLatency => numbers::indexing_latency(&cluster, check, rates).await,
    }
}

/// The nodes, and how to ask them.
struct Cluster<'a> {
    door: &'a Door,
    search: &'a Search,
    /// How long the whole look may take.
    patience: Duration,
}

/// What is asked: GET, or POST when there is a body.
struct Ask<'a> {
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<Value>,
}

impl Cluster<'_> {
    /// Asks one node.
    async fn ask<T: DeserializeOwned>(&self, node: &str, ask: &Ask<'_>) -> Result<T, Failed> {
        let url = access::url(node, ask.path, ask.query)?;
        let method = if ask.body.is_some() { Method::POST } else { Method::GET };
        let mut request = self.door.request(method, url, &self.search.access)?;
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        understand(&access::ask(request).await?)
    }

    /// Asks the nodes until one answers. The next is asked when one has failed, or has been silent for its share of
    /// the time: a node that hangs must not speak for the cluster.
    async fn first<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T, Failed> {
        let mut nodes = self.search.nodes.values();
        let share = u32::try_from(nodes.len() + 1).map_or(Duration::ZERO, |shares| self.patience / shares);
        let mut asked = FuturesUnordered::new();
        let mut failed: Option<Failed> = None;
        loop {
            if let Some(node) = nodes.next() {
                asked.push(self.ask(node, ask));
            }
            let refused = matches!(failed, Some(Failed::Blind(_)));
            tokio::select! {
                Some(answer) = asked.next() => match answer {
                    Ok(answer) => return Ok(answer),
                    // A node that refuses to tell is there: it is not down, whatever the others are.
                    Err(why) => failed = Some(match failed {
                        Some(Failed::Blind(first)) => Failed::Blind(first),
                        _ => why,
                    }),
                },
                () = sleep(share), if nodes.len() > 0 => {}
                // All are asked and one refuses to tell: that the others hang does not make it silence.
                () = sleep(share), if nodes.len() == 0 && refused => break,
                else => break,
            }
        }
        Err(failed.unwrap_or_else(|| Failed::Blind("there is no node to ask".into())))
    }
}

/// An answer of the API's own. That of a wait that timed out (408) is one; 503 says that there is no master; other
/// refusals say nothing about the cluster: our rights, an index or an API that is not there.
fn understand<T: DeserializeOwned>(reply: &Reply) -> Result<T, Failed> {
    match reply.status {
        200..=299 | 408 => serde_json::from_slice(&reply.body)
            .map_err(|_| Failed::NoAnswer(format!("{} without an answer in it", reply.status))),
        400..=499 => Err(Failed::Blind(refusal(reply))),
        _ => Err(Failed::NoAnswer(refusal(reply))),
    }
}

/// The status with the type of the error.
fn refusal(reply: &Reply) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: Kind,
    }
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    let status = reply.status;
    serde_json::from_slice::<Refusal>(&reply.body)
        .map_or_else(|_| status.to_string(), |refusal| format!("{status} {}", refusal.error.r#type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_silence() {
        let blind = |why: &str| Err(Failed::Blind(why.into()));
        let silent = |why: &str| Err(Failed::NoAnswer(why.into()));
        let no_master = r#"{"error":{"root_cause":[{"type":"master_not_discovered_exception","reason":null}],"type":"master_not_discovered_exception","reason":null},"status":503}"#;
        let no_index = r#"{"error":{"root_cause":[],"type":"index_not_found_exception","reason":"no such index [a]","index":"a"},"status":404}"#;
        let no_api = r#"{"error":"no handler found for uri [/a/_ccr/stats] and method [GET]"}"#;
        let table = [
            (200, r#"{"a":1}"#, Ok(serde_json::json!({"a": 1}))),
            (408, r#"{"timed_out":true}"#, Ok(serde_json::json!({"timed_out": true}))),
            (408, "", silent("408 without an answer in it")),
            (200, "<html>", silent("200 without an answer in it")),
            (503, no_master, silent("503 master_not_discovered_exception")),
            (502, "<html>", silent("502")),
            (301, "", silent("301")),
            (401, "", blind("401")),
            (404, no_index, blind("404 index_not_found_exception")),
            (400, no_api, blind("400")),
        ];
        for (status, body, expected) in table {
            let reply = Reply { status, body: body.into() };
            assert_eq!(understand::<Value>(&reply), expected, "{status} {body}");
        }
    }
}
