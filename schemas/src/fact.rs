//! Facts: everything that happened, in one order. Kind, source and time come from the subject and the stream,
//! never from the body (rule 3).

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Fingerprint, Instance, PlaybookName, RunId, Span, Timestamp, WIRE_VERSION, Zone,
    alert::Alert,
    check::{Digest, Look},
    event::Streams,
    id::{Genesis, Nonce, ReceiverName},
    rate::{Credential, Told},
    subject::FactKind,
};

/// The envelope of a fact message: many items may share one message (group commit).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Message<T> {
    /// Version of the wire.
    pub v: u32,
    /// Repeats the subject's kind for people; readers trust the subject.
    pub kind: Arc<str>,
    /// What happened, in order. The cursor is (sequence, item).
    pub items: Vec<T>,
}

/// One thing that happened. Its kind stands in the subject of its message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// Alerts of one payload.
    Alerts(Alerts),
    /// Looks of a vantage.
    Looks(Looks),
    /// Outcome of an attempt.
    Result(Outcome),
    /// What a runner serves.
    Serves(Serves),
    /// What a person did.
    Operator(Operator),
    /// Which files are in force.
    Set(Set),
    /// What the engine's shell learned.
    Engine(Engine),
    /// An event that came in from outside.
    Event(Event),
}

/// Why a fact message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A version that this build does not know: the engine freezes, it never skips (rule 10).
    #[error("version {0} of the wire is not known here (this build reads {WIRE_VERSION})")]
    Version(u32),
    /// Not the declared shape: DEAD with the reason, the rest goes on (rule 29).
    #[error("not a fact of this kind")]
    Shape(#[source] serde_json::Error),
}

/// Reads the items of a fact message whose kind its subject gave.
///
/// # Errors
/// [`Unreadable`] when the version is unknown or the shape is wrong.
pub fn decode(kind: FactKind, bytes: &[u8]) -> Result<Vec<Item>, Unreadable> {
    fn items<T: DeserializeOwned>(bytes: &[u8], wrap: fn(T) -> Item) -> Result<Vec<Item>, Unreadable> {
        let message: Message<T> = serde_json::from_slice(bytes)
            .map_err(|error| version(bytes).unwrap_or(Unreadable::Shape(error)))?;
        if message.v != WIRE_VERSION {
            return Err(Unreadable::Version(message.v));
        }
        Ok(message.items.into_iter().map(wrap).collect())
    }
    /// A shape we can't read may just be a newer version: the version is what to tell then.
    fn version(bytes: &[u8]) -> Option<Unreadable> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u32,
        }
        let v = serde_json::from_slice::<Versioned>(bytes).ok()?.v;
        (v != WIRE_VERSION).then_some(Unreadable::Version(v))
    }
    match kind {
        FactKind::Alerts => items(bytes, Item::Alerts),
        FactKind::Looks => items(bytes, Item::Looks),
        FactKind::Result => items(bytes, Item::Result),
        FactKind::Serves => items(bytes, Item::Serves),
        FactKind::Operator => items(bytes, Item::Operator),
        FactKind::Set => items(bytes, Item::Set),
        FactKind::Engine => items(bytes, Item::Engine),
        FactKind::Event => items(bytes, Item::Event),
    }
}

/// At most [`crate::alert::ALERTS_PER_ITEM`] alerts of one payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alerts {
    /// Alertmanager's receiver.
    pub receiver: Arc<str>,
    /// Alertmanager's group key: for people, never an identity.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub group_key: Arc<str>,
    /// Where the Alertmanager says it is.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub external_url: Arc<str>,
    /// How many alerts Alertmanager cut off this payload.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub truncated: u64,
    /// The alerts.
    pub alerts: Vec<Alert>,
    /// W3C trace context of the request, so that one trace spans webhook to effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Arc<str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// An event that somebody posted: what the playbooks' `webhook` triggers start on. Its shape is CloudEvents'
