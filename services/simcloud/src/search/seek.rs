//! A node without a master: finds one and joins it, or becomes one itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, atomic::Ordering},
};

use futures::future::join_all;

use super::{
    disk::Record,
    member::Decision,
    model::{Cluster, NodeId},
    node::Node,
    wire::{Join, Pong},
};

/// Addresses that are asked: more than any drill has nodes.
const KNOWN_MAX: usize = 64;
/// Looks during which another one may go first.
const DEFERRED_MAX: u32 = 3;

impl Node {
    /// One look around.
    pub async fn seek(&self) {
        let met = self.meet().await;
        for pong in &met {
            if let Some(master) = &pong.master
                && self.join(&master.transport).await
            {
                return;
            }
        }
        self.bootstrap(&met);
        if !self.see(|member| member.votes()) {
            return;
        }
        let knows = self.see(|member| member.kept.at);
        let ready = |pong: &&Pong| pong.master.is_none() && pong.at <= knows;
        let would: BTreeSet<NodeId> = met.iter().filter(ready).map(|pong| pong.peer.id.clone()).collect();
        // Asked before a new term is begun: a node that could not win disturbs nobody.
        if !self.see(|member| member.quorum(&would)) {
            return;
        }
        // Of several that could, the first by id goes first: two terms at once would end each other.
        let me = self.see(|member| member.me.id.clone());
        let first = met.iter().filter(ready).all(|pong| pong.at < knows || pong.peer.id > me);
        if first || self.deferred.fetch_add(1, Ordering::Relaxed) >= DEFERRED_MAX {
            self.deferred.store(0, Ordering::Relaxed);
            self.stand(&met).await;
        }
    }

    /// Asks everybody it knows of who they are.
    async fn meet(&self) -> Vec<Pong> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = known.iter().map(|transport| self.line.ping(transport));
        let (me, cluster) = (self.see(|member| member.me.clone()), &self.config.cluster);
        let mut met = BTreeMap::new();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for pong in join_all(asked).await.into_iter().filter_map(Result::ok) {
            if pong.cluster == *cluster && pong.peer.id != me.id {
                known.extend(pong.known.iter().cloned());
                known.insert(pong.peer.transport.clone());
                met.insert(pong.peer.id.clone(), pong);
            }
        }
        known.remove(&me.transport);
        let mut kept = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(known.into_iter().take(KNOWN_MAX));
        met.into_values().collect()
    }

    /// Asks a master to take it in.
    async fn join(&self, transport: &str) -> bool {
        let cluster = self.config.cluster.clone();
        let join = self.see(|member| Join {
            peer: member.me.clone(),
            cluster,
            uuid: member.kept.cluster.uuid.clone(),
            term: member.kept.term,
        });
        match self.line.join(transport, &join).await {
            Ok(None) => true,
            Ok(Some(why)) => {
                tracing::warn!("{transport} does not take this node in: {why}");
                false
            }
            // It is gone or busy; there is another look soon.
            Err(_) => false,
        }
    }

    /// The first electorate, once all that the configuration names are there and none of them has a cluster yet.
    fn bootstrap(&self, met: &[Pong]) {
        let initial = &self.config.initial;
        if initial.is_empty() || met.iter().any(|pong| pong.uuid.is_some()) {
            return;
        }
        let (me, blank) = self.see(|member| (member.me.clone(), member.kept.cluster == Cluster::default()));
        let there: BTreeMap<&String, &NodeId> =
            met.iter().map(|pong| (&pong.peer.name, &pong.peer.id)).chain([(&me.name, &me.id)]).collect();
        let named: Option<BTreeSet<NodeId>> =
            initial.iter().map(|name| there.get(name).copied().cloned()).collect();
        if let Some(named) = named.filter(|named| blank && named.contains(&me.id)) {
            self.change(|member| {
                member.bootstrap(&named);
                ((), Some(Record::Whole(Box::new(member.kept.clone()))))
            });
        }
    }

    /// Wants to be master, and is with enough votes.
    async fn stand(&self, met: &[Pong]) {
        let ballot = self.change(|member| (member.stand(), None));
        let asked = met.iter().map(|pong| self.line.vote(&pong.peer.transport, &ballot));
        let voted: BTreeSet<NodeId> =
            join_all(asked).await.into_iter().filter_map(|vote| vote.ok()?).collect();
        // Members are those who voted, and who were members and are there; others join.
        let was = self.see(|member| member.kept.cluster.nodes.clone());
        let peers = met.iter().map(|pong| pong.peer.clone());
        let members = peers.filter(|peer| voted.contains(&peer.id) || was.contains_key(&peer.id)).collect();
        let mut missed = self.missed.lock().await;
        let won = self.change(|member| {
            let won = if member.quorum(&voted) { member.win(ballot.term, members) } else { None };
            (won, None)
        });
        let Some(cluster) = won else { return };
        missed.clear();
        tracing::info!(term = ballot.term, "this node is master");
        if self.decide(&mut missed, Decision::Cluster(Box::new(cluster))).await.is_none() {
            tracing::warn!("no majority follows this node");
        }
        drop(missed);
        self.wake.notify_one();
    }
}
