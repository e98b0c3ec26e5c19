//! One member of a cluster, without clock and network: whom it follows, what it votes for, what it takes over.
//!
//! What is decided has one order. A member takes the next decision only when it has all before it; else it asks for
//! the whole. A master is elected by members that know no more than it does, and what a majority has taken is kept.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    documents::{Documents, Operation, Written},
    model::{At, Cluster, NodeId, Peer},
    voting,
};

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has no master, and looks for one.
    Candidate,
    Follower(Peer),
    Master,
}

/// What a member must not forget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The newest term it has heard of.
    pub term: u64,
    /// For whom it voted in that term.
    pub voted: Option<NodeId>,
    /// The last decision it has taken over.
    pub at: At,
    pub cluster: Cluster,
    pub documents: Documents,
}

/// Somebody wants to be master.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ballot {
    pub term: u64,
    pub candidate: NodeId,
    /// What it knows.
    pub at: At,
}

/// A decision, as the master tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Cluster(Box<Cluster>),
    Document(Operation),
}

/// What the master tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is still there.
    Beat,
    Next {
        at: At,
        decision: Decision,
    },
    /// All of it, for whoever is behind.
    Whole {
        cluster: Box<Cluster>,
        documents: Documents,
    },
}

/// The master speaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    pub term: u64,
    pub master: Peer,
    /// What was decided before; for the whole, what it contains.
    pub before: At,
    pub what: What,
}

/// What a member answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    Taken,
    /// It needs the whole.
    Behind,
    /// There is a newer term.
    Outdated {
        term: u64,
    },
}

/// A member.
#[derive(Clone, Debug)]
pub struct Member {
    pub me: Peer,
    pub role: Role,
    pub kept: Kept,
}

impl Member {
    /// As it starts.
    pub fn new(me: Peer, kept: Kept) -> Self {
        Self { me, role: Role::Candidate, kept }
    }

    /// The master it follows, itself included.
    pub fn master(&self) -> Option<&Peer> {
        match &self.role {
            Role::Candidate => None,
            Role::Follower(master) => Some(master),
            Role::Master => Some(&self.me),
        }
    }

    /// Whether it may become master.
    pub fn votes(&self) -> bool {
        let Cluster { committed, accepted, .. } = &self.kept.cluster;
        committed.contains(&self.me.id) || accepted.contains(&self.me.id)
    }

    /// Whether these and itself may decide.
    pub fn quorum(&self, with: &BTreeSet<NodeId>) -> bool {
        let mut yes = with.clone();
        yes.insert(self.me.id.clone());
        voting::quorum(&self.kept.cluster, &yes)
    }

    /// Makes the first electorate, from those that the configuration names, and the cluster's id. Not twice. Whoever
    /// makes them makes the same: several may before one of them is master.
    pub fn bootstrap(&mut self, named: &BTreeSet<NodeId>) {
        if self.kept.cluster.accepted.is_empty() {
            let all: Vec<NodeId> = named.iter().cloned().collect();
            self.kept.cluster.uuid = all.first().map(|id| id.0.chars().rev().collect());
            self.kept.cluster.committed.clone_from(&all);
            self.kept.cluster.accepted = all;
        }
    }

    /// Asks to be master, in a new term, with its own vote.
    pub fn stand(&mut self) -> Ballot {
        self.kept.term += 1;
        self.kept.voted = Some(self.me.id.clone());
        self.role = Role::Candidate;
        Ballot { term: self.kept.term, candidate: self.me.id.clone(), at: self.kept.at }
    }

    /// Whether it gives its vote. One a term, to nobody who knows less, and not while it has a master.
    pub fn vote(&mut self, ballot: &Ballot) -> bool {
        if ballot.term < self.kept.term || self.role != Role::Candidate || ballot.at < self.kept.at {
            return false;
        }
        if ballot.term > self.kept.term {
            self.kept.term = ballot.term;
            self.kept.voted = None;
        }
        let voted = self.kept.voted.get_or_insert_with(|| ballot.candidate.clone());
        *voted == ballot.candidate
    }

    /// The votes are in: it is master, unless the term is another one by now. The first decision says so, and that
    /// these are its members.
    pub fn win(&mut self, term: u64, members: Vec<Peer>) -> Option<Cluster> {
        if self.kept.term != term || self.role != Role::Candidate {
            return None;
        }
        self.role = Role::Master;
        let mut cluster = self.kept.cluster.clone();
        let all = members.into_iter().chain([self.me.clone()]);
        cluster.nodes = all.map(|peer| (peer.id.clone(), peer)).collect();
        cluster.master = Some(self.me.id.clone());
        Some(cluster)
    }

    /// It is no longer master, or has lost it.
    pub fn resign(&mut self, newer: u64) {
        self.role = Role::Candidate;
        if newer > self.kept.term {
            self.kept.term = newer;
            self.kept.voted = None;
        }
    }

    /// A decision of its own, as master: taken over here first. None: it is not master.
    pub fn decide(&mut self, decision: Decision) -> Option<(Word, Option<Written>)> {
        if self.role != Role::Master {
            return None;
        }
        let before = self.kept.at;
        let at = At { term: self.kept.term, index: before.index + 1 };
        let written = self.take(at, decision.clone());
        let (term, master) = (self.kept.term, self.me.clone());
        Some((Word { term, master, before, what: What::Next { at, decision } }, written))
    }

    /// What the master says to whoever is behind, or just that it is there.
    pub fn word(&self, what: What) -> Word {
        Word { term: self.kept.term, master: self.me.clone(), before: self.kept.at, what }
    }

    /// All of it.
    pub fn whole(&self) -> Word {
        let (cluster, documents) = (Box::new(self.kept.cluster.clone()), self.kept.documents.clone());
        self.word(What::Whole { cluster, documents })
    }

    /// Hears the master.
    pub fn hear(&mut self, word: Word) -> Heard {
        if word.term < self.kept.term || (word.term == self.kept.term && self.role == Role::Master) {
            return Heard::Outdated { term: self.kept.term };
        }
        if word.term > self.kept.term {
            self.kept.term = word.term;
            self.kept.voted = None;
        }
        self.role = Role::Follower(word.master);
        match word.what {
            What::Whole { cluster, documents } => {
                self.kept.documents = documents;
                self.kept.cluster = *cluster;
                self.kept.at = word.before;
                Heard::Taken
            }
            _ if word.before != self.kept.at => Heard::Behind,
            What::Beat => Heard::Taken,
            What::Next { at, decision } => {
                self.take(at, decision);
                Heard::Taken
            }
        }
    }

    /// Takes a decision over.
    pub fn take(&mut self, at: At, decision: Decision) -> Option<Written> {
        self.kept.at = at;
        match decision {
            Decision::Document(operation) => Some(self.kept.documents.apply(operation, at)),
            Decision::Cluster(cluster) => {
                self.kept.documents.keep(|name| cluster.indices.contains_key(name));
                self.kept.cluster = *cluster;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
