//! HAProxy 2.6 or newer, by its runtime API. It knows no codes and no users: success is an empty line, a failure is free
//! text, and whoever reaches the socket may do everything. So the runner stands beside the balancer, everything that was
//! set is read back, and only that counts.

mod config;
mod drain;
mod get;
mod options;
mod params;
mod place;
mod runtime;
mod set;
mod state;

use regreen_action::{Action, Call, Refusal};
use regreen_schemas::{
    action::{Declaration, haproxy as declared},
    command::Command,
};

pub use self::{
    options::{Balancer, Options, Relative},
    place::Place,
};

/// What makes a command a call.
type Prepare = fn(&Balancer, &Command) -> Result<Box<dyn Call>, Refusal>;

const SERVED: [(&Declaration, Prepare); 8] = [
    (&declared::SERVER_GET, get::prepare),
    (&declared::SERVER_DRAIN, drain::prepare),
    (&declared::SERVER_MAINT, set::maint),
    (&declared::SERVER_READY, set::ready),
    (&declared::SERVER_WEIGHT, set::weight),
    (&declared::STATE_SAVE, config::save),
    (&declared::CONFIG_PUT_SERVER, config::put),
    (&declared::CONFIG_REMOVE_SERVER, config::remove),
];

struct Served {
    options: Options,
    declaration: &'static Declaration,
    prepare: Prepare,
}

/// All actions.
pub(super) fn actions(options: &Options) -> impl Iterator<Item = Box<dyn Action>> {
    let served =
        SERVED.map(|(declaration, prepare)| Served { options: options.clone(), declaration, prepare });
    served.into_iter().map(|served| Box::new(served) as Box<dyn Action>)
}

impl Action for Served {
    fn declaration(&self) -> &'static Declaration {
        self.declaration
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal> {
        (self.prepare)(self.options.balancer(command)?, command)
    }
}
