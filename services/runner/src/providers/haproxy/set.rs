//! `haproxy.server.maint`, `ready` and `weight`, and the first half of `drain`. What is so already is not said; what was
//! said is read back, and only that counts.

use futures::future::BoxFuture;
use regreen_action::{Call, Refusal, params};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Balancer,
    params::{Server, server},
    place::Place,
    runtime::{ask, words},
    state::{self, Row},
};
use crate::rest::{Class, Wrong};

/// HAProxy's own bound.
const WEIGHT_MAX: u32 = 256;

/// How a server shall be.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    Drain,
    Maint,
    Ready,
    Weight(u32),
}

/// A server that shall be so.
pub struct Set {
    pub place: Place,
    pub server: Server,
    pub wish: Wish,
}

#[derive(Deserialize)]
struct OfWeight {
    weight: i64,
}

pub fn maint(balancer: &Balancer, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(Box::new(Set::new(balancer, command, Wish::Maint)?))
}

pub fn ready(balancer: &Balancer, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(Box::new(Set::new(balancer, command, Wish::Ready)?))
}

pub fn weight(balancer: &Balancer, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let OfWeight { weight } = params(command)?;
    let fit = u32::try_from(weight).ok().filter(|weight| *weight <= WEIGHT_MAX);
    let weight = fit.ok_or_else(|| Refusal::refused(format!("{weight} is no weight: 0 to {WEIGHT_MAX}")))?;
    Ok(Box::new(Set::new(balancer, command, Wish::Weight(weight))?))
}

impl Wish {
    fn words(self) -> String {
        match self {
            Self::Drain => "state drain".into(),
            Self::Maint => "state maint".into(),
            Self::Ready => "state ready".into(),
            Self::Weight(weight) => format!("weight {weight}"),
        }
    }

    /// Whether it is so.
    fn holds(self, row: &Row) -> bool {
        match self {
            // Maintenance is more than that, and `drain` would take it back.
            Self::Drain => row.admin.drain() || row.admin.maint(),
            Self::Maint => row.admin.maint(),
            Self::Ready => !row.admin.drain() && !row.admin.maint(),
            Self::Weight(weight) => row.weight == weight,
        }
    }

    fn result(self, row: &Row) -> Value {
        match self {
            Self::Weight(_) => json!({}),
            _ => json!({"state": row.admin.word()}),
        }
    }
}

impl Set {
    pub fn new(balancer: &Balancer, command: &Command, wish: Wish) -> Result<Self, Refusal> {
        Ok(Self { place: balancer.socket.clone(), server: server(command)?, wish })
    }

    /// Makes it so.
    pub async fn make(&self) -> Result<Row, Wrong> {
        if let Some(row) = self.holds().await? {
            return Ok(row);
        }
        let command = format!("set server {} {}", self.server, self.wish.words());
        let sent = match ask(&self.place, &command).await {
            Ok(answer) if answer.trim().is_empty() => "HAProxy said yes".to_owned(),
            Ok(answer) => return Err(Wrong::permanent(words(&answer))),
            Err(wrong) if wrong.class == Class::Unknown => wrong.reason,
            Err(wrong) => return Err(wrong),
        };
        match self.holds().await {
            Ok(Some(row)) => Ok(row),
            Ok(None) => Err(Wrong::unknown(format!("{sent}, and {} is not so: `{command}`", self.server))),
            Err(Wrong { reason, .. }) => {
                Err(Wrong::unknown(format!("{sent}, and it can't be read back: {reason}")))
            }
        }
    }

    /// How it is, if it is as it shall be.
    pub async fn holds(&self) -> Result<Option<Row>, Wrong> {
        let row = state::row(&self.place, &self.server).await?;
        Ok(Some(row).filter(|row| self.wish.holds(row)))
    }
}

impl Call for Set {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            match self.make().await {
                Ok(row) => Verb::Ok { result: self.wish.result(&row) },
                Err(wrong) => wrong.verb(),
            }
        })
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            match self.holds().await {
                Ok(Some(row)) => {
                    let answer = Answer::Done { result: self.wish.result(&row) };
                    Verb::Observed { look, answer }
                }
                Ok(None) => Verb::Observed { look, answer: Answer::NotDone },
                Err(wrong) => wrong.of_read().verb(),
            }
        })
    }
}
