//! The host against a real nats-server: copies of a command, the stop switch, and an engine that is silent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use regreen_action::{Action, Call, Options, Refusal, run};
use regreen_bus::{
    Bus, connect, publish,
    reader::Reader,
    streams::{self, Sizing},
    tick, tickets,
};
use regreen_kit::shutdown;
use regreen_schemas::{
    Domain, Instance, RunId, Span, Timestamp,
    action::{Declaration, Effect, HTTP_REQUEST},
    command::{Command, Kind, Task},
    fact::{self, Item, NotCalled, Verb},
    rate::{Credential, Told},
    record::Tick,
    subject::FactKind,
    ticket::Stop,
};
use regreen_testkit::Nats;
use serde_json::{Value, json};

struct Counting(Arc<AtomicU32>);

impl Action for Counting {
    fn declaration(&self) -> &'static Declaration {
        &HTTP_REQUEST
    }
    fn credential(&self) -> Option<Credential> {
        Some(Credential { name: "http/key".into(), limits: Vec::new() })
    }
    fn prepare(&self, _: &Command) -> Result<Box<dyn Call>, Refusal> {
        Ok(Box::new(Self(self.0.clone())))
    }
}

impl Call for Counting {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            self.0.fetch_add(1, Ordering::SeqCst);
            Verb::Ok { result: json!({"status": 200}) }
        })
    }
    fn observe(&self, _: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        unreachable!("nothing is looked up here")
    }
    fn rate(&self) -> Option<Told> {
        Some(Told { credential: "http/key".into(), spent: 3, remaining: Some(7), pause: None })
    }
}

fn command(attempt: u32, claim_by: i64) -> Command {
    let task = Task {
        kind: Kind::Perform,
        action: HTTP_REQUEST.name.into(),
        effect: Effect::Idempotent,
        zone: "main".into(),
        params: Arc::new(json!({})),
        node: None,
        claim_by: Timestamp(claim_by),
        timeout: Span::seconds(5),
    };
    let (run, instance) = (RunId::from("r"), Instance::from("hit"));
    Command {
        v: 1,
        run,
        instance,
        attempt,
        task,
        action_key: "k".into(),
        decision_seq: 1,
        stop_no: 1,
        trace: None,
    }
}

/// Sends a command as the server would after it lost an ack: no id stands in the way of a second copy.
async fn send(bus: &Bus, command: &Command) {
    let subject = bus.names.command(&command.task.zone, &command.task.action);
    let bytes = serde_json::to_vec(command).expect("plain data").into();
    bus.port.publish(subject, publish::Headers::new(), bytes).await.expect("stored");
}

async fn outcome(reader: &mut Reader, bus: &Bus) -> (u32, Verb) {
    loop {
        let stored = reader.next().await.expect("no gap");
        if let Some((FactKind::Result, _)) = bus.names.parse_fact(&stored.subject) {
            let items = fact::decode(FactKind::Result, &stored.payload).expect("readable");
            let Some(Item::Result(outcome)) = items.into_iter().next() else { panic!("no outcome") };
            // Where nothing could have been sent, there is nothing to tell.
            let late = matches!(outcome.outcome, Verb::NotCalled { reason: NotCalled::Late, .. });
            assert_eq!(outcome.rate.map(|rate| rate.spent), (!late).then_some(3));
            return (outcome.attempt, outcome.outcome);
        }
    }
}

#[tokio::test]
async fn a_second_copy_never_calls_twice_and_nothing_begins_late_or_stopped() {
    let nats = Nats::start().await;
    let options = connect::Options {
        url: nats.url(),
        domain: Domain::from("default"),
        user: "test".into(),
        seed: None,
    };
    let bus = Bus::connect(&options).await.expect("a connection");
    streams::init(&bus, Sizing { replicas: 1, bytes: 200_000_000 }, Timestamp(1), false)
        .await
        .expect("streams");
    let dir = tempfile::tempdir().expect("a directory");
    let calls = Arc::new(AtomicU32::new(0));
    let host = Options {
        name: "r1".into(),
        zone: "main".into(),
        journal: dir.path().join("journal"),
        at_once: 8,
        ends_process: false,
        metrics: regreen_action::Metrics::default(),
    };
    let (trigger, shutdown) = shutdown::channel();
    let running = tokio::spawn(run(bus.clone(), host, vec![Box::new(Counting(calls.clone()))], shutdown));
    let ticking = bus.clone();
    tokio::spawn(async move {
        loop {
            tick::send(
                &ticking,
                &Tick { v: 1, epoch: 1, seq: 1, now: Timestamp(1000), idle: false, resync: vec![] },
            )
            .await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut reader = Reader::new(&bus, bus.names.facts(), 0);
    // `serves` comes after the host listens: the tick that follows is heard before any command.
    let serves = reader.next().await.expect("no gap");
    let items = fact::decode(FactKind::Serves, &serves.payload).expect("readable");
    let [Item::Serves(serves)] = &items[..] else { panic!("{items:?}") };
    assert_eq!(serves.credentials.get("http").map(|key| &*key.name), Some("http/key"));
    tick::send(&bus, &Tick { v: 1, epoch: 1, seq: 1, now: Timestamp(1000), idle: false, resync: vec![] })
        .await;
    bus.nats().client.flush().await.expect("sent");
    tokio::time::timeout(Duration::from_secs(30), async {
        for _ in 0..5 {
            send(&bus, &command(1, 1_000_000)).await;
        }
        assert!(matches!(outcome(&mut reader, &bus).await, (1, Verb::Ok { .. })));
        // A copy that comes late is no word of the first one's holder that nothing was called.
        send(&bus, &command(1, 500)).await;
        send(&bus, &command(2, 500)).await;
        assert!(matches!(
            outcome(&mut reader, &bus).await,
            (2, Verb::NotCalled { reason: NotCalled::Late, .. })
        ));
        let stop = Stop { v: 1, by: "amy".into(), reason: "".into() };
        tickets::stop(&bus, &stop, async || 1).await.expect("pulled");
        send(&bus, &command(3, 1_000_000)).await;
        assert!(matches!(
            outcome(&mut reader, &bus).await,
            (3, Verb::NotCalled { reason: NotCalled::Stopped, .. })
        ));
    })
    .await
    .expect("outcomes within half a minute");
    trigger.end();
    running.await.expect("no panic").expect("an orderly end");
    assert_eq!(calls.load(Ordering::SeqCst), 1, "one call, however many copies");
}
