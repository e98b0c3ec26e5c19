//! What a command says: which balancer, and which of its servers.

use std::fmt;

use regreen_action::{Refusal, params};
use regreen_schemas::command::Command;
use serde::Deserialize;

#[derive(Deserialize)]
struct OfServer {
    server: String,
}

/// A server of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub backend: String,
    pub name: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.name)
    }
}

/// The server.
pub fn server(command: &Command) -> Result<Server, Refusal> {
    let OfServer { server } = params(command)?;
    let parts = server.split_once('/').filter(|(backend, name)| one_name(backend) && one_name(name));
    let (backend, name) = parts.ok_or_else(|| {
        Refusal::refused(format!(
            "`{server}` is no server: write backend and server as HAProxy names them, `app/app1`"
        ))
    })?;
    Ok(Server { backend: backend.into(), name: name.into() })
}

/// What HAProxy takes for a name. A space, a `;` or the end of a line would begin something else.
fn one_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}
