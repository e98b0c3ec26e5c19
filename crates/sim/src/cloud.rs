//! The world that is repaired: nodes that break and heal, a provider that answers badly and keeps an effect log,
//! people who are told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::future::BoxFuture;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use regreen_action::{Action, Call, Refusal};
use regreen_probe::{Eye, Found};
use regreen_schemas::{
    Span, Timestamp,
    action::{Declaration, Effect as Class, HTTP_REQUEST, TELLS},
    command::Command,
    fact::{Answer, Failure, Verb},
    view::Check,
};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{Client, time};

/// Time beyond a call's timeout after which the kernel ends the process (rule 18).
const ALARM: Span = Span::seconds(2);

/// Something that happened outside, for which Regreen is answerable.
#[derive(Clone, Debug)]
pub struct Effect {
    /// When, truly.
    pub at: Timestamp,
    /// By which command.
    pub command: Command,
    /// On which node; none for a message to people.
    pub node: Option<String>,
}

/// A node as it truly is.
#[derive(Clone, Debug, Default)]
struct Node {
    up: bool,
    /// When it changed, and to what.
    past: Vec<(Timestamp, bool)>,
}

/// What every call does by order.
#[derive(Clone, Copy, Debug)]
pub struct Ordered {
    /// How long until the effect.
    pub takes: Duration,
    /// Whether the caller hears of it.
    pub answers: bool,
}

/// Everything outside.
#[derive(Clone)]
pub struct Cloud {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    rng: SmallRng,
    nodes: BTreeMap<String, Node>,
    effects: Vec<Effect>,
    /// Whether the provider answers as it should.
    calm: bool,
    /// The vantage that says the opposite of what it sees.
    liar: Option<&'static str>,
    /// What every call does, instead of what chance says.
    ordered: Option<Ordered>,
}

impl Cloud {
    /// A world whose nodes are all up.
    #[must_use]
    pub fn new(seed: u64, nodes: &[String]) -> Self {
        let up = Node { up: true, past: vec![(Timestamp(0), true)] };
        let nodes = nodes.iter().map(|name| (name.clone(), up.clone())).collect();
        let rng = SmallRng::seed_from_u64(seed);
        let inner = Inner { rng, nodes, effects: Vec::new(), calm: false, liar: None, ordered: None };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics with the world in hand")
    }

    /// Breaks a node, or mends it.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn set(&self, node: &str, up: bool) {
        let mut inner = self.inner();
        let node = inner.nodes.get_mut(node).expect("a node");
        if node.up != up {
            node.up = up;
            node.past.push((time::truth(), up));
        }
    }

    /// Whether a node is up.
    #[must_use]
    pub fn is_up(&self, node: &str) -> bool {
        self.inner().nodes[node].up
    }

    /// Whether a node was up, or was down, at any moment of this time.
    #[must_use]
    pub fn was(&self, node: &str, wanted: bool, from: Timestamp, to: Timestamp) -> bool {
        let inner = self.inner();
        let past = &inner.nodes[node].past;
        past.iter().enumerate().any(|(i, (began, up))| {
            let ended = past.get(i + 1).map_or(Timestamp(i64::MAX), |(at, _)| *at);
            *up == wanted && *began <= to && ended >= from
        })
    }

    /// The effect log.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.inner().effects.clone()
    }

    /// From now on the provider answers as it should, and nobody lies.
    pub fn calm(&self) {
        let mut inner = self.inner();
        (inner.calm, inner.liar) = (true, None);
    }

    /// From now on this vantage says the opposite of what it sees.
    pub fn lie(&self, liar: Option<&'static str>) {
        self.inner().liar = liar;
    }

    /// From now on every call does this; `None`: as chance will have it.
    pub fn order(&self, ordered: Option<Ordered>) {
        self.inner().ordered = ordered;
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        draw(&mut self.inner().rng)
    }

    /// Whether a command of this step instance ever had an effect.
    #[must_use]
    pub fn happened(&self, key: &str) -> bool {
        self.inner().effects.iter().any(|effect| *effect.command.action_key == *key)
    }

    fn effect(&self, command: &Command, node: Option<String>) {
        self.inner().effects.push(Effect { at: time::truth(), command: command.clone(), node: node.clone() });
        let Some(node) = node else { return };
        if self.draw(|rng| rng.random_bool(0.8)) {
            let (cloud, after) = (self.clone(), self.draw(|rng| rng.random_range(500..12_000)));
            tokio::spawn(async move {
                sleep(Duration::from_millis(after)).await;
                cloud.set(&node, true);
            });
        }
    }
}

/// What a probe at a vantage sees.
pub struct Sight {
    /// What it looks at.
    pub cloud: Cloud,
    /// From where.
    pub vantage: &'static str,
}

