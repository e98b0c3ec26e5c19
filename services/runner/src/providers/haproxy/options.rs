//! Which balancers this runner stands beside, and how each is spoken to. A command names a node; where that is comes
//! from here alone.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use regreen_action::Refusal;
use regreen_schemas::command::Command;
use serde::Deserialize;

use super::place::Place;
use crate::providers::node_of;

/// `providers.haproxy` of the runner's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// By the names of their nodes in the inventory. All runners of a zone must have the same ones: any of them may be
    /// asked.
    pub balancers: BTreeMap<String, Balancer>,
}

/// One balancer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balancer {
    /// The runtime API: `stats socket … level admin` of its configuration.
    pub socket: Place,
    /// Its configuration, one file. Without it no action that needs it is done.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// The master process (`haproxy -S`): it reloads.
    #[serde(default)]
    pub master: Option<Place>,
    /// What checks a configuration.
    #[serde(default = "binary")]
    pub binary: PathBuf,
}

fn binary() -> PathBuf {
    "/usr/sbin/haproxy".into()
}

/// What is needed to load another configuration.
#[derive(Clone, Debug)]
pub struct Loader {
    pub config: PathBuf,
    pub master: Place,
    pub binary: PathBuf,
}

/// A file whose place depends on where the runner was started.
#[derive(Debug, thiserror::Error)]
#[error("providers.haproxy.balancers.{name}.{key}: give the full path of {path}")]
pub struct Relative {
    name: String,
    key: &'static str,
    path: PathBuf,
}

impl Balancer {
    /// What is needed to load another configuration.
    pub(super) fn loader(&self) -> Result<Loader, Refusal> {
        let config = self.config()?.to_owned();
        let master = self.master.clone().ok_or_else(|| {
            Refusal::refused(
                "this runner does not know how the balancer is reloaded: name its master's socket (`haproxy -S`) as \
                 `master` beside its `socket`",
            )
        })?;
        Ok(Loader { config, master, binary: self.binary.clone() })
    }

    /// Its configuration.
    pub(super) fn config(&self) -> Result<&Path, Refusal> {
        self.config.as_deref().ok_or_else(|| {
            Refusal::refused(
                "this runner does not know the balancer's configuration: name its file as `config` beside its `socket`",
            )
        })
    }
}

impl Options {
    /// Whether every file is named by its full path.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), Relative> {
        for (name, Balancer { config, binary, .. }) in &self.balancers {
            for (key, path) in [("config", config.as_ref()), ("binary", Some(binary))] {
                if let Some(path) = path.filter(|path| path.is_relative()) {
                    return Err(Relative { name: name.clone(), key, path: path.clone() });
                }
            }
        }
        Ok(())
    }

    /// The balancer that a command is about.
    pub(super) fn balancer(&self, command: &Command) -> Result<&Balancer, Refusal> {
        let name = node_of(command)?;
        self.balancers.get(&name).ok_or_else(|| {
            let known = self.balancers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Refusal::refused(format!(
                "this runner stands beside no balancer `{name}` (but: {known}): name it with its socket in \
                 providers.haproxy.balancers of the runners in zone {}",
                command.task.zone
            ))
        })
    }
}
