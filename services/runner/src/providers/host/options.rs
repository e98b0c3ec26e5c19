//! `providers.host` of the runner's file: which node this machine is, and the little that may be done on it.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use regreen_schemas::Span;
use serde::Deserialize;

use super::allow::Allowed;

/// Where distributions keep it.
const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// What a unit's name may end with. A name without is a service's.
const KINDS: [&str; 5] = ["service", "socket", "timer", "target", "path"];

/// The machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// What the inventory calls this machine: a name, or several.
    pub node: Nodes,
    /// Where `systemctl` is.
    #[serde(default = "systemctl")]
    pub systemctl: PathBuf,
    /// Units that it may touch.
    #[serde(default)]
    pub units: Vec<String>,
    /// Processes that may be signalled, by the name that playbooks use.
    #[serde(default)]
    pub processes: BTreeMap<String, Process>,
    /// Commands that may be run, by the name that playbooks use.
    #[serde(default)]
    pub commands: BTreeMap<String, Allowed>,
}

/// One or more nodes of the inventory.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Nodes {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// A process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its program, by the whole path.
    pub executable: PathBuf,
    /// Where its id is written, where several run that program.
    pub pidfile: Option<PathBuf>,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("providers.host.{key}: {why}")]
pub struct Error {
    key: String,
    why: String,
}

impl Error {
    /// At this key.
    pub(super) fn at(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self { key: key.into(), why: why.into() }
    }
}

fn systemctl() -> PathBuf {
    SYSTEMCTL.into()
}

/// Commands run this long at most, unless the file says otherwise.
pub(super) fn timeout() -> Span {
    regreen_schemas::action::TIMEOUT
}

impl Nodes {
    fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }

    /// Whether the machine is this node.
    pub fn is(&self, name: &str) -> bool {
        self.all().iter().any(|own| own == name)
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`", self.all().join("`, `"))
    }
}

impl Options {
    /// What can be found wrong with it before anything starts.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn sound(&self) -> Result<(), Error> {
        if self.node.all().iter().all(String::is_empty) {
            return Err(Error::at("node", "name the node of the inventory that this machine is"));
        }
        absolute("systemctl", &self.systemctl)?;
        for name in &self.units {
            unit(name).map_err(|why| Error::at("units", why))?;
        }
        for (name, process) in &self.processes {
            absolute(&format!("processes.{name}.executable"), &process.executable)?;
            if let Some(file) = &process.pidfile {
                absolute(&format!("processes.{name}.pidfile"), file)?;
            }
        }
        self.commands.iter().try_for_each(|(name, command)| command.sound(name))
    }
}

/// The whole name of a unit: one, and no pattern.
pub(super) fn unit(name: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ":_.@\\-".contains(c);
    if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(fits) {
        return Err(format!("`{name}` is not the name of one unit: write it as `systemctl` shows it"));
    }
    let whole = name.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind));
    Ok(if whole { name.to_owned() } else { format!("{name}.service") })
}

/// A path that means the same wherever the runner was started.
pub(super) fn absolute(key: &str, path: &Path) -> Result<(), Error> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(Error::at(key, format!("`{}` is no whole path: begin it with `/`", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_one_by_its_whole_name() {
        for (name, wanted) in [
            ("app", "app.service"),
            ("app.service", "app.service"),
            ("app@1", "app@1.service"),
            ("v1.2", "v1.2.service"),
            ("backup.timer", "backup.timer"),
        ] {
            assert_eq!(unit(name).as_deref(), Ok(wanted));
        }
        for wrong in ["", "-h", "app *", "app*", "a/b", "a b", "..", "ä"] {
            assert!(unit(wrong).is_err(), "{wrong}");
        }
    }
}
