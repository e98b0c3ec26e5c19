//! Histories of a cluster by chance: messages are lost, members restart, masters are elected over others that live.
//! In none of them are there two masters in one term, and what a majority has taken is never lost.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use serde_json::json;

use super::*;

const SIZE: usize = 3;
const HISTORIES: u64 = 300;
const STEPS: usize = 300;

fn peer(number: usize) -> Peer {
    let name = format!("n{number}");
    let id = NodeId(name.clone());
    Peer { id, transport: name.clone(), http: name.clone(), ephemeral: name.clone(), name }
}

struct History {
    random: SmallRng,
    members: Vec<Member>,
    /// Whoever was master of a term.
    masters: BTreeMap<u64, NodeId>,
    /// What a majority has taken.
    done: Vec<String>,
}

impl History {
    fn new(seed: u64) -> Self {
        let named: BTreeSet<NodeId> = (0..SIZE).map(|number| peer(number).id).collect();
        let members = (0..SIZE).map(|number| {
            let mut member = Member::new(peer(number), Kept::default());
            member.bootstrap(&named);
            member
        });
        let members = members.collect();
        Self { random: SmallRng::seed_from_u64(seed), members, masters: BTreeMap::new(), done: Vec::new() }
    }

    fn arrives(&mut self) -> bool {
        self.random.random_bool(0.7)
    }

    fn step(&mut self, number: usize) {
        let which = self.random.random_range(0..SIZE);
        match self.random.random_range(0..10) {
            0 => {
                // It was killed, and starts again with what it kept.
                let kept = self.members[which].kept.clone();
                self.members[which] = Member::new(peer(which), kept);
            }
            1 => self.members[which].resign(0),
            2..=4 => self.elect(which),
            _ => self.write(which, number),
        }
    }

    fn elect(&mut self, which: usize) {
        if self.members[which].role != Role::Candidate {
            return;
        }
        let ballot = self.members[which].stand();
        let mut voted = BTreeSet::new();
        let mut peers = Vec::new();
        for other in (0..SIZE).filter(|other| *other != which) {
            if self.arrives() && self.members[other].vote(&ballot) && self.arrives() {
                voted.insert(peer(other).id);
                peers.push(peer(other));
            }
        }
        let member = &mut self.members[which];
        let won = if member.quorum(&voted) { member.win(ballot.term, peers) } else { None };
        if let Some(mut cluster) = won {
            let before = self.masters.insert(ballot.term, peer(which).id);
            assert!(
                before.is_none_or(|before| before == peer(which).id),
                "two masters in term {}",
                ballot.term
            );
            // All are members here: who is not heard is not forgotten.
            cluster.nodes = (0..SIZE).map(|number| (peer(number).id, peer(number))).collect();
            self.decide(which, Decision::Cluster(Box::new(cluster)));
        }
    }

    fn write(&mut self, which: usize, number: usize) {
        let id = format!("d{number}");
        let operation = Operation { index: "i".into(), id: id.clone(), source: Some(json!({})) };
        // Its index is there for as long as it is written to.
        if self.members[which].role == Role::Master && self.decide(which, Decision::Document(operation)) {
            self.done.push(id);
        }
    }

    fn decide(&mut self, which: usize, decision: Decision) -> bool {
        let Some((word, _)) = self.members[which].decide(with_index(decision)) else { return false };
        let mut with = BTreeSet::new();
        let mut newer = None;
        for other in (0..SIZE).filter(|other| *other != which) {
            if !self.arrives() {
                continue;
            }
            let mut heard = self.members[other].hear(word.clone());
            if heard == Heard::Behind {
                let whole = self.members[which].whole();
                heard = self.members[other].hear(whole);
            }
            match heard {
                Heard::Outdated { term } => newer = newer.max(Some(term)),
                Heard::Taken if self.arrives() => {
                    with.insert(peer(other).id);
                }
                Heard::Taken | Heard::Behind => {}
            }
        }
        let done = newer.is_none() && self.members[which].quorum(&with);
        if !done {
            self.members[which].resign(newer.unwrap_or(0));
        }
        done
    }
}

/// Documents stay only in indices that the cluster has.
fn with_index(decision: Decision) -> Decision {
    match decision {
        Decision::Cluster(mut cluster) => {
            let (uuid, settings, mappings) = (String::new(), BTreeMap::new(), json!({}));
            let index =
                crate::search::model::Index { uuid, created: 0, settings, mappings, shards: Vec::new() };
            cluster.indices.insert("i".into(), index);
            Decision::Cluster(cluster)
        }
        document @ Decision::Document(_) => document,
    }
}

#[test]
fn what_a_majority_has_taken_is_never_lost() {
    let mut written = 0;
    for seed in 0..HISTORIES {
        let mut history = History::new(seed);
        for number in 0..STEPS {
            history.step(number);
            let newest = history
                .members
                .iter()
                .filter(|member| member.role == Role::Master)
                .max_by_key(|one| one.kept.term);
            // A master that has decided in the newest term has all that was done.
            if let Some(master) =
                newest.filter(|one| Some(&one.kept.term) == history.masters.keys().next_back())
            {
                for id in &history.done {
                    assert!(
                        master.kept.documents.get("i", id).is_some(),
                        "seed {seed}: {id} is lost at step {number}"
                    );
                }
            }
        }
        written += history.done.len();
    }
    assert!(written > 1000, "so little was written that nothing was shown: {written}");
}

#[test]
fn nobody_votes_for_who_knows_less_or_twice_or_under_a_master() {
    let kept = Kept { at: At { term: 1, index: 5 }, term: 1, ..Kept::default() };
    let fresh = || Member::new(peer(0), kept.clone());
    let ballot = |candidate: usize, term: u64, index: u64| {
        let at = At { term: 1, index };
        Ballot { term, candidate: peer(candidate).id, at }
    };
    let mut member = fresh();
    assert!(!member.vote(&ballot(1, 2, 4)), "it knows less");
    assert!(!member.vote(&ballot(1, 0, 9)), "an old term");
    assert!(member.vote(&ballot(1, 2, 5)) && member.vote(&ballot(1, 2, 5)), "asked again, the same");
    assert!(!member.vote(&ballot(2, 2, 9)), "one vote a term");
    assert!(member.vote(&ballot(2, 3, 9)));
    member.role = Role::Follower(peer(2));
    assert!(!member.vote(&ballot(1, 4, 9)), "it has a master");
}
