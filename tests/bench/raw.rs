//! The ceiling: what this machine's disk and nats-server can do without us.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use regreen_bus::{
    Bus, connect, publish,
    reader::Reader,
    streams::{self, Sizing},
};
use regreen_schemas::{Domain, Timestamp, subject::FactKind};
use regreen_testkit::Nats;
use serde::Serialize;

/// How long each figure is measured.
const FOR: Duration = Duration::from_secs(3);
/// Publishes at the same time for the pipelined figure.
const PIPELINE: usize = 256;

/// The raw figures.
#[derive(Debug, Serialize)]
pub struct Raw {
    /// Publishes a second, each waiting for the one before.
    pub serial: f64,
    /// Publishes a second, many at the same time.
    pub pipelined: f64,
    /// From publish to a reader, milliseconds.
    pub deliver_ms: f64,
}

/// Measures on a server of its own, with fsync on every write.
pub async fn measure() -> Raw {
    let nats = Nats::start().await;
    let options = connect::Options {
        url: nats.url(),
        domain: Domain::from("default"),
        user: "bench".into(),
        seed: None,
    };
    let bus = Bus::connect(&options).await.expect("a connection");
    streams::init(&bus, Sizing { replicas: 1, bytes: 1_000_000_000 }, Timestamp(1), false)
        .await
        .expect("streams");
    let subject = bus.names.fact(FactKind::Operator, "bench");
    let send = || {
        let (client, subject) = (bus.port.clone(), subject.clone());
        async move {
            client.publish(subject, publish::Headers::new(), vec![b'x'; 300].into()).await.expect("stored")
        }
    };
    let mut reader = Reader::new(&bus, bus.names.facts(), 0);
    let mut delivered = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        send().await;
        reader.next().await.expect("no gap");
        delivered.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    delivered.sort_by(f64::total_cmp);
    let (began, mut serial) = (Instant::now(), 0_u32);
    while began.elapsed() < FOR {
        send().await;
        serial += 1;
    }
    let serial = f64::from(serial) / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let pipelined = stream::repeat_with(send)
        .take_while(|_| std::future::ready(began.elapsed() < FOR))
        .buffer_unordered(PIPELINE)
        .count()
        .await;
    let pipelined = f64::from(u32::try_from(pipelined).unwrap_or(u32::MAX)) / began.elapsed().as_secs_f64();
    Raw { serial, pipelined, deliver_ms: delivered[delivered.len() / 2] }
}
