//! `process.signal`: tells a process of the list to read its configuration again. Sent it is, or it is not: the kernel
//! leaves nothing unknown. What the process makes of it is the playbook's to verify.

use std::sync::Arc;

use futures::future::BoxFuture;
use regreen_action::{Call, Refusal, params};
use regreen_kit::errors::chain;
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Options,
    options::Process,
    processes::{self, Found},
};
use crate::rest::Wrong;

#[derive(Deserialize)]
struct Params {
    name: String,
    signal: Word,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Word {
    #[serde(rename = "HUP")]
    Hup,
    #[serde(rename = "USR1")]
    Usr1,
    #[serde(rename = "USR2")]
    Usr2,
}

impl Word {
    fn signal(self) -> Signal {
        match self {
            Self::Hup => Signal::HUP,
            Self::Usr1 => Signal::USR1,
            Self::Usr2 => Signal::USR2,
        }
    }
}

struct Send {
    name: String,
    process: Process,
    word: Word,
}

pub fn prepare(options: Arc<Options>, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let Params { name, signal: word } = params(command)?;
    let Some(process) = options.processes.get(&name).cloned() else {
        return Err(Refusal::refused(format!(
            "`{name}` is not among `providers.host.processes` of this runner: add it there, if it may be signalled"
        )));
    };
    Ok(Box::new(Send { name, process, word }))
}

impl Send {
    fn send(&self) -> Result<Found, Wrong> {
        let Self { name, process, word } = self;
        // It may be about to come back.
        let found = processes::find(process)
            .map_err(|error| Wrong::not_yet(format!("process `{name}`: {}", chain(&error))))?;
        let (id, signal) = (found.id, word.signal());
        match found.catches(signal) {
            Some(true) => {}
            Some(false) => {
                return Err(Wrong::permanent(format!(
                    "process `{name}` ({id}) does not handle {word:?}, which would end it: nothing is sent"
                )));
            }
            None => return Err(Wrong::not_yet(format!("process `{name}` ({id}) has ended meanwhile"))),
        }
        found.send(signal).map_err(|error| {
            let why = format!("process `{name}` ({id}) can't be sent {word:?}: {error}");
            match error.kind() {
                std::io::ErrorKind::PermissionDenied => Wrong::permanent(why),
                _ => Wrong::not_yet(why),
            }
        })?;
        Ok(found)
    }
}

impl Call for Send {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            match self.send() {
                Ok(found) => Verb::Ok { result: json!({"pid": found.id}) },
                Err(wrong) => wrong.verb(),
            }
        })
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        let state = "a signal leaves no trace: send it again".into();
        Box::pin(async move { Verb::Observed { look, answer: Answer::CannotTell { state } } })
    }
}
