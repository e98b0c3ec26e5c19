//! A node at work: it keeps what it learns, looks for its master, follows it, or is it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, atomic::AtomicU32},
    time::{Duration, Instant},
};

use rand::Rng as _;
use regreen_kit::clock;
use tokio::sync::{Notify, watch};

use super::{
    config::{Config, HTTP, Machine, TRANSPORT},
    disk::{Disk, Record},
    member::{Ballot, Heard, Member, Role, What, Word},
    model::{NodeId, Peer},
    wire::{Line, Pong},
};

/// How often a follower looks whether its master is there, and a master at its followers.
pub const BEAT: Duration = Duration::from_millis(500);
/// How long a follower waits for a word of its master.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(8);
/// Pause between two looks for a master: at least, and by chance up to as much again.
const SEEK_PAUSE: Duration = Duration::from_millis(150);
/// Letters of an id.
const ID_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Length of an id, as Elasticsearch's.
const ID_LENGTH: usize = 22;

/// The member with its disk: both change together.
struct Inner {
    member: Member,
    disk: Disk,
    /// When the master was last heard.
    heard: Instant,
}

/// A node.
pub struct Node {
    pub config: Config,
    inner: Mutex<Inner>,
    pub line: Line,
    /// Beats that each member missed; held while something is decided, one decision at a time.
    pub missed: tokio::sync::Mutex<BTreeMap<NodeId, u32>>,
    /// Transports of others, from everybody who was met.
    pub known: Mutex<BTreeSet<String>>,
    /// Looks during which it let another one go first.
    pub deferred: AtomicU32,
    /// There is something to do before the next beat.
    pub wake: Notify,
    turned: watch::Sender<()>,
}

impl Node {
    /// Reads its disk.
    pub fn open(config: Config, machine: Machine, data: &Path) -> anyhow::Result<Arc<Self>> {
        let (disk, id, kept) = Disk::open(data, new_id)?;
        let me = Peer {
            id,
            name: config.name.clone(),
            transport: format!("{}:{TRANSPORT}", machine.address),
            http: format!("{}:{HTTP}", machine.address),
            ephemeral: new_id(),
        };
        let known =
            kept.cluster.nodes.values().map(|peer| peer.transport.clone()).chain(config.seeds.clone());
        let known = known.filter(|transport| *transport != me.transport).collect();
        let inner = Inner { member: Member::new(me, kept), disk, heard: Instant::now() };
        Ok(Arc::new(Self {
            config,
            inner: Mutex::new(inner),
            line: Line::new()?,
            missed: tokio::sync::Mutex::default(),
            known: Mutex::new(known),
            deferred: AtomicU32::new(0),
            wake: Notify::new(),
            turned: watch::Sender::new(()),
        }))
    }

    /// Looks at what it knows.
    pub fn see<T>(&self, look: impl FnOnce(&Member) -> T) -> T {
        look(&self.inner.lock().expect("invariant: nobody panics with the member in hand").member)
    }

    /// Changes what it knows; what it must not forget is on disk before anybody hears of it. Without its disk a node
    /// can promise nothing: it ends.
    pub fn change<T>(&self, change: impl FnOnce(&mut Member) -> (T, Option<Record>)) -> T {
        let mut inner = self.inner.lock().expect("invariant: nobody panics with the member in hand");
        let before = (inner.member.kept.term, inner.member.kept.voted.clone());
        let (answer, record) = change(&mut inner.member);
        let kept = &inner.member.kept;
        let after = (kept.term, kept.voted.clone());
        let term = (before != after).then_some(Record::Term { term: after.0, voted: after.1 });
        for record in term.into_iter().chain(record) {
            if let Err(error) = inner.disk.add(&record) {
                tracing::error!("the node ends: {error:#}");
                std::process::exit(1);
            }
        }
        drop(inner);
        self.turned.send_replace(());
        answer
    }

    /// Something was heard of the master.
    fn heard(&self) {
        self.inner.lock().expect("invariant: nobody panics with the member in hand").heard = Instant::now();
    }

    fn silent(&self) -> bool {
        self.inner.lock().expect("invariant: nobody panics with the member in hand").heard.elapsed()
            > FOLLOW_PATIENCE
    }

    /// Waits until it knows something new, or so long.
    pub async fn turn(&self, max: Duration) {
        let mut turned = self.turned.subscribe();
        // Both ends of the wait are the same to whoever asked.
        let _ = tokio::time::timeout(max, turned.changed()).await;
    }

    /// Says who it is.
    pub fn pong(&self) -> Pong {
        let known = self
            .known
            .lock()
            .expect("invariant: nobody panics with the list in hand")
            .iter()
            .cloned()
            .collect();
        let cluster = self.config.cluster.clone();
        self.see(|member| Pong {
            peer: member.me.clone(),
            cluster,
            uuid: member.kept.cluster.uuid.clone(),
            term: member.kept.term,
            at: member.kept.at,
            master: member.master().cloned(),
            known,
        })
    }

    /// Hears its master.
    pub fn hear(&self, word: Word) -> Heard {
        let heard = self.change(|member| {
            let record = match &word.what {
                What::Next { at, decision } => Some(Record::Decided { at: *at, decision: decision.clone() }),
                What::Whole { .. } | What::Beat => None,
            };
            let whole = matches!(word.what, What::Whole { .. });
            let heard = member.hear(word);
            let record = match heard {
                Heard::Taken if whole => Some(Record::Whole(Box::new(member.kept.clone()))),
                Heard::Taken => record,
                Heard::Behind | Heard::Outdated { .. } => None,
            };
            (heard, record)
        });
        if !matches!(heard, Heard::Outdated { .. }) {
            self.heard();
        }
        heard
    }

    /// Gives its vote, or does not.
    pub fn vote(&self, ballot: &Ballot) -> Option<NodeId> {
        self.change(|member| (member.vote(ballot).then(|| member.me.id.clone()), None))
    }

    /// It is no longer master, or has lost it.
    pub fn resign(&self, newer: u64) {
        self.change(|member| (member.resign(newer), None));
    }

    /// Lives.
    pub async fn run(self: Arc<Self>) {
        loop {
            match self.see(|member| member.role.clone()) {
                Role::Candidate => {
                    self.seek().await;
                    let extra = rand::rng().random_range(0.0..1.0);
                    tokio::time::sleep(SEEK_PAUSE.mul_f64(1.0 + extra)).await;
                }
                Role::Follower(master) => {
                    self.follow(&master).await;
                    tokio::time::sleep(BEAT).await;
                }
                Role::Master => {
                    self.beat().await;
                    let _ = tokio::time::timeout(BEAT, self.wake.notified()).await;
                }
            }
        }
    }

    /// Looks whether its master is there: one that is gone is not waited for.
    async fn follow(&self, master: &Peer) {
        let gone = match self.line.ping(&master.transport).await {
            Ok(pong) => pong.peer.id != master.id,
            Err(super::wire::Lost::Gone) => true,
            Err(super::wire::Lost::Silent) => false,
        };
        if gone || self.silent() {
            self.change(|member| {
                if member.role == Role::Follower(master.clone()) {
                    member.resign(0);
                }
                ((), None)
            });
        }
    }
}

/// A new id.
pub fn new_id() -> String {
    let mut random = rand::rng();
    (0..ID_LENGTH).map(|_| char::from(ID_LETTERS[random.random_range(0..ID_LETTERS.len())])).collect()
}

/// Now, in milliseconds.
pub fn now() -> i64 {
    clock::wall().0
}
