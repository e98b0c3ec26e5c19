//! The machine that the runner stands on: units of systemd, signals to processes, commands. Only what the runner's own
//! file allows, by name; no shell reads any of it. A command for another node is refused before any ticket.

mod allow;
mod child;
mod exec;
mod options;
mod processes;
mod show;
mod signal;
mod systemd;

use std::sync::Arc;

use regreen_action::{Action, Call, Refusal};
use regreen_schemas::{
    action::{Declaration, host as declared},
    command::Command,
};

pub use self::options::{Error, Options};
use super::{Served, node_of};

/// What makes a command a call.
type Prepare = fn(Arc<Options>, &Command) -> Result<Box<dyn Call>, Refusal>;

const SYSTEMD: [(&Declaration, Prepare); 4] = [
    (&declared::SYSTEMD_GET, systemd::get),
    (&declared::SYSTEMD_START, systemd::start),
    (&declared::SYSTEMD_STOP, systemd::stop),
    (&declared::SYSTEMD_RESTART, systemd::restart),
];
const SIGNAL: [(&Declaration, Prepare); 1] = [(&declared::PROCESS_SIGNAL, signal::prepare)];
const EXEC: [(&Declaration, Prepare); 1] = [(&declared::EXEC_RUN, exec::prepare)];

/// The actions for which something is allowed: without `commands:` there is no `exec.run`.
pub(super) fn actions(options: &Options) -> Result<Vec<Box<dyn Action>>, Error> {
    options.sound()?;
    let options = Arc::new(options.clone());
    let tables = [
        (&SYSTEMD[..], options.units.is_empty()),
        (&SIGNAL[..], options.processes.is_empty()),
        (&EXEC[..], options.commands.is_empty()),
    ];
    let allowed = tables.into_iter().filter(|(_, nothing)| !nothing).flat_map(|(table, _)| table);
    let served = allowed.map(|(declaration, make)| {
        let options = options.clone();
        let prepare = move |command: &Command| {
            on_this(&options, command)?;
            make(options.clone(), command)
        };
        Box::new(Served { declaration, credential: None, prepare }) as Box<dyn Action>
    });
    Ok(served.collect())
}

/// Whether a command is for this machine.
fn on_this(options: &Options, command: &Command) -> Result<(), Refusal> {
    let name = node_of(command)?;
    if options.node.is(&name) {
        return Ok(());
    }
    Err(Refusal::refused(format!(
        "this runner stands on {}, and not on `{name}`: give each machine a zone of its own, by `via:` in `inventory:` \
         and `zone:` of its runner",
        options.node
    )))
}
