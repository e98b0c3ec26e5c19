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
use crate::{
    providers::turn::Turn,
    rest::{Class, Wrong},
};

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
    /// Whether an earlier attempt may have done a part of it.
    again: bool,
    turn: Turn,
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
    let Node { place, group, others } = params::node(command)?;
    // With peers the node itself is not asked: it is the one that does not answer, or stands apart.
    let members = if others.is_empty() { vec![place.clone()] } else { others };
    let turn = Turn::at(&group);
    let (cluster, again) = (access.cluster(&members)?, command.attempt > 1);
    Ok(Box::new(Change { cluster, node: place.name, rights, exclude, again, turn }))
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
        let mut done = Vec::new();
        for right in self.rights {
            match self.one(*right).await {
                // What is so already may be of the attempt before.
                Came::Same if self.again => done.push(right.word()),
                Came::Same => {}
                Came::Changed => done.push(right.word()),
                // Half of it is no failure: nothing of it would be.
                Came::Nothing(wrong) if done.is_empty() => return wrong.verb(),
                Came::Nothing(Wrong { reason, .. }) | Came::Unsure(reason) => {
                    let done = done.iter().map(|word| format!("{word}: done; ")).collect::<String>();
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
        Box::pin(async {
            self.turn.take().await;
            self.cluster.open().await;
        })
    }

    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            if !self.turn.taken() {
                return Wrong::not_yet("another change of this cluster by this runner is under way").verb();
            }
            self.all().await
        })
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
