//! A cluster as one asks it: by its nodes, any of which speaks for all. A node that is silent must not stand in the way
//! of the others, and the one that is to be repaired is asked last.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use hyper::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use url::Url;

use super::answer::{self, Sent, Trouble};
use crate::connection::{Client, Error, Ready, Reply};

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
    client: Client,
    headers: HeaderMap,
    members: Arc<[Member]>,
    /// Who answered last: the next question is asked there first.
    last: AtomicUsize,
}

impl Cluster {
    /// Of these nodes, asked in this order.
    pub fn new(client: Client, headers: HeaderMap, members: Vec<Member>) -> Self {
        Self { client, headers, members: members.into(), last: AtomicUsize::new(0) }
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
    pub async fn read<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T, Trouble> {
        let mut nodes = self.order();
        let mut asked = FuturesUnordered::new();
        let mut trouble: Option<Trouble> = None;
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
                    Err(why) => trouble = Some(why.or(trouble)),
                },
                () = sleep(SILENCE), if nodes.len() > 0 => {}
                else => break,
            }
        }
        Err(trouble.unwrap_or_else(|| Trouble::lasting("there is no node to ask")))
    }

    /// Finds out who answers and has a master, before the ticket: what is asked then leaves at once (rule 18).
    pub async fn open(&self) {
        let ask = Ask::get(&["_cluster", "health"], &[MASTER]);
        // Whether nobody does is told by the call.
        let found = timeout(OPEN_MAX, self.read::<IgnoredAny>(&ask)).await;
        tracing::debug!(found = found.is_ok_and(|read| read.is_ok()), "looked for a node that answers");
    }

    /// Reads from one node.
    pub async fn read_from<T: DeserializeOwned>(&self, member: &Member, ask: &Ask<'_>) -> Result<T, Trouble> {
        let of = |what: String| Trouble::passing(format!("{}: {what}", member.name));
        let reply = self.send(member, ask, READ_MAX).await.map_err(|error| of(error.to_string()))?;
        answer::read(&reply)
            .map_err(|trouble| Trouble { reason: format!("{}: {}", member.name, trouble.reason), ..trouble })
    }

    /// Writes by one node: by the next only when the one before surely did not get it.
    pub async fn write(&self, ask: &Ask<'_>) -> Sent {
        let mut trouble = None;
        for node in self.order() {
            let member = &self.members[node];
            match self.send(member, ask, WRITE_MAX).await {
                Ok(reply) => return answer::written(&reply),
                Err(error) if error.nothing_left() => trouble = Some(format!("{}: {error}", member.name)),
                Err(error) => return Sent::Unsure(format!("{}: {error}", member.name)),
            }
        }
        Sent::Nothing(Trouble::passing(trouble.unwrap_or_else(|| "there is no node to ask".into())))
    }

    /// Sends it, once more on a fresh connection when the server had closed an idle one.
    async fn send(&self, member: &Member, ask: &Ask<'_>, patience: Duration) -> Result<Reply, Error> {
        let ready = self.ready(&member.url, ask);
        let answer = async {
            match self.client.open(&ready.url).await?.send(&ready).await {
                Err(Error::NotSent) => self.client.open_anew(&ready.url).await?.send(&ready).await,
                sent => sent,
            }
        };
        timeout(patience, answer)
            .await
            .unwrap_or_else(|_| Err(Error::Broken(format!("no answer within {patience:?}"))))
    }

    fn ready(&self, node: &Url, ask: &Ask<'_>) -> Ready {
        let mut url = node.clone();
        url.path_segments_mut().expect("invariant: a node's URL is http").clear().extend(ask.path);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        let mut headers = self.headers.clone();
        let mut body = Bytes::new();
        if let Some(value) = &ask.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            body = value.to_string().into();
        }
        Ready { url, method: ask.method.clone(), headers, body }
    }
}
