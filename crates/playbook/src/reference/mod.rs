//! The reference, as pages of Markdown under docs/reference: every key, every action, and all that expressions see.
//! Made from the tables that checking reads, so it can't say anything else.

mod actions;
mod cel;
mod keys;

use std::{collections::BTreeMap, sync::Arc};

use crate::action::Action;

/// Every page with its path in the repository; the actions are those of the set.
#[must_use]
pub fn reference(actions: &BTreeMap<Arc<str>, Arc<Action>>) -> Vec<(&'static str, String)> {
    vec![
        ("docs/reference/README.md", index()),
        ("docs/reference/keys.md", keys::page()),
        ("docs/reference/actions.md", actions::page(actions)),
        ("docs/reference/cel.md", cel::page()),
    ]
}

fn index() -> String {
    "# Reference\n\n\
     - [Keys](keys.md): everything that may stand in a file, with type, default, meaning, example and errors.\n\
     - [Actions](actions.md): what steps can `use`, with parameters, effect, result and undo.\n\
     - [CEL and templates](cel.md): names and functions that expressions see.\n\
     - [Errors](../errors/README.md): what `regreen check` finds, and what to do about it.\n\n\
     In an editor with yaml-language-server the same is at hand while writing. The first line of a file says where \
     the schema is:\n\n\
     ```yaml\n# yaml-language-server: $schema=../schemas/json/playbooks.schema.json\n```\n\n\
     These pages and that schema are written from the tables of the program: \
     `REGREEN_UPDATE=1 cargo test -p regreen-playbook --test reference --test schema`.\n"
        .to_owned()
}

/// Text that may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_ascii_lowercase().replace(' ', "-")
}
