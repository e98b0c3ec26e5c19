//! The master at work: what it decides, it tells everybody; what a majority has taken is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;

use super::{
    allocate,
    change::{self, Change, Step},
    disk::Record,
    documents::Written,
    errors::Refused,
    member::{Decision, Heard, Role, What, Word},
    model::{Cluster, NodeId, Peer},
    node::{BEAT, Node, new_id, now},
    voting,
    wire::{Join, Lost, Outcome, Passed},
};

/// Beats in a row that a member may miss.
const MISSED_MAX: u32 = 3;

type Missed = BTreeMap<NodeId, u32>;

impl Node {
    /// Decides, tells everybody, and returns once all have answered: none when no majority took it, and it is master
    /// no longer. Whoever decides holds `missed`.
    pub async fn decide(&self, missed: &mut Missed, decision: Decision) -> Option<Option<Written>> {
        let (word, written) = self.change(|member| match member.decide(decision) {
            None => (None, None),
            Some((word, written)) => {
                let record = match &word.what {
                    What::Next { at, decision } => Record::Decided { at: *at, decision: decision.clone() },
                    What::Beat | What::Whole { .. } => Record::Whole(Box::new(member.kept.clone())),
                };
                (Some((word, written)), Some(record))
            }
        })?;
        self.tell(missed, word, MISSED_MAX).await.then_some(written)
    }

    /// Says it to all members, and whether a majority heard it. Whoever is silent has missed so many beats.
    async fn tell(&self, missed: &mut Missed, word: Word, weight: u32) -> bool {
        let peers: Vec<Peer> = self.see(|member| {
            member.kept.cluster.nodes.values().filter(|peer| **peer != member.me).cloned().collect()
        });
        missed.retain(|id, _| peers.iter().any(|peer| peer.id == *id));
        let heard = join_all(peers.iter().map(|peer| self.tell_one(peer, &word))).await;
        let mut newer = None;
        let mut with = BTreeSet::new();
        for (peer, heard) in peers.iter().zip(heard) {
            let beats = missed.entry(peer.id.clone()).or_default();
            match heard {
                Ok(Heard::Taken) => {
                    *beats = 0;
                    with.insert(peer.id.clone());
                }
                Ok(Heard::Outdated { term }) => newer = newer.max(Some(term)),
                Ok(Heard::Behind) | Err(Lost::Silent) => *beats += weight,
                Err(Lost::Gone) => *beats = MISSED_MAX,
            }
        }
        let still = |id: &NodeId| missed.get(id).is_some_and(|beats| *beats < MISSED_MAX);
        // A beat that a busy member missed costs no master; a decision is only made by those who took it.
        let counted = if word.what == What::Beat {
            peers.iter().map(|peer| peer.id.clone()).filter(still).collect()
        } else {
            with
        };
        if newer.is_none() && self.see(|member| member.quorum(&counted)) {
            return true;
        }
        tracing::warn!(?newer, "this node is master no longer: {} of {} answer", counted.len(), peers.len());
        self.resign(newer.unwrap_or(0));
        false
    }

    async fn tell_one(&self, peer: &Peer, word: &Word) -> Result<Heard, Lost> {
        match self.line.word(&peer.transport, word).await? {
            Heard::Behind => self.line.word(&peer.transport, &self.see(|member| member.whole())).await,
            heard => Ok(heard),
        }
    }

    /// One beat: who is there, and what follows from that.
    pub async fn beat(&self) {
        let mut missed = self.missed.lock().await;
        let word = self.see(|member| (member.role == Role::Master).then(|| member.word(What::Beat)));
        let Some(word) = word else { return };
        if !self.tell(&mut missed, word, 1).await {
            return;
        }
        let next = self.see(|member| tended(&member.kept.cluster, &missed));
        if let Some(next) = next {
            // Without a majority it is master no longer, and that was said.
            let _ = self.decide(&mut missed, Decision::Cluster(Box::new(next))).await;
        }
    }

    /// Takes a node in; says why not.
    pub async fn admit(&self, join: Join) -> Option<String> {
        let mut missed = self.missed.lock().await;
        let (master, term, uuid) = self
            .see(|member| (member.role == Role::Master, member.kept.term, member.kept.cluster.uuid.clone()));
        if !master {
            return Some("this node is not master".into());
        }
        if join.cluster != self.config.cluster {
            return Some(format!("this is cluster {}, not {}", self.config.cluster, join.cluster));
        }
        if join.uuid.is_some() && join.uuid != uuid {
            return Some("it was in another cluster of the same name".into());
        }
        if join.term > term {
            self.resign(join.term);
            return Some("its term is newer".into());
        }
        let mut next = self.see(|member| member.kept.cluster.clone());
        // A node that comes back at once has left before: its copies are to be filled again.
        next.nodes.retain(|id, peer| *id != join.peer.id && peer.transport != join.peer.transport);
        next = allocate::turn(&next, now());
        missed.remove(&join.peer.id);
        next.nodes.insert(join.peer.id.clone(), join.peer);
        let done = self.decide(&mut missed, Decision::Cluster(Box::new(next))).await;
        self.wake.notify_one();
        done.is_none().then(|| "no majority agrees".into())
    }