impl Eye for Sight {
    fn look<'a>(&'a self, check: &'a Check) -> BoxFuture<'a, Found> {
        Box::pin(async {
            let took = self.cloud.draw(|rng| rng.random_range(1..200));
            sleep(Duration::from_millis(took)).await;
            let name = check.name.as_str().rsplit('/').next().unwrap_or_default();
            let lies = self.cloud.inner().liar == Some(self.vantage);
            if self.cloud.is_up(name) == lies { Found::down("no answer") } else { Found::up() }
        })
    }
}

/// An action of the model: the provider's, or the one that tells people.
pub struct Act {
    /// What it acts on.
    pub cloud: Cloud,
    /// The connection of its process: with that, it is dead or stopped.
    pub client: Client,
    /// What it declares.
    pub declaration: &'static Declaration,
}

/// The actions of a runner.
#[must_use]
pub fn repairs(cloud: &Cloud, client: &Client) -> Vec<Box<dyn Action>> {
    vec![Box::new(Act { cloud: cloud.clone(), client: client.clone(), declaration: &HTTP_REQUEST })]
}

/// The actions of the notifier.
#[must_use]
pub fn tells(cloud: &Cloud, client: &Client) -> Vec<Box<dyn Action>> {
    let act = |declaration| Act { cloud: cloud.clone(), client: client.clone(), declaration };
    TELLS.iter().map(|(_, _, declaration)| Box::new(act(declaration)) as Box<dyn Action>).collect()
}

impl Action for Act {
    fn declaration(&self) -> &'static Declaration {
        self.declaration
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal> {
        Ok(Box::new(Doing {
            cloud: self.cloud.clone(),
            client: self.client.clone(),
            command: command.clone(),
        }))
    }
}

struct Doing {
    cloud: Cloud,
    client: Client,
    command: Command,
}

impl Doing {
    fn node(&self) -> Option<String> {
        self.command.task.node.as_ref().map(ToString::to_string)
    }

    /// The provider has taken it and does it in its own time, whatever becomes of the caller.
    async fn by_order(&self, ordered: Ordered) -> Verb {
        let (cloud, command, node) = (self.cloud.clone(), self.command.clone(), self.node());
        tokio::spawn(async move {
            sleep(ordered.takes).await;
            cloud.effect(&command, node);
        });
        sleep(ordered.takes).await;
        if !ordered.answers {
            std::future::pending::<()>().await;
        }
        self.client.running().await;
        Verb::Ok { result: json!({"status": 200}) }
    }

    /// Goes on when the process runs, and when its alarm has not struck meanwhile.
    async fn alive(&self, began: Span) {
        self.client.running().await;
        if time::elapsed().0 - began.0 > self.command.task.timeout.0 + ALARM.0 {
            self.client.kill();
            std::future::pending::<()>().await;
        }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy)]
enum Fate {
    Well,
    AnswerLost,
    NothingDone,
    Busy,
    Refused,
}

impl Call for Doing {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            let began = time::elapsed();
            self.alive(began).await;
            let Inner { ordered, calm, .. } = *self.cloud.inner();
            let tell = self.command.task.effect == Class::Tell;
            if let Some(ordered) = ordered.filter(|_| !tell) {
                return self.by_order(ordered).await;
            }
            let (fate, took) = self.cloud.draw(|rng| {
                let fate = match rng.random_range(0..100) {
                    _ if calm || tell => Fate::Well,
                    0..60 => Fate::Well,
                    60..72 => Fate::AnswerLost,
                    72..82 => Fate::NothingDone,
                    82..94 => Fate::Busy,
                    _ => Fate::Refused,
                };
                let slow = rng.random_bool(0.1);
                (fate, rng.random_range(1..if slow { 8_000 } else { 400 }))
            });
            sleep(Duration::from_millis(took)).await;
            self.alive(began).await;
            let failed = |kind, retry_after| Verb::Failed { kind, reason: "no".into(), retry_after };
            match fate {
                Fate::Well | Fate::AnswerLost => self.cloud.effect(&self.command, self.node()),
                Fate::NothingDone => {}
                Fate::Busy => return failed(Failure::Transient, Some(Span::seconds(2))),
                Fate::Refused => return failed(Failure::Permanent, None),
            }
            if matches!(fate, Fate::AnswerLost | Fate::NothingDone) {
                std::future::pending::<()>().await;
            }
            sleep(Duration::from_millis(5)).await;
            self.client.running().await;
            Verb::Ok { result: json!({"status": 200}) }
        })
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            sleep(Duration::from_millis(20)).await;
            self.client.running().await;
            let done = self.cloud.happened(&self.command.action_key);
            let answer = if done { Answer::Done { result: Value::Null } } else { Answer::NotDone };
            Verb::Observed { look, answer }
        })
    }
}
