//! COMMANDS: work on its way. It may be lost or come twice without harm; so it is published without waiting, and
//! acknowledged by the taker once the ticket is decided (rule 19).

use std::time::Duration;

use async_nats::HeaderMap;
use regreen_schemas::{Zone, command::Command, subject::Names};

use crate::{
    connect::Bus,
    port::{self, Coming, Delivery, Durable},
    publish::header,
};

/// A command whose taker says nothing for this long is delivered again.
const REDELIVERY: Duration = Duration::from_secs(10);
/// Commands that one zone's provider may have in hand.
pub const IN_HAND_MAX: i64 = 2000;

/// Sends a command. What is lost here is found by its deadline.
///
/// # Errors
/// When the client can't take the message at all.
pub async fn send(bus: &Bus, command: &Command) -> Result<(), port::Error> {
    let subject = bus.names.command(&command.task.zone, &command.task.action);
    let mut headers = HeaderMap::new();
    // One dispatch, sent again, is one command. A look that was lost has the attempt of the first, and is another.
    let Command { run, attempt, task, .. } = command;
    let id = format!("{run}.{}.{attempt}.{:?}.{}", command.instance.token(), task.kind, task.claim_by.0);
    headers.insert(header::MSG_ID, id);
    let bytes = serde_json::to_vec(command).expect("invariant: wire types are plain data");
    bus.port.send(subject, headers, bytes.into()).await
}

/// Opens the durable consumer of a provider in a zone. All its runners share it.
///
/// # Errors
/// [`port::Error`] when the stream is missing or refuses.
pub async fn take(bus: &Bus, zone: &Zone, provider: &str) -> Result<Coming<Delivery>, port::Error> {
    let durable = Durable {
        name: Names::command_consumer(zone, provider),
        filter: bus.names.commands_for(zone, provider),
        redelivery: REDELIVERY,
        in_hand_max: IN_HAND_MAX,
    };
    bus.port.take(bus.names.commands(), durable).await
}
