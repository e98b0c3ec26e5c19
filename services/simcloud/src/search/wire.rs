//! How members talk to each other: JSON over HTTP on the transport's port.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    change::Change,
    errors::Refused,
    member::{Ballot, Heard, Word},
    model::{At, NodeId, Peer},
};

/// How long a member may take to answer. Longer than a busy machine needs, and shorter than clients wait.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the master may take to do what it was asked.
const CHANGE_PATIENCE: Duration = Duration::from_secs(65);
/// The largest message: a whole cluster with its documents.
pub const BODY_MAX: usize = 256 << 20;

/// Who somebody is, and whom it follows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pong {
    pub peer: Peer,
    pub cluster: String,
    pub uuid: Option<String>,
    pub term: u64,
    pub at: At,
    pub master: Option<Peer>,
    /// Transports that it knows.
    pub known: Vec<String>,
}

/// Somebody wants to be a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Join {
    pub peer: Peer,
    pub cluster: String,
    pub uuid: Option<String>,
    pub term: u64,
}

/// A change that a client wants, passed on to the master.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Passed {
    pub change: Change,
    /// How long it may wait.
    pub millis: u64,
}

/// What became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done {
        status: u16,
        body: Value,
    },
    Refused(Refused),
    /// Ask again: nothing happened.
    NotMaster,
}

/// What came of a question.
#[derive(Debug)]
pub enum Lost {
    /// Nobody listens there: the process is gone.
    Gone,
    /// No answer, or none that is understood.
    Silent,
}

/// Asks other members.
#[derive(Clone)]
pub struct Line(reqwest::Client);

impl Line {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(reqwest::Client::builder().no_proxy().build()?))
    }

    pub async fn ping(&self, transport: &str) -> Result<Pong, Lost> {
        let asked = self.0.get(format!("http://{transport}/ping")).timeout(PATIENCE);
        answer(asked).await
    }

    pub async fn vote(&self, transport: &str, ballot: &Ballot) -> Result<Option<NodeId>, Lost> {
        self.post(transport, "vote", ballot, PATIENCE).await
    }

    pub async fn word(&self, transport: &str, word: &Word) -> Result<Heard, Lost> {
        self.post(transport, "word", word, PATIENCE).await
    }

    pub async fn join(&self, transport: &str, join: &Join) -> Result<Option<String>, Lost> {
        self.post(transport, "join", join, PATIENCE).await
    }

    pub async fn pass(&self, transport: &str, passed: &Passed) -> Result<Outcome, Lost> {
        self.post(transport, "change", passed, CHANGE_PATIENCE).await
    }

    async fn post<A: DeserializeOwned>(
        &self,
        transport: &str,
        what: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<A, Lost> {
        answer(self.0.post(format!("http://{transport}/{what}")).timeout(patience).json(body)).await
    }
}

async fn answer<A: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<A, Lost> {
    let lost = |error: reqwest::Error| {
        if error.is_connect() && !error.is_timeout() { Lost::Gone } else { Lost::Silent }
    };
    request.send().await.map_err(lost)?.json().await.map_err(lost)
}