/// (specification 1.0), as far as decisions use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The last part of the path that it was posted to.
    pub path: Arc<str>,
    /// Name of the secret that its sender showed.
    pub secret: Arc<str>,
    /// Identity: the same event may come twice.
    pub id: Arc<str>,
    /// What kind of event it is.
    #[serde(rename = "type")]
    pub kind: Arc<str>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub source: Arc<str>,
    /// Input from outside: never code, and only for `inputs`. At most 16 KB.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// What a vantage saw since its last message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Looks {
    /// Random id of the probe's process.
    pub boot: Nonce,
    /// Number of this message in that boot; one that is not above the last is dropped.
    pub n: u64,
    /// Version of the list of checks that was looked at.
    pub set_version: u64,
    /// Whether the vantage reaches its reference addresses. If not, all its looks are unknown.
    pub sighted: bool,
    /// Changes, and every look at a watched check.
    pub changes: Vec<Look>,
    /// Whether `changes` holds the status of every check: at start, reconnect, new list, resync.
    #[serde(default)]
    pub all: bool,
    /// Every five seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What an attempt came to, from the runner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The run.
    pub run: RunId,
    /// The step instance.
    pub instance: Instance,
    /// Which try; the first is 1.
    pub attempt: u32,
    /// The runner process that holds the ticket.
    pub nonce: Nonce,
    /// What happened.
    pub outcome: Verb,
    /// When the call began and ended by the runner's clock; for people, nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<Timing>,
    /// What it made of the rate of its credential, where the provider has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Told>,
}

/// Start and end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// The ticket was won, the call began.
    pub began: Timestamp,
    /// The answer was there.
    pub ended: Timestamp,
}

/// Outcome of an attempt or of an observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Done, with the action's result.
    Ok {
        /// The declared result, at most 16 KB.
        result: Value,
    },
    /// Not done, and the runner is sure of it.
    Failed {
        /// Whether trying again can help.
        kind: Failure,
        /// What to tell people.
        reason: Arc<str>,
        /// The provider asked to wait this long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Span>,
    },
    /// It may or may not have been done: look, never repeat blindly.
    Unknown {
        /// What happened to the answer.
        reason: Arc<str>,
    },
    /// The runner did not call the provider.
    NotCalled {
        /// Why not.
        reason: NotCalled,
        /// More for people.
        detail: Arc<str>,
    },
    /// Answer to an `observe`.
    Observed {
        /// First or second look.
        look: u8,
        /// What the provider shows.
        answer: Answer,
    },
}

/// Whether a failure may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// May pass: 429, 503, connection refused.
    Transient,
    /// Will not pass by itself: 400, 401, 404.
    Permanent,
}

/// Why a runner refused an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotCalled {
    /// The stop switch is on: the server refused the ticket.
    Stopped,
    /// `claim_by` had passed, or the tick was silent, or the call window had closed.
    Late,
    /// No free hands.
    Busy,
    /// A secret that the command refers to is not there.
    SecretMissing,
    /// The runner does not do this: unknown action, wrong parameters, other domain.
    Refused,
}

impl NotCalled {
    /// Whether the same attempt may simply be dispatched again (wire.md).
    #[must_use]
    pub const fn again(self) -> bool {
        matches!(self, Self::Stopped | Self::Late | Self::Busy)
    }
}

/// What an observation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The effect is there.
    Done {
        /// The action's result, as far as a look can tell.
        result: Value,
    },
    /// The effect is not there.
    NotDone,
    /// The look does not tell.
    CannotTell {
        /// What was seen instead.
        state: Arc<str>,
    },
}

/// What a runner serves, said at its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Serves {
    /// The process.
    pub nonce: Nonce,
    /// The zone it stands in.
    pub zone: Zone,
    /// Action name to hash of its declaration: a mismatch is shown and blocks visibly.
    pub actions: BTreeMap<Arc<str>, Arc<str>>,
    /// Provider to the credential by which it is reached, where it counts requests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<Arc<str>, Credential>,
}

/// What a person did. Who it was is the subject's source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Operator {
    /// Start a playbook by hand.
    Start {
        /// Which.
        playbook: PlaybookName,
        /// For what: a name from the inventory; none for playbooks without target.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Arc<str>>,
        /// Its inputs.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        inputs: BTreeMap<Arc<str>, Value>,
    },
    /// Answer an unknown outcome.
    Settle {
        /// The run.
        run: RunId,
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// Whether the effect took place.
        done: bool,
    },
    /// Say yes to what a run asks.
    Approve {
        /// The run.
        run: RunId,
        /// The step instance.
        instance: Instance,
        /// The plan that was shown.
        plan_hash: Arc<str>,
        /// Who, where a service passes the answer on; ignored where a person's own credential tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<Arc<str>>,
    },
    /// Say no.
    Deny {
        /// The run.
        run: RunId,
        /// The step instance.
        instance: Instance,
        /// The plan that was shown.
        plan_hash: Arc<str>,
        /// Why.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        reason: Arc<str>,
        /// As in `Approve`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<Arc<str>>,
    },
    /// Take it over: nobody else need be told.
    Ack {
        /// The run, or the fingerprint of the alert.
        of: Arc<str>,
    },
    /// Allow the next run on a target before its cooldown is over.
    ClearCooldown {
        /// The playbook.
        playbook: PlaybookName,
        /// The target's name; none for playbooks without target.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Arc<str>>,
    },
    /// End a run: what is under way is settled, nothing more begins.
    Cancel {
        /// The run.
        run: RunId,
        /// Why.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        reason: Arc<str>,
    },
    /// Release the stop switch with this number.
    Resume {
        /// The number that was stopped.
        stop_no: u64,
    },
    /// Go on after Suspect.
    ResumeSuspect,
    /// Go on after Frozen: a person has looked at what the streams are now (rule 4).
    Reconciled(Reconciled),
}

