//! `elasticsearch.cluster.wait`: asks again and again until the cluster is as healthy as it shall be. The API's own
//! `wait_for_status` would hold a connection to one node, which may be lost meanwhile.

use std::time::Duration;

use futures::future::BoxFuture;
use regreen_action::{Call, Refusal, params};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Access,
    cluster::{Ask, Cluster, MASTER},
    params::Group,
};
use crate::rest::{Class, Wrong};

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);
/// So much before the host would give up, we do: with what was seen last.
const MARGIN: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Params {
    group: Group,
    status: Colour,
}

/// Worse is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    Red,
    Yellow,
    Green,
}

impl Colour {
    pub fn word(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Yellow => "yellow",
            Self::Green => "green",
        }
    }
}

/// `_cluster/health`, as Elasticsearch and OpenSearch have it in common.
#[derive(Clone, Debug, Deserialize)]
pub struct Health {
    pub status: Colour,
    pub number_of_nodes: u64,
    pub unassigned_shards: u64,
    pub initializing_shards: u64,
    pub relocating_shards: u64,
}

impl Health {
    /// In one line.
    pub fn told(&self) -> String {
        let mut told = format!("{}, {} nodes", self.status.word(), self.number_of_nodes);
        let shards = [
            (self.unassigned_shards, "unassigned"),
            (self.initializing_shards, "initializing"),
            (self.relocating_shards, "relocating"),
        ];
        for (count, what) in shards.into_iter().filter(|(count, _)| *count > 0) {
            told.push_str(&format!(", {count} shards {what}"));
        }
        told
    }
}

/// The call.
struct Wait {
    cluster: Cluster,
    status: Colour,
    patience: Duration,
}

pub fn prepare(access: &Access, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let Params { group, status } = params(command)?;
    let patience = command.task.timeout.to_std().saturating_sub(MARGIN);
    Ok(Box::new(Wait { cluster: access.cluster(&group.nodes)?, status, patience }))
}

impl Wait {
    async fn ask(&self) -> Result<Health, Wrong> {
        self.cluster.read(&Ask::get(&["_cluster", "health"], &[MASTER])).await
    }

    async fn until(&self) -> Verb {
        let end = Instant::now() + self.patience;
        let mut last = "no answer".to_owned();
        loop {
            match timeout_at(end, self.ask()).await {
                Ok(Ok(health)) if health.status >= self.status => return reached(&health),
                Ok(Ok(health)) => last = health.told(),
                // Who is refused now would be refused in a minute.
                Ok(Err(wrong)) if wrong.class == Class::Permanent => return wrong.verb(),
                Ok(Err(wrong)) => last = wrong.reason,
                Err(_) => return self.given_up(&last),
            }
            if timeout_at(end, sleep(PAUSE)).await.is_err() {
                return self.given_up(&last);
            }
        }
    }

    /// For good: to wait once more is what a longer timeout is for.
    fn given_up(&self, last: &str) -> Verb {
        Wrong::permanent(format!("not {} within {:?}: {last}", self.status.word(), self.patience + MARGIN))
            .verb()
    }
}

fn reached(health: &Health) -> Verb {
    Verb::Ok { result: json!({"status": health.status.word()}) }
}

impl Call for Wait {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(self.until())
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            match self.ask().await {
                Ok(health) if health.status >= self.status => {
                    let result = json!({"status": health.status.word()});
                    Verb::Observed { look, answer: Answer::Done { result } }
                }
                Ok(_) => Verb::Observed { look, answer: Answer::NotDone },
                Err(wrong) => Wrong { class: Class::Transient, ..wrong }.verb(),
            }
        })
    }
}
