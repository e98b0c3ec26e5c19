//! One table of keys: what may stand where, of which shape, what it means and what a mistake in it is called. The
//! walk, the JSON Schema, the reference and the messages all read it; nothing else lists keys.

mod actions;
mod checks;
mod guard;
mod inventory;
mod playbook;
mod policy;
mod shape;
mod step;
mod tests;
mod trigger;

pub use actions::{ACTION, ACTIONS, PARAM};
pub use checks::{
    BOUND, CHECK, CHECK_DNS, CHECK_ELASTICSEARCH, CHECK_HAPROXY, CHECK_HTTP, CHECK_KINDS, CHECK_PROMETHEUS,
    CHECK_SILENCES, CHECK_TCP, CHECK_TLS, CHECKS, CheckKind, EXPOSE,
};
pub use guard::{APPROVAL, BREAKER, BUDGET, GUARD, LOCK, MIN_HEALTHY};
pub use inventory::{DISCOVER, GROUP, INVENTORY, MAINTENANCE, NODE, SERVICE};
pub use playbook::{DRILL, ESCALATE, FAILBACK, INPUT, PLAYBOOK, VERIFY};
pub use policy::{
    CEILINGS, POLICY, RECEIVER, RECEIVER_EMAIL, RECEIVER_KINDS, RECEIVER_SLACK, RECEIVER_WEBHOOK, SECRET,
    WATCHDOG,
};
pub use shape::{Shape, Thing};
pub use step::{APPROVE, BRANCH, OBSERVE, OBSERVE_TABLE, STEP, STEP_KINDS, STEP_TABLE};
pub use tests::{
    ANSWER, ANSWER_KINDS, CANCEL, CASE, EVENT, EXPECT, EXPECT_ACTION, EXPECT_TOLD, MOMENT, MOMENT_KINDS,
    SAID, SETTLE, START, TEST_INVENTORY, TESTS,
};
pub use trigger::{
    CORRELATE, COUNT, MANUAL, ON_RUN, SCHEDULE, TRIGGER, TRIGGER_KINDS, TRIGGER_TABLE, VERDICT, WEBHOOK,
};

/// A key of a map.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What it means, in a sentence or two.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What may stand there.
    pub shape: Shape,
    /// What holds when it is left out, as it would be written; none: nothing does.
    pub default: Option<&'static str>,
    /// A line of YAML.
    pub example: &'static str,
    /// Findings that it can give beside those of its shape.
    pub codes: &'static [u16],
}

const fn key(name: &'static str, shape: Shape, doc: &'static str, example: &'static str) -> Key {
    Key { name, doc, required: false, shape, default: None, example, codes: &[] }
}

const fn must(name: &'static str, shape: Shape, doc: &'static str, example: &'static str) -> Key {
    Key { required: true, ..key(name, shape, doc, example) }
}

impl Key {
    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn codes(self, codes: &'static [u16]) -> Self {
        Self { codes, ..self }
    }

    /// Every finding that the key can give, beside those that any map can.
    #[must_use]
    pub fn findings(&self) -> Vec<u16> {
        let missing = self.required.then_some(108);
        let mut codes: Vec<u16> = self.codes.iter().copied().chain(missing).collect();
        self.shape.findings(&mut codes);
        codes.sort_unstable();
        codes.dedup();
        codes
    }
}

/// A map whose keys are known.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// What it is, for people; no two are called the same.
    pub name: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// Keys of which exactly one must be there; where empty, none of them excludes another.
    pub kinds: &'static [&'static str],
    /// Keys that mean nothing without one of others.
    pub needs: &'static [(&'static str, &'static [&'static str])],
}

const fn table(name: &'static str, keys: &'static [Key]) -> Table {
    Table { name, keys, kinds: &[], needs: &[] }
}

impl Table {
    const fn one_of(self, kinds: &'static [&'static str]) -> Self {
        Self { kinds, ..self }
    }

    const fn needs(self, needs: &'static [(&'static str, &'static [&'static str])]) -> Self {
        Self { needs, ..self }
    }
}

/// Kinds of documents: the key after `apiVersion`.
pub const KINDS: &[&str] = &["playbook", "tests", "inventory", "checks", "policy", "actions"];

/// The documents, in the order of [`KINDS`]: each is known by the first of these keys that it has.
pub const DOCUMENTS: &[Table] = &[
    table("playbook", PLAYBOOK),
    table("tests", TESTS),
    table("inventory", INVENTORY),
    table("checks", CHECKS),
    table("policy", POLICY),
    table("actions", ACTIONS),
];

/// The first key of every document.
const API_VERSION: Key = must(
    "apiVersion",
    Shape::Words(&["regreen/v1"]),
    "The version of the language. It is the first key of every document.",
    "apiVersion: regreen/v1",
);

/// Findings that any map, list or scalar can give: unknown and repeated keys, and what YAML makes of a slip.
pub const EVERYWHERE: &[u16] = &[100, 101, 102, 103, 104, 105, 110];

/// Every map with known keys, each once: the documents, and what is within them.
#[must_use]
pub fn tables() -> Vec<Table> {
    let mut found: Vec<Table> = Vec::new();
    let mut waiting: Vec<Table> = DOCUMENTS.iter().rev().copied().collect();
    while let Some(next) = waiting.pop() {
        if found.iter().any(|table| table.name == next.name) {
            continue;
        }
        let mut within = Vec::new();
        next.keys.iter().for_each(|key| key.shape.tables(&mut within));
        waiting.extend(within.into_iter().rev());
        found.push(next);
    }
    found
}
