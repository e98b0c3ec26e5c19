//! Actions of HAProxy. What a balancer is told about a server is a state: said twice it is as good as said once. The
//! runner that does it stands beside the balancer; its own configuration says where that one is spoken to.

use super::{Declaration, Effect, FieldType, Param, ParamType};
use crate::Span;

/// All of them.
pub const ALL: &[&Declaration] = &[
    &SERVER_GET,
    &SERVER_DRAIN,
    &SERVER_MAINT,
    &SERVER_READY,
    &SERVER_WEIGHT,
    &STATE_SAVE,
    &CONFIG_PUT_SERVER,
    &CONFIG_REMOVE_SERVER,
];

/// What is asked and read back over a local socket.
const ASKED: Span = Span::seconds(10);

const NODE: Param = Param::must("node", ParamType::Node, "The balancer.");
const SERVER: Param = Param::must("server", ParamType::Text, "Backend and server, as `app/app1`.");
/// `ready`, `drain` or `maint`, as it was read back.
const STATE: (&str, FieldType) = ("state", FieldType::Text);
const SESSIONS: (&str, FieldType) = ("sessions", FieldType::Int);

/// Says how a server is.
pub const SERVER_GET: Declaration = Declaration {
    result: &[STATE, ("health", FieldType::Text), ("weight", FieldType::Int), SESSIONS],
    timeout: ASKED,
    ..Declaration::new(
        "haproxy.server.get",
        "Says how a balancer sees a server: `state` is `ready`, `drain` or `maint`; `health` is `running`, `starting`, \
         `stopping` or `stopped`; `sessions` counts those that it has and those that wait for it.",
        &[NODE, SERVER],
    )
};

/// Drains one.
pub const SERVER_DRAIN: Declaration = Declaration {
    undo: Some("haproxy.server.ready"),
    result: &[STATE, SESSIONS],
    timeout: Span::seconds(30),
    ..sets(
        "haproxy.server.drain",
        "Sends a server no new sessions, and watches until it has none, or the step's timeout is nearly over: `sessions` \
         are those that are left. One in maintenance stays so.",
        &[NODE, SERVER],
    )
};

/// Takes one out.
pub const SERVER_MAINT: Declaration = Declaration {
    undo: Some("haproxy.server.ready"),
    ..sets(
        "haproxy.server.maint",
        "Takes a server out of service, its health checks too; sessions that it has go on.",
        &[NODE, SERVER],
    )
};

/// Takes one in.
pub const SERVER_READY: Declaration = sets(
    "haproxy.server.ready",
    "Takes back what `drain` and `maint` set. A server that follows another one, or has no address, may stay out all \
     the same: `state` says so.",
    &[NODE, SERVER],
);

/// Weighs one.
pub const SERVER_WEIGHT: Declaration = Declaration {
    result: &[],
    ..sets(
        "haproxy.server.weight",
        "Gives a server its share of new sessions, against the weights of the others.",
        &[NODE, SERVER, Param::must("weight", ParamType::Int, "0 to 256; with 0 it gets none.")],
    )
};

/// Saves what was set.
pub const STATE_SAVE: Declaration = Declaration {
    result: &[],
    ..sets(
        "haproxy.state.save",
        "Writes the state of all servers into the server-state file that HAProxy's configuration names, or a reload \
         forgets what was set.",
        &[NODE],
    )
};

/// Puts a server into the configuration.
pub const CONFIG_PUT_SERVER: Declaration = loads(
    "haproxy.config.put_server",
    "Adds a server to a backend of HAProxy's configuration, or gives it another address or other options; all else in the \
     file stays. Checked by `haproxy -c`, reloaded with what was set at runtime, and put back when HAProxy does not take it.",
    &[
        NODE,
        SERVER,
        Param::must("address", ParamType::Text, "Host and port."),
        Param::may(
            "options",
            ParamType::Code,
            "What follows on its line, as `check weight 10`; those that it has unless given, which of a new one are none.",
        ),
    ],
);

/// Takes a server out of the configuration.
pub const CONFIG_REMOVE_SERVER: Declaration = loads(
    "haproxy.config.remove_server",
    "Takes a server out of a backend of HAProxy's configuration, checked and reloaded likewise. Sessions that it has go on \
     in the old worker.",
    &[NODE, SERVER],
);

/// What is loaded by a new worker: it lasts, and may interrupt what works.
const fn loads(name: &'static str, doc: &'static str, params: &'static [Param]) -> Declaration {
    Declaration { destructive: true, result: &[], timeout: Span::seconds(60), ..sets(name, doc, params) }
}

/// What is set, and read back.
const fn sets(name: &'static str, doc: &'static str, params: &'static [Param]) -> Declaration {
    Declaration {
        effect: Effect::Idempotent,
        result: &[STATE],
        timeout: ASKED,
        ..Declaration::new(name, doc, params)
    }
}
