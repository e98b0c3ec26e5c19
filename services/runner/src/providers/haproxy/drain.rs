//! `haproxy.server.drain`: no new sessions, then those that it has are watched. That some are left when the time is over
//! is no failure, for the server is drained, and nothing unknown, for they were counted: it is a result, and what
//! follows from it is the playbook's to say.

use std::time::Duration;

use futures::future::BoxFuture;
use regreen_action::{Call, Refusal};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Balancer,
    set::{Set, Wish},
    state::{self, Row},
};
use crate::rest::Wrong;

/// Between two counts.
const PAUSE: Duration = Duration::from_millis(250);
/// So much before the host would give up, we do: with what was counted last.
const MARGIN: Duration = Duration::from_millis(500);

struct Drain {
    set: Set,
    patience: Duration,
}

pub fn prepare(balancer: &Balancer, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let patience = command.task.timeout.to_std().saturating_sub(MARGIN);
    Ok(Box::new(Drain { set: Set::new(balancer, command, Wish::Drain)?, patience }))
}

/// A drained server and its sessions.
type Counted = (Row, u32);

impl Drain {
    async fn drain(&self) -> Verb {
        let end = Instant::now() + self.patience;
        if let Err(wrong) = self.set.make().await {
            return wrong.verb();
        }
        match self.watch(end).await {
            Ok(counted) => Verb::Ok { result: result(&counted) },
            Err(reason) => Verb::Unknown { reason: reason.into() },
        }
    }

    /// Until there are none, or no time is left. A reload in between may have forgotten what was set.
    async fn watch(&self, end: Instant) -> Result<Counted, String> {
        let mut last = Err("they were not counted in time".to_owned());
        loop {
            match timeout_at(end, self.count()).await {
                Ok(Ok(Some((row, 0)))) => return Ok((row, 0)),
                Ok(Ok(Some(counted))) => last = Ok(counted),
                Ok(Ok(None)) => {
                    return Err(format!(
                        "{} was drained, and then somebody or a reload took that back",
                        self.set.server
                    ));
                }
                // It may be back before the time is over.
                Ok(Err(wrong)) => last = Err(wrong.reason),
                Err(_) => break,
            }
            if timeout_at(end, sleep(PAUSE)).await.is_err() {
                break;
            }
        }
        last.map_err(|why| format!("{} is drained; its sessions: {why}", self.set.server))
    }

    /// None when it is not drained.
    async fn count(&self) -> Result<Option<Counted>, Wrong> {
        let Some(row) = self.set.holds().await? else { return Ok(None) };
        let sessions = state::sessions(&self.set.place, &self.set.server).await?;
        Ok(Some((row, sessions)))
    }
}

fn result((row, sessions): &Counted) -> Value {
    json!({"state": row.admin.word(), "sessions": sessions})
}

impl Call for Drain {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(self.drain())
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            match self.count().await {
                Ok(Some(counted)) => {
                    Verb::Observed { look, answer: Answer::Done { result: result(&counted) } }
                }
                Ok(None) => Verb::Observed { look, answer: Answer::NotDone },
                Err(wrong) => wrong.of_read().verb(),
            }
        })
    }
}
