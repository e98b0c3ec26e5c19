//! `exec.run`: a command of the list. Exit code 0 is done; what the list calls `not_done` has surely done nothing; after
//! anything else nobody knows, and only what was used as `read` can't have done harm.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use regreen_action::{Call, Refusal, params};
use regreen_schemas::{
    action::Effect,
    command::Command,
    fact::{Answer, Verb},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Options,
    allow::Allowed,
    child::{self, Ended, Exit},
};
use crate::rest::Wrong;

/// So much before the host would give up, we do, and the command's group is killed.
const MARGIN: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Params {
    command: String,
    #[serde(default)]
    arguments: BTreeMap<String, Value>,
}

struct Run {
    name: String,
    allowed: Allowed,
    program: PathBuf,
    arguments: Vec<String>,
    within: Duration,
    reads: bool,
}

pub fn prepare(options: Arc<Options>, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let Params { command: name, arguments } = params(command)?;
    let Some(allowed) = options.commands.get(&name).cloned() else {
        return Err(Refusal::refused(format!(
            "`{name}` is not among `providers.host.commands` of this runner: add it there, if it may be run"
        )));
    };
    let reads = command.task.effect == Effect::Read;
    if reads && !allowed.harmless {
        return Err(Refusal::refused(format!(
            "command `{name}` is used with `effect: read`, and this runner does not call it `harmless`"
        )));
    }
    let arguments =
        allowed.fill(&arguments).map_err(|why| Refusal::refused(format!("command `{name}`: {why}")))?;
    let program = PathBuf::from(&allowed.argv[0]);
    if !program.is_file() {
        return Err(Refusal::refused(format!("command `{name}`: there is no program {}", program.display())));
    }
    let within = command.task.timeout.min(allowed.timeout).to_std().saturating_sub(MARGIN);
    if within.is_zero() {
        return Err(Refusal::refused(format!("command `{name}`: its timeout is too short to run anything")));
    }
    Ok(Box::new(Run { name, allowed, program, arguments, within, reads }))
}

impl Run {
    async fn run(&self) -> Result<Exit, Wrong> {
        let name = &self.name;
        match child::run(&self.program, &self.arguments, self.within).await {
            Ended::Exited(exit) if exit.status.success() => Ok(exit),
            Ended::Exited(exit) => Err(self.judge(&exit)),
            Ended::Killed => {
                let Self { within, .. } = self;
                Err(Wrong::unknown(format!("command `{name}` was killed: it was not over within {within:?}")))
            }
            Ended::NotStarted(error) => {
                Err(Wrong::not_yet(format!("command `{name}` can't be started: {error}")))
            }
            Ended::Lost(error) => Err(Wrong::unknown(format!("command `{name}`: {error}"))),
        }
    }

    fn judge(&self, exit: &Exit) -> Wrong {
        // What it prints is kept only where the list says so.
        let words = if self.allowed.keep_output { exit.words() } else { exit.status.to_string() };
        let why = format!("command `{}`: {words}", self.name);
        let not_done = exit.status.code().is_some_and(|code| self.allowed.not_done.contains(&code));
        if not_done { Wrong::permanent(why) } else { Wrong::unknown(why) }
    }
}

impl Call for Run {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            match self.run().await {
                Ok(Exit { stdout, stderr, .. }) if self.allowed.keep_output => {
                    Verb::Ok { result: json!({"exit": 0, "stdout": stdout, "stderr": stderr}) }
                }
                Ok(_) => Verb::Ok { result: json!({"exit": 0, "stdout": "", "stderr": ""}) },
                Err(wrong) if self.reads => wrong.of_read().verb(),
                Err(wrong) => wrong.verb(),
            }
        })
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        let state = "nothing says how to look for what a command has done".into();
        Box::pin(async move { Verb::Observed { look, answer: Answer::CannotTell { state } } })
    }
}
