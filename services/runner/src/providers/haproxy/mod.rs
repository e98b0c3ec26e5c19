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

use super::Served;

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

/// All actions.
pub(super) fn actions(options: &Options) -> impl Iterator<Item = Box<dyn Action>> {
    SERVED.into_iter().map(|(declaration, make)| {
        let options = options.clone();
        let prepare = move |command: &Command| make(options.balancer(command)?, command);
        Box::new(Served { declaration, credential: None, prepare }) as Box<dyn Action>
    })
}