impl Operator {
    /// What was wanted, in a few words.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start a playbook",
            Self::Settle { .. } => "settle an outcome",
            Self::Approve { .. } => "approve",
            Self::Deny { .. } => "deny",
            Self::Ack { .. } => "acknowledge",
            Self::ClearCooldown { .. } => "clear a cooldown",
            Self::Cancel { .. } => "cancel a run",
            Self::Resume { .. } => "resume",
            Self::ResumeSuspect => "resume after suspect",
            Self::Reconciled(_) => "reconcile",
        }
    }
}

/// What a person found when a domain was frozen, and wants to go on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reconciled {
    /// Why it may go on.
    pub reason: Arc<str>,
    /// Root of the ids from now on: an id that is forgotten is never given again.
    pub genesis: Genesis,
    /// The streams as they are now.
    pub streams: Streams,
    /// Facts up to this one are not decided; none when FACTS is what it was, and the cursor goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts_after: Option<u64>,
    /// Tickets up to this one may name records that are gone.
    pub tickets: u64,
}

/// Which files are in force. Their bodies were stored before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Set {
    /// Every file of the set, ordered by path.
    pub files: Vec<SetFile>,
}

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetFile {
    /// Path as the loader saw it; for messages.
    pub path: Arc<str>,
    /// SHA-256 of its bytes, hex; its name in BODIES.
    pub hash: Arc<str>,
}

impl Set {
    /// Identity of the set: hash over paths and hashes.
    #[must_use]
    pub fn hash(&self) -> crate::SetHash {
        let mut parts: Vec<&[u8]> = Vec::with_capacity(self.files.len() * 2);
        for file in &self.files {
            parts.push(file.path.as_bytes());
            parts.push(file.hash.as_bytes());
        }
        crate::SetHash::from(crate::hash::h(&parts))
    }
}

/// What the engine's shell learned and the decider must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "learned", rename_all = "snake_case")]
pub enum Engine {
    /// An engine process is here and wants to take over (rule 12).
    Here {
        /// Random id of the process.
        boot: Nonce,
        /// Its wall clock, to measure the skew.
        wall: Timestamp,
    },
    /// The engine won the ticket: the attempt never started.
    Revoked {
        /// The run.
        run: RunId,
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
    },
    /// A runner had won the ticket before.
    Started {
        /// The run.
        run: RunId,
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// Who holds it.
        nonce: Nonce,
    },
    /// The stop switch was seen in TICKETS.
    Stopped {
        /// Its number.
        stop_no: u64,
        /// Who pulled it.
        by: Arc<str>,
        /// Its sequence in TICKETS.
        seq: u64,
    },
}

/// A tell that is under way: which episode or run, to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TellKey {
    /// The run, or the episode's id where there is no run.
    pub run: RunId,
    /// To whom.
    pub receiver: ReceiverName,
    /// Which of the run's tells.
    pub n: u32,
}

impl TellKey {
    /// The step instance under which a message is dispatched: `tell/<receiver>/<n>`, and which of its thread.
    #[must_use]
    pub fn instance(&self, nth: u32) -> Instance {
        let first = format!("tell/{}/{}", self.receiver, self.n);
        Instance::from(if nth == 0 { first } else { format!("{first}/{nth}") })
    }
}

/// The id under which an episode without a run is told about.
#[must_use]
pub fn episode_id(fingerprint: &Fingerprint, opened: Timestamp) -> RunId {
    RunId::from(crate::hash::h(&[b"episode", fingerprint.as_str().as_bytes(), &opened.0.to_be_bytes()]))
}
