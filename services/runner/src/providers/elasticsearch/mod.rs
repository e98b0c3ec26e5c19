//! Elasticsearch 7.8 and newer, and OpenSearch: what a cluster is told about its nodes, and what it says of itself.
//! Any of its nodes is asked: their addresses come with the command, the way in is the runner's own.

mod access;
mod change;
mod cluster;
mod names;
mod params;
mod shards;
mod state;
mod votes;
mod wait;

use regreen_action::{Action, Call, Refusal};
use regreen_kit::secrets::Secrets;
use regreen_schemas::{
    action::{Declaration, elasticsearch as declared},
    command::Command,
};

pub use self::access::{Error, Login, Options, Scheme};
use self::{
    change::{Change, Right},
    cluster::{Cluster, Member},
    params::Node,
};
use crate::connection::Client;

/// The way to clusters.
#[derive(Clone)]
struct Access {
    client: Client,
    options: Options,
    secrets: Secrets,
}

/// A command becomes a call, or is refused.
type Prepared = Result<Box<dyn Call>, Refusal>;
type Prepare = fn(&Access, &Command) -> Prepared;

/// An action: its declaration, and how a command becomes a call.
struct Served {
    access: Access,
    declaration: &'static Declaration,
    prepare: Prepare,
}

/// All of them.
///
/// # Errors
/// When there is no TLS, or the CA can't be read.
pub fn actions(options: &Options, secrets: &Secrets) -> Result<Vec<Box<dyn Action>>, Error> {
    let access = Access { client: options.client()?, options: options.clone(), secrets: secrets.clone() };
    let served: [(_, Prepare); 6] = [
        (&declared::NODE_EXCLUDE, |access, command| {
            change(access, command, &[Right::Shards, Right::Vote], true)
        }),
        (&declared::NODE_INCLUDE, |access, command| {
            change(access, command, &[Right::Shards, Right::Vote], false)
        }),
        (&declared::VOTING_EXCLUDE, |access, command| change(access, command, &[Right::Vote], true)),
        (&declared::VOTING_INCLUDE, |access, command| change(access, command, &[Right::Vote], false)),
        (&declared::CLUSTER_WAIT, wait::prepare),
        (&declared::STATE_GET, state::prepare),
    ];
    let action = |(declaration, prepare)| -> Box<dyn Action> {
        Box::new(Served { access: access.clone(), declaration, prepare })
    };
    Ok(served.into_iter().map(action).collect())
}

impl Action for Served {
    fn declaration(&self) -> &'static Declaration {
        self.declaration
    }

    fn prepare(&self, command: &Command) -> Prepared {
        (self.prepare)(&self.access, command)
    }
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

fn change(access: &Access, command: &Command, rights: &'static [Right], exclude: bool) -> Prepared {
    let Node { place, others } = params::node(command)?;
    // It is asked last: most likely it is the one that does not answer.
    let members: Vec<_> = others.into_iter().chain([place.clone()]).collect();
    let cluster = access.cluster(&members)?;
    Ok(Box::new(Change { cluster, node: place.name, rights, exclude }))
}
