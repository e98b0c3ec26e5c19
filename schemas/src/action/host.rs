//! Actions on the machine that a runner stands on. Which units, processes and commands it may touch stands in that
//! runner's own file; here is only what may be asked.

use super::{Declaration, Effect, FieldType, Param, ParamType};
use crate::Span;

/// All of them.
pub const ALL: &[&Declaration] =
    &[&SYSTEMD_GET, &SYSTEMD_START, &SYSTEMD_STOP, &SYSTEMD_RESTART, &PROCESS_SIGNAL, &EXEC_RUN];

/// How long a unit may need to start or to stop.
const UNIT_TIMEOUT: Span = Span::minutes(1);

const NODE: Param = Param::must(
    "node",
    ParamType::Node,
    "The node; its zone's runner stands on that machine and says so in its file.",
);
const UNIT: Param = Param::must(
    "unit",
    ParamType::Text,
    "The unit, as the runner's `units:` have it; a service unless it says otherwise.",
);

/// How a unit is.
const STATE: &[(&str, FieldType)] = &[
    ("active", FieldType::Text),
    ("sub", FieldType::Text),
    ("result", FieldType::Text),
    ("restarts", FieldType::Int),
];

/// Says how a unit is.
pub const SYSTEMD_GET: Declaration = Declaration {
    result: STATE,
    timeout: Span::seconds(10),
    ..Declaration::new("systemd.get", "Says how a unit is, in systemd's own words.", &[NODE, UNIT])
};

/// Starts.
pub const SYSTEMD_START: Declaration = Declaration {
    effect: Effect::Idempotent,
    ..on_unit("systemd.start", "Starts a unit, and waits until it has stayed active for a moment.")
};

/// Stops.
pub const SYSTEMD_STOP: Declaration = Declaration {
    effect: Effect::Idempotent,
    destructive: true,
    undo: Some("systemd.start"),
    ..on_unit("systemd.stop", "Stops a unit, and waits until it is inactive.")
};

/// Restarts.
pub const SYSTEMD_RESTART: Declaration = Declaration {
    effect: Effect::Reconcilable,
    destructive: true,
    ..on_unit(
        "systemd.restart",
        "Restarts a unit, and waits until another invocation of it has stayed active for a moment; by that a lost \
         answer is looked up.",
    )
};

/// Signals.
pub const PROCESS_SIGNAL: Declaration = Declaration {
    effect: Effect::Idempotent,
    result: &[("pid", FieldType::Int)],
    timeout: Span::seconds(10),
    ..Declaration::new(
        "process.signal",
        "Sends a process one of the signals by which it reads its configuration again; not to one that it would end.",
        &[
            NODE,
            Param::must("name", ParamType::Text, "The process, as the runner's `processes:` have it."),
            Param::must("signal", ParamType::OneOf(&["HUP", "USR1", "USR2"]), "The signal."),
        ],
    )
};

/// Runs a command.
pub const EXEC_RUN: Declaration = Declaration {
    effect: Effect::AtMostOnce,
    destructive: true,
    result: &[("exit", FieldType::Int), ("stdout", FieldType::Text), ("stderr", FieldType::Text)],
    ..Declaration::new(
        "exec.run",
        "Runs a command of the runner's own list, without a shell; it is done when it exits with 0.",
        &[
            NODE,
            Param::must("command", ParamType::Text, "The command, as the runner's `commands:` have it."),
            Param::may(
                "arguments",
                ParamType::Json,
                "Its arguments by name; the list says what may stand in each.",
            ),
            Param::may(
                "effect",
                ParamType::OneOf(&["read", "idempotent", "at_most_once"]),
                "Effect class, at_most_once unless given. `read` is refused by a runner whose list does not call the \
                 command `harmless`.",
            ),
        ],
    )
};

const fn on_unit(name: &'static str, doc: &'static str) -> Declaration {
    Declaration { result: STATE, timeout: UNIT_TIMEOUT, ..Declaration::new(name, doc, &[NODE, UNIT]) }
}
