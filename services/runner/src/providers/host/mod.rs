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
use serde::{Deserialize, de::DeserializeOwned};

pub use self::options::{Error, Options};

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

struct Served {
    options: Arc<Options>,
    declaration: &'static Declaration,
    prepare: Prepare,
}

/// The actions for which something is allowed: without `commands:` there is no `exec.run`.
pub(super) fn actions(options: &Options) -> Result<Vec<Box<dyn Action>>, Error> {
    options.sound()?;
    let options = Arc::new(options.clone());
    let served = |part: &[(&'static Declaration, Prepare)], allowed: bool| {
        let part: &[_] = if allowed { part } else { &[] };
        let served = part.iter().map(|(declaration, prepare)| Served {
            options: options.clone(),
            declaration,
            prepare: *prepare,
        });
        served.map(|served| Box::new(served) as Box<dyn Action>).collect::<Vec<_>>()
    };
    let mut actions = served(&SYSTEMD, !options.units.is_empty());
    actions.extend(served(&SIGNAL, !options.processes.is_empty()));
    actions.extend(served(&EXEC, !options.commands.is_empty()));
    Ok(actions)
}

#[derive(Deserialize)]
struct OfNode {
    node: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Action for Served {
    fn declaration(&self) -> &'static Declaration {
        self.declaration
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal> {
        let OfNode { node } = params(command)?;
        if !self.options.node.is(&node.name) {
            return Err(Refusal::refused(format!(
                "this runner stands on {}, and not on `{}`: give each machine a zone of its own, by `via:` in \
                 `inventory:` and `zone:` of its runner",
                self.options.node, node.name
            )));
        }
        (self.prepare)(self.options.clone(), command)
    }
}

/// The parameters of an action.
fn params<T: DeserializeOwned>(command: &Command) -> Result<T, Refusal> {
    serde_json::from_value((*command.task.params).clone())
        .map_err(|error| Refusal::refused(format!("wrong parameters: {error}")))
}
