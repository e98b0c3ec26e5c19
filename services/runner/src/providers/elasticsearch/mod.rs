//! Elasticsearch 7.8 and newer, and OpenSearch: what a cluster is told about its nodes, and what it says of itself.
//! Any of its nodes is asked: their addresses come with the command, the way in is the runner's own.

mod access;
mod change;
mod cluster;
mod names;
mod params;
mod shards;
mod state;
mod turn;
mod votes;
mod wait;

use regreen_action::{Action, Call, Refusal};
use regreen_kit::secrets::Secrets;
use regreen_schemas::{
    action::{Declaration, elasticsearch as declared},
    command::Command,
};

pub use self::access::{Error, Login, Options, Scheme};
use self::cluster::{Cluster, Member};
use super::Served;
use crate::connection::Client;

/// What makes a command a call.
type Prepare = fn(&Access, &Command) -> Result<Box<dyn Call>, Refusal>;

const SERVED: [(&Declaration, Prepare); 6] = [
    (&declared::NODE_EXCLUDE, change::node_exclude),
    (&declared::NODE_INCLUDE, change::node_include),
    (&declared::VOTING_EXCLUDE, change::voting_exclude),
    (&declared::VOTING_INCLUDE, change::voting_include),
    (&declared::CLUSTER_WAIT, wait::prepare),
    (&declared::STATE_GET, state::prepare),
];

/// The way to clusters.
#[derive(Clone)]
struct Access {
    client: Client,
    options: Options,
    secrets: Secrets,
}

/// All actions.
pub(super) fn actions(
    client: &Client,
    options: &Options,
    secrets: &Secrets,
) -> Result<Vec<Box<dyn Action>>, Error> {
    options.sound()?;
    let access =
        Access { client: options.client(client)?, options: options.clone(), secrets: secrets.clone() };
    let served = SERVED.map(|(declaration, make)| {
        let access = access.clone();
        let prepare = move |command: &Command| make(&access, command);
        Box::new(Served { declaration, prepare }) as Box<dyn Action>
    });
    Ok(served.into())
}

impl Access {
    fn cluster(&self, members: &[params::Place]) -> Result<Cluster, Refusal> {
        if members.is_empty() {
            return Err(Refusal::refused(
                "there is no node to ask: the group is empty, or too large to go along with a command",
            ));
        }
        let member = |place: &params::Place| {
            Ok(Member { name: place.name.clone(), url: self.options.url(&place.address)? })
        };
        let members = members.iter().map(member).collect::<Result<_, Refusal>>()?;
        Ok(Cluster::new(self.options.rest(&self.client, &self.secrets)?, members))
    }
}
