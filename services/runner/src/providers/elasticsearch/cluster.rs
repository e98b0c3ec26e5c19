//! A cluster as one asks it: by its nodes, any of which speaks for all. A node that is silent must not stand in the way
//! of the others.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use hyper::Method;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::rest::{Class, Rest, Said, Wrong};

/// How long a node may be silent before the next one is asked as well.
const SILENCE: Duration = Duration::from_secs(1);
/// Longest time for an answer to a read, connection apart.
const READ_MAX: Duration = Duration::from_secs(4);
/// Longest time for an answer to a write, connection apart. The cluster itself is given less: `SETTLE`.
const WRITE_MAX: Duration = Duration::from_secs(8);
/// Longest time to find a node that answers: below the host's own for opening, beyond which nothing would be called.
const OPEN_MAX: Duration = Duration::from_secs(4);
/// How long a node looks for its master before it says that there is none: less than [`READ_MAX`], so that it can.
pub const MASTER: (&str, &str) = ("master_timeout", "2s");
/// How long the cluster may take for a change.
pub const SETTLE: (&str, &str) = ("timeout", "5s");

/// A node to ask.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name, in the inventory and in the cluster.
    pub name: String,
    /// Where it answers.
    pub url: Url,
}

/// What is asked.
pub struct Ask<'a> {
    pub method: Method,
    /// Its segments: what stands in them is escaped.
    pub path: &'a [&'a str],
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<Value>,
}

impl<'a> Ask<'a> {
    /// A read.
    pub fn get(path: &'a [&'a str], query: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: Method::GET, path, query, body: None }
    }
}

/// The nodes, and how to get in.
pub struct Cluster {
    rest: Rest,
    members: Vec<Member>,
    /// Who answered last: the next question is asked there first.
    last: AtomicUsize,
}

impl Cluster {
    /// Of these nodes, asked in this order.
    pub fn new(rest: Rest, members: Vec<Member>) -> Self {
        Self { rest, members, last: AtomicUsize::new(0) }
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Who is asked when: the one that answered last, then the others.
    fn order(&self) -> impl ExactSizeIterator<Item = usize> + use<> {
        let (last, count) = (self.last.load(Ordering::Relaxed), self.members.len());
        (0..count).map(move |turn| (last + turn) % count)
    }

    /// Reads from the first node that answers.
    pub async fn read<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T, Wrong> {
        let mut nodes = self.order();
        let mut asked = FuturesUnordered::new();
        let mut wrong: Option<Wrong> = None;
        loop {
            if let Some(node) = nodes.next() {
                asked.push(async move { (node, self.read_from(&self.members[node], ask).await) });
            }
            tokio::select! {
                Some((node, answer)) = asked.next() => match answer {
                    Ok(answer) => {
                        self.last.store(node, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(other) => wrong = Some(telling(other, wrong)),
                },
                () = sleep(SILENCE), if nodes.len() > 0 => {}
                else => break,
            }
        }
        Err(wrong.unwrap_or_else(nobody))
    }

    /// Finds out who answers and has a master, before the ticket: what is asked then leaves at once (rule 18).
    pub async fn open(&self) {
        let ask = Ask::get(&["_cluster", "health"], &[MASTER]);
        // Whether nobody does is told by the call.
        let found = timeout(OPEN_MAX, self.read::<IgnoredAny>(&ask)).await;
        tracing::debug!(found = found.is_ok_and(|read| read.is_ok()), "looked for a node that answers");
    }

    /// Reads from one node.
    pub async fn read_from<T: DeserializeOwned>(&self, member: &Member, ask: &Ask<'_>) -> Result<T, Wrong> {
        let said = self.send(member, ask, READ_MAX).await;
        said.and_then(Said::shaped).map_err(Wrong::of_read)
    }

    /// Writes by one node: by the next only when the one before surely did not get it.
    ///
    /// # Errors
    /// Of class unknown it may have been done: it is to be read back. So is what was accepted.
    pub async fn write(&self, ask: &Ask<'_>) -> Result<(), Wrong> {
        let mut wrong = None;
        for node in self.order() {
            match self.send(&self.members[node], ask, WRITE_MAX).await {
                Err(away) if away.status.is_none() && away.class == Class::Transient => wrong = Some(away),
                answer => return answer.map(|_| ()),
            }
        }
        Err(wrong.unwrap_or_else(nobody))
    }

    /// A success, or what is wrong and where.
    async fn send(&self, member: &Member, ask: &Ask<'_>, patience: Duration) -> Result<Said, Wrong> {
        let ready = self.rest.ready(ask.method.clone(), url(&member.url, ask), ask.body.as_ref());
        let answer = timeout(patience, self.rest.ask(&ready)).await;
        let said = answer.unwrap_or_else(|_| Err(Wrong::unknown(format!("no answer within {patience:?}"))));
        said.and_then(Said::good)
            .map_err(|wrong| Wrong { reason: format!("{}: {}", member.name, wrong.reason), ..wrong })
    }
}

fn url(node: &Url, ask: &Ask<'_>) -> Url {
    let mut url = node.clone();
    url.path_segments_mut().expect("invariant: a node's URL is http").clear().extend(ask.path);
    if !ask.query.is_empty() {
        url.query_pairs_mut().extend_pairs(ask.query);
    }
    url
}

/// There is no node.
pub fn nobody() -> Wrong {
    Wrong::permanent("there is no node to ask")
}

/// Which of two nodes' words tells more: one that refuses is there, and the others would refuse as well.
pub fn telling(wrong: Wrong, other: Option<Wrong>) -> Wrong {
    other.filter(|other| other.class == Class::Permanent).unwrap_or(wrong)
}
