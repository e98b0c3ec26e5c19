//! `haproxy.state.save`: what was set at runtime goes into the server-state file that HAProxy's own configuration names,
//! or a reload forgets it.

use std::path::{Path, PathBuf};

use futures::future::BoxFuture;
use regreen_action::{Call, Refusal};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde_json::{Value, json};

use super::{
    super::{Balancer, params::Server, place::Place, runtime::ask, state},
    address::Address,
    file::{self, New, aside},
    kept,
    text::Text,
};
use crate::rest::Wrong;

struct Save {
    place: Place,
    config: PathBuf,
}

pub fn prepare(balancer: &Balancer, _: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(Box::new(Save { place: balancer.socket.clone(), config: balancer.config()?.to_owned() }))
}

/// Saves the state of all servers where this configuration says; that of one that moves with its new address.
///
/// # Errors
/// As for a file that is replaced; while nothing was saved the file of before stands.
pub async fn save(place: &Place, text: &Text, moved: Option<(&Server, &Address)>) -> Result<(), Wrong> {
    let path = kept::file(text)?;
    let mut table = dump(place).await?;
    if let Some((server, address)) = moved {
        table = state::moved(
            &table,
            server,
            &[("srv_addr", address.number()), ("srv_port", address.port().to_string())],
        )?;
    }
    aside(move || New::write(&path, &table)?.take_place()).await
}

/// The table as HAProxy wants to read it again. Anything else must not replace the last good one.
async fn dump(place: &Place) -> Result<String, Wrong> {
    let table = ask(place, "show servers state").await.map_err(Wrong::of_read)?;
    state::settings(&table)?;
    Ok(table)
}

async fn text(config: &Path) -> Result<Text, Wrong> {
    let config = config.to_owned();
    Ok(Text::read(&aside(move || file::read(&config)).await?))
}

impl Save {
    /// Whether the file says what the balancer says. A file that can't be read is not saved.
    async fn saved(&self) -> Result<bool, Wrong> {
        let path = kept::file(&text(&self.config).await?)?;
        let table = dump(&self.place).await?;
        let Ok(kept) = aside(move || file::read(&path)).await else { return Ok(false) };
        Ok(state::settings(&kept).ok() == state::settings(&table).ok())
    }
}

impl Call for Save {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            let saved = match text(&self.config).await {
                Ok(text) => save(&self.place, &text, None).await,
                Err(wrong) => Err(wrong),
            };
            saved.map_or_else(Wrong::verb, |()| Verb::Ok { result: json!({}) })
        })
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            match self.saved().await {
                Ok(true) => Verb::Observed { look, answer: Answer::Done { result: json!({}) } },
                Ok(false) => Verb::Observed { look, answer: Answer::NotDone },
                Err(wrong) => wrong.of_read().verb(),
            }
        })
    }
}
