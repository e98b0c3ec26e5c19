//! What the four changes have in common. Each is a set of state: what is so already is not written, what was written is
//! read back, and only that counts.

use futures::future::BoxFuture;
use regreen_action::{Call, Refusal};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde_json::{Value, json};

use super::{
    Access,
    cluster::Cluster,
    params::{self, Node},
    shards, votes,
};
use crate::rest::{Class, Wrong};

/// What a node may do in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    /// Hold shards.
    Shards,
    /// Vote on the master.
    Vote,
}

/// Takes rights from a node, or gives them back.
struct Change {
    cluster: Cluster,
    node: String,
    rights: &'static [Right],
    exclude: bool,
}

/// `elasticsearch.node.exclude`.
pub fn node_exclude(access: &Access, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    change(access, command, &[Right::Shards, Right::Vote], true)
}

/// `elasticsearch.node.include`.
pub fn node_include(access: &Access, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    change(access, command, &[Right::Shards, Right::Vote], false)
}

/// `elasticsearch.voting.exclude`.
pub fn voting_exclude(access: &Access, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    change(access, command, &[Right::Vote], true)
}

/// `elasticsearch.voting.include`.
pub fn voting_include(access: &Access, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    change(access, command, &[Right::Vote], false)
}

fn change(
    access: &Access,
    command: &Command,
    rights: &'static [Right],
    exclude: bool,
) -> Result<Box<dyn Call>, Refusal> {
    let Node { place, others } = params::node(command)?;
    // It is asked last: most likely it is the one that does not answer.
    let members: Vec<_> = others.into_iter().chain([place.clone()]).collect();
    let cluster = access.cluster(&members)?;
    Ok(Box::new(Change { cluster, node: place.name, rights, exclude }))
}

impl Right {
    async fn change(self, cluster: &Cluster, node: &str, exclude: bool) -> Result<bool, Wrong> {
        match self {
            Self::Shards => shards::change(cluster, node, exclude).await,
            Self::Vote => votes::change(cluster, node, exclude).await,
        }
    }

    /// Whether it is as it shall be.
    async fn is(self, cluster: &Cluster, node: &str, excluded: bool) -> Result<bool, Wrong> {
        Ok(match self {
            Self::Shards if excluded => shards::read(cluster).await?.exclude(node),
            Self::Shards => !shards::read(cluster).await?.mention(node),
            Self::Vote if excluded => votes::read(cluster).await?.withhold(node),
            Self::Vote => !votes::read(cluster).await?.exclude(node),
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Shards => "shards",
            Self::Vote => "vote",
        }
    }
}

/// How one right came out.
enum Came {
    /// It was so already.
    Same,
    /// Changed, and read back.
    Changed,
    /// Surely nothing was changed.
    Nothing(Wrong),
    /// It was sent, and that is all that is sure.
    Unsure(String),
}

impl Change {
    async fn one(&self, right: Right) -> Came {
        let sent = match right.change(&self.cluster, &self.node, self.exclude).await {
            Ok(false) => return Came::Same,
            Ok(true) => "accepted".to_owned(),
            Err(wrong) if wrong.class == Class::Unknown => wrong.reason,
            Err(wrong) => return Came::Nothing(wrong),
        };
        match right.is(&self.cluster, &self.node, self.exclude).await {
            Ok(true) => Came::Changed,
            Ok(false) => Came::Unsure(format!("{}: {sent}, and it is not so", right.word())),
            Err(Wrong { reason, .. }) => {
                Came::Unsure(format!("{}: {sent}, and it can't be read back: {reason}", right.word()))
            }
        }
    }

    async fn all(&self) -> Verb {
        let mut changed = Vec::new();
        for right in self.rights {
            match self.one(*right).await {
                Came::Same => {}
                Came::Changed => changed.push(right.word()),
                // Half of it is no failure: nothing of it would be.
                Came::Nothing(wrong) if changed.is_empty() => return wrong.verb(),
                Came::Nothing(Wrong { reason, .. }) | Came::Unsure(reason) => {
                    let done = changed.iter().map(|word| format!("{word}: done; ")).collect::<String>();
                    return Verb::Unknown { reason: format!("{done}{reason}").into() };
                }
            }
        }
        Verb::Ok { result: json!({}) }
    }

    async fn look(&self) -> Result<bool, Wrong> {
        for right in self.rights {
            if !right.is(&self.cluster, &self.node, self.exclude).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Call for Change {
    fn open(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.cluster.open())
    }

    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(self.all())
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            match self.look().await {
                Ok(true) => Verb::Observed { look, answer: Answer::Done { result: json!({}) } },
                Ok(false) => Verb::Observed { look, answer: Answer::NotDone },
                Err(wrong) => Wrong { class: Class::Transient, ..wrong }.verb(),
            }
        })
    }
}