    /// Does what a client wants: here as master, or by the master; waits for one, and for what else is missing.
    pub async fn submit(self: &Arc<Self>, change: Change, patience: Duration) -> Outcome {
        let until = Instant::now() + patience;
        let document = matches!(change, Change::Put { .. } | Change::Delete { .. });
        let mut why = if document { Refused::blocked() } else { Refused::no_master() };
        loop {
            let outcome = match self.see(|member| member.role.clone()) {
                Role::Candidate => None,
                Role::Master => match self.perform(&change).await {
                    Ok(outcome) => outcome,
                    Err(not_yet) => {
                        why = not_yet;
                        None
                    }
                },
                Role::Follower(master) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                    match self.line.pass(&master.transport, &Passed { change: change.clone(), millis }).await
                    {
                        Ok(Outcome::NotMaster) | Err(Lost::Gone) => None,
                        Ok(outcome) => Some(outcome),
                        // It may have been done: that is not tried twice.
                        Err(Lost::Silent) => {
                            Some(Outcome::Refused(Refused::too_long("the master did not answer")))
                        }
                    }
                }
            };
            match outcome {
                Some(outcome) => return outcome,
                None if Instant::now() >= until => return Outcome::Refused(why),
                None => self.turn(BEAT.min(until.saturating_duration_since(Instant::now()))).await,
            }
        }
    }

    /// Does it as master; none: it is not. An error is what is missing.
    pub async fn perform(&self, change: &Change) -> Result<Option<Outcome>, Refused> {
        let mut missed = self.missed.lock().await;
        let mut first = Some(change.clone());
        while let Some(now_this) = first.take() {
            let step = self.see(|member| match member.role {
                Role::Master => Some(change::step(&now_this, &member.kept, now(), new_id)),
                Role::Candidate | Role::Follower(_) => None,
            });
            let decision = match step {
                None => return Ok(None),
                Some(Err(refused)) => return Ok(Some(Outcome::Refused(refused))),
                Some(Ok(Step::Wait(missing))) => return Err(missing),
                Some(Ok(Step::Nothing)) => return Ok(Some(self.done(change, None))),
                Some(Ok(Step::First(index))) => {
                    first = Some(index);
                    continue;
                }
                Some(Ok(Step::Decide(decision))) => decision,
            };
            let is_whole_change =
                matches!(decision, Decision::Document(_)) || !matches!(change, Change::Put { .. });
            let Some(written) = self.decide(&mut missed, decision).await else {
                // It may have been done. What can be said twice is said again, to the next master.
                let refused = Outcome::Refused(Refused::blocked());
                return Ok((!change.repeatable()).then_some(refused));
            };
            self.wake.notify_one();
            if is_whole_change {
                return Ok(Some(self.done(change, written)));
            }
            first = Some(change.clone());
        }
        Ok(None)
    }

    fn done(&self, change: &Change, written: Option<Written>) -> Outcome {
        let (status, body) = self.see(|member| change::reply(change, written, &member.kept));
        Outcome::Done { status, body }
    }

    /// What another node passes on: nobody else is asked for it.
    pub async fn passed(self: &Arc<Self>, passed: Passed) -> Outcome {
        if self.see(|member| member.role != Role::Master) {
            return Outcome::NotMaster;
        }
        self.submit(passed.change, Duration::from_millis(passed.millis)).await
    }
}

/// What the cluster is after a beat: without those who are gone, with the electorate and the copies that suit the
/// others. None: nothing changes.
fn tended(cluster: &Cluster, missed: &Missed) -> Option<Cluster> {
    let mut next = cluster.clone();
    next.nodes.retain(|id, _| missed.get(id).is_none_or(|beats| *beats < MISSED_MAX));
    next = allocate::turn(&next, now());
    if next.committed == next.accepted {
        next.accepted = voting::reconfigure(&next);
    } else {
        // A majority of both has taken the newer one.
        next.committed.clone_from(&next.accepted);
    }
    (next != *cluster).then_some(next)
}
