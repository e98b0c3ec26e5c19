//! Shapes of values: what may stand at a key. A shape says as much as an editor can check without the other files.

use super::{CHECK_KINDS, STEP_TABLE, Table};

/// What may stand at a key.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Text as it is.
    Text,
    /// A name that its author gives: lower-case letters, digits, `-`, `_`.
    Name,
    /// A name that expressions use: letters, digits, `_`.
    Id,
    /// The name of something that is declared elsewhere.
    Refers(Thing),
    /// Text in which `{{ path }}` is filled in.
    Template,
    /// An expression.
    Cel,
    /// A length of time: `1h30m`.
    Duration,
    /// A moment: RFC 3339.
    Moment,
    /// A whole number.
    Int {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// A number, perhaps with a fraction.
    Number,
    /// A share: `50%`.
    Percent,
    /// `true` or `false`.
    Bool,
    /// `true`, and nothing else.
    True,
    /// One of a few words.
    Words(&'static [&'static str]),
    /// One of Alertmanager's matchers.
    Matcher,
    /// Five fields of cron.
    Cron,
    /// A list.
    List(&'static Shape),
    /// A list of steps.
    Steps,
    /// Values by names that the author gives.
    Named(&'static Shape),
    /// A map with known keys.
    Keys(&'static Table),
    /// One of several shapes.
    Either(&'static [Shape]),
    /// Nothing at all: the key alone.
    Empty,
    /// The parameters of the step's action.
    ActionWith,
    /// What the check's kind needs.
    CheckWith,
    /// Any value.
    Any,
}

/// What a name can refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// An action.
    Action,
    /// A group of approvers.
    Approvers,
    /// A check.
    Check,
    /// A check, or all members of one: `name/*`.
    Checks,
    /// A group of the inventory.
    Group,
    /// A playbook.
    Playbook,
    /// A receiver of the policy.
    Receiver,
    /// A step of the playbook.
    Step,
    /// A trigger of the playbook.
    Trigger,
}

impl Thing {
    /// What it is, for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Action => "an action",
            Self::Approvers => "a group of approvers",
            Self::Check => "a check",
            Self::Checks => "a check, or `name/*`",
            Self::Group => "a group",
            Self::Playbook => "a playbook",
            Self::Receiver => "a receiver",
            Self::Step => "a step",
            Self::Trigger => "a trigger's `id`",
        }
    }
}

impl Shape {
    /// The findings that a wrong value of this shape gives.
    pub(super) fn findings(&self, out: &mut Vec<u16>) {
        match self {
            Self::Text | Self::Words(_) | Self::Bool | Self::True => out.extend([203, 302]),
            Self::Int { .. } | Self::Number | Self::Percent => out.extend([203, 302]),
            Self::Moment | Self::Cron => out.extend([203, 302]),
            Self::Name | Self::Id => out.extend([109, 203, 302]),
            Self::Refers(Thing::Action) => out.extend([201, 302]),
            Self::Refers(_) => out.extend([205, 302]),
            Self::Template => out.extend([203, 303, 304, 306, 307]),
            Self::Cel => out.extend([300, 301, 303, 304, 305, 306, 307]),
            Self::Duration => out.extend([106, 302]),
            Self::Matcher => out.extend([401, 402, 403]),
            Self::List(shape) | Self::Named(shape) => {
                out.push(203);
                shape.findings(out);
            }
            Self::Either(shapes) => shapes.iter().for_each(|shape| shape.findings(out)),
            Self::Steps | Self::Keys(_) | Self::ActionWith | Self::CheckWith => out.push(203),
            Self::Empty | Self::Any => {}
        }
    }

    /// The maps with known keys in it.
    pub(super) fn tables(&self, out: &mut Vec<Table>) {
        match self {
            Self::List(shape) | Self::Named(shape) => shape.tables(out),
            Self::Steps => out.push(STEP_TABLE),
            Self::Keys(table) => out.push(**table),
            Self::Either(shapes) => shapes.iter().for_each(|shape| shape.tables(out)),
            Self::CheckWith => out.extend(CHECK_KINDS.iter().filter_map(|kind| kind.with)),
            _ => {}
        }
    }
}
