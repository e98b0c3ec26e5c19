//! The model is honest: the same scenarios, word for word, at the model and at a real nats-server with real kills,
//! SIGSTOP and a cut connection. Where they differ, the model is wrong.

use std::{fmt::Write as _, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use regreen_bus::{
    Bus, connect,
    log::{Log, Tail},
    port::{Coming, Delivery, Durable, Stored, Updated},
    publish::{self, Headers, header},
    reader::Reader,
    streams::{self, Sizing},
};
use regreen_schemas::{Domain, Timestamp, subject::Names};
use regreen_sim::{Client, Net, Server};
use regreen_testkit::{Nats, Proxy};
use tokio::time::{sleep, timeout};

const SIZING: Sizing = Sizing { replicas: 1, bytes: 200_000_000 };

/// A server that things can be done to, and a connection to it.
enum Lab {
    Real { nats: Nats, proxy: Proxy },
    Model { server: Server, client: Client },
}

impl Lab {
    async fn real() -> (Self, Bus) {
        let nats = Nats::start().await;
        let proxy = Proxy::start(nats.port()).await;
        let url = format!("nats://127.0.0.1:{}", proxy.port());
        let options =
            connect::Options { url, domain: Domain::from("default"), user: "test".into(), seed: None };
        let bus = Bus::connect(&options).await.expect("a connection");
        streams::init(&bus, SIZING, Timestamp(1), false).await.expect("streams");
        (Self::Real { nats, proxy }, bus)
    }

    async fn model() -> (Self, Bus) {
        let names = Names::new(&Domain::from("default")).expect("a token");
        let server = Server::new(1, streams::configs(&names, SIZING));
        let client = Client::new(&server, 2);
        let bus = Bus::over(Arc::new(client.clone()), names);
        streams::genesis(&bus, Timestamp(1), 0, false).await.expect("the first record");
        (Self::Model { server, client }, bus)
    }

    fn kill(&mut self) {
        match self {
            Self::Real { nats, .. } => nats.kill(),
            Self::Model { server, .. } => server.kill(),
        }
    }

    async fn start(&mut self) {
        match self {
            Self::Real { nats, .. } => nats.restart().await,
            Self::Model { server, .. } => server.start(),
        }
    }

    fn pause(&self, paused: bool) {
        match self {
            Self::Real { nats, .. } => nats.signal(if paused { "STOP" } else { "CONT" }),
            Self::Model { server, .. } => server.pause(paused),
        }
    }

    /// The connection breaks, and can be made anew at once.
    async fn cut(&self) {
        match self {
            Self::Real { proxy, .. } => proxy.cut(),
            Self::Model { client, .. } => {
                client.cut(true);
                sleep(Duration::from_millis(1)).await;
                client.cut(false);
            }
        }
    }
}

impl Lab {
    /// Once the client publishes this, no answer comes back; until the answers are let through again.
    fn hold_answers_after(&self, subject: &str) {
        match self {
            Self::Real { proxy, .. } => proxy.hold_after(format!("PUB {subject}").as_bytes()),
            Self::Model { client, .. } => client.weather(Net { lose_answer: 1.0, ..Net::default() }),
        }
    }

    fn release(&self) {
        match self {
            Self::Real { proxy, .. } => proxy.release(),
            Self::Model { client, .. } => client.weather(Net::default()),
        }
    }
}

/// Tells a scenario at both, and compares the words.
fn same<M, R>(model: impl FnOnce() -> M, real: impl FnOnce() -> R)
where
    M: Future<Output = String>,
    R: Future<Output = String>,
{
    let model = regreen_sim::time::run(1, model);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let real = runtime.block_on(real());
    assert!(!real.is_empty());
    assert_eq!(model, real, "the model says the left, nats-server the right");
}

macro_rules! at_both {
    ($($name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            same(
                async || { let (mut lab, bus) = Lab::model().await; scenarios::$name(&mut lab, &bus).await },
                async || { let (mut lab, bus) = Lab::real().await; scenarios::$name(&mut lab, &bus).await },
            );
        }
    )* };
}

at_both!(
    the_log_is_fenced,
    a_ticket_is_written_once_and_guarded_by_the_stop,
    ids_are_remembered_and_subjects_compared,
    purged_messages_are_gone_and_sequences_go_on,
    a_consumer_begins_where_there_is_something_and_waits_beyond,
    what_is_not_acknowledged_comes_again,
    objects_and_keys,
    what_is_not_there_is_said_to_be_missing,
    nothing_acknowledged_is_lost_by_a_kill_and_followers_go_on,
    a_write_to_a_server_that_stands_still_lands_later,
    a_cut_connection_leaves_one_record,
    an_answer_that_is_held_back_leaves_the_write_in_doubt_and_there,
);

mod scenarios {
    use super::*;

    fn answer(told: Result<publish::Ack, publish::Error>) -> String {
        match told {
            Ok(ack) => format!("stored {}", ack.seq),
            Err(publish::Error::Refused { code, .. }) => format!("refused {code}"),
            Err(publish::Error::InDoubt(_)) => "in doubt".into(),
            Err(publish::Error::Unsendable(_)) => "unsendable".into(),
        }
    }

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.insert(*name, *value);
        }
        headers
    }

    async fn publish(bus: &Bus, subject: &str, pairs: &[(&str, &str)], body: &str) -> String {
        let body = Bytes::from(body.to_owned());
        answer(bus.port.publish(subject.into(), headers(pairs), body).await)
    }

    async fn extent(bus: &Bus, stream: String) -> String {
        let info = bus.port.info(stream).await.expect("an answer");
        format!("{} to {}", info.first, info.last)
    }

    fn text(found: &Stored) -> String {
        format!("{}:{}", found.seq, String::from_utf8_lossy(&found.payload))
    }

    /// What comes within a moment.
    async fn coming(stream: &mut Coming<Stored>) -> String {
        let mut told = String::new();
        while let Ok(Some(Ok(message))) = timeout(Duration::from_millis(400), stream.next()).await {
            let _ = write!(told, "{} (+{}) ", text(&message), message.pending);
        }
        told
    }

    pub async fn the_log_is_fenced(_: &mut Lab, bus: &Bus) -> String {
        let log = bus.names.decision();
        let mut told = Vec::new();
        for (last, body) in [("1", "two"), ("1", "two"), ("1", "other"), ("7", "high"), ("2", "three")] {
            told.push(publish(bus, &log, &[(header::LAST_SEQ, last)], body).await);
        }
        told.push(publish(bus, &log, &[], "a stranger's, without the header").await);
        let found = bus.port.message(bus.names.decisions(), 2).await.expect("an answer").expect("there");
        told.push(text(&found));
        told.push(format!(
            "{:?}",
            bus.port.message(bus.names.decisions(), 99).await.expect("an answer").is_some()
        ));
        let newest = bus.port.last(bus.names.decisions(), log).await.expect("an answer").expect("there");
        told.push(text(&newest));
        told.join("\n")
    }

    pub async fn a_ticket_is_written_once_and_guarded_by_the_stop(_: &mut Lab, bus: &Bus) -> String {
        let ticket = |n: u32| format!("regreen.ticket.default.run.step.{n}");
        let (one, stop) = (bus.names.stop(1), bus.names.stop(2));
        let guarded = [(header::LAST_SUBJECT_SEQ, "0"), (header::LAST_SUBJECT, one.as_str())];
        let mut told = vec![
            publish(bus, &ticket(1), &guarded, "a").await,
            publish(bus, &ticket(1), &guarded, "a").await,
            publish(bus, &ticket(1), &[], "b").await,
            publish(bus, &ticket(2), &[], "b").await,
            publish(bus, &one, &[], "stop").await,
            publish(bus, &one, &[], "stop again").await,
            publish(bus, &ticket(3), &guarded, "c").await,
            publish(bus, &ticket(1), &guarded, "a").await,
            publish(bus, &ticket(4), &[], "a message to people").await,
        ];
        let other = [(header::LAST_SUBJECT_SEQ, "0"), (header::LAST_SUBJECT, stop.as_str())];
        told.push(publish(bus, &ticket(3), &other, "under the next number").await);
        let racers = (0..18)
            .map(|n| publish(bus, "regreen.ticket.default.run.race.1", &[], if n == 0 { "x" } else { "y" }));
        let won = futures::future::join_all(racers).await;
        told.push(format!("{} of 18 won", won.iter().filter(|told| told.starts_with("stored")).count()));
        told.push(format!(
            "{} were refused by 10077",
            won.iter().filter(|told| *told == "refused 10077").count()
        ));
        told.join("\n")
    }

    pub async fn ids_are_remembered_and_subjects_compared(_: &mut Lab, bus: &Bus) -> String {
        let fact = "regreen.fact.default.alerts.a";
        let story = "regreen.run.default.r";
        let mut told = Vec::new();
        for id in ["a", "a", "b", "a"] {
            told.push(publish(bus, fact, &[(header::MSG_ID, id)], "x").await);
        }
        for last in ["0", "0", "1", "9", "2"] {
            told.push(publish(bus, story, &[(header::LAST_SUBJECT_SEQ, last)], last).await);
        }
        told.push(extent(bus, bus.names.runs()).await);
        publish(bus, "regreen.run.default.s", &[], "s").await;
        let newest = bus.port.newest(bus.names.runs(), bus.names.all_stories()).await.expect("an answer");
        told.extend(newest.iter().map(text));
        told.join("\n")
    }

    pub async fn purged_messages_are_gone_and_sequences_go_on(_: &mut Lab, bus: &Bus) -> String {
        let mut told = Vec::new();
        for n in 1..=6 {
            let subject =
                if n % 2 == 0 { "regreen.fact.default.alerts.a" } else { "regreen.fact.default.looks.b" };
            publish(bus, subject, &[], &n.to_string()).await;
        }
        let facts = || bus.names.facts();
        told.push(bus.port.purge(facts(), 3, None).await.expect("purged").to_string());
        told.push(extent(bus, facts()).await);
        let looks = Some("regreen.fact.default.looks.>".to_owned());
        told.push(bus.port.purge(facts(), 6, looks).await.expect("purged").to_string());
        told.push(extent(bus, facts()).await);
        for seq in 1..=6 {
            let found = bus.port.message(facts(), seq).await.expect("an answer");
            told.push(found.map_or("none".into(), |found| text(&found)));
        }
        told.push(publish(bus, "regreen.fact.default.looks.b", &[(header::LAST_SEQ, "6")], "7").await);
        told.push(bus.port.purge(facts(), 100, None).await.expect("purged").to_string());
        told.push(extent(bus, facts()).await);
        let subject = "regreen.fact.default.looks.b";
        told.push(publish(bus, subject, &[(header::LAST_SUBJECT_SEQ, "7")], "the subject is empty").await);
        told.push(publish(bus, subject, &[(header::LAST_SUBJECT_SEQ, "0")], "8").await);
        told.push(publish(bus, subject, &[(header::LAST_SEQ, "8")], "the stream goes on").await);
        told.push(extent(bus, facts()).await);
        told.join("\n")
    }

    pub async fn a_consumer_begins_where_there_is_something_and_waits_beyond(
        _: &mut Lab,
        bus: &Bus,
    ) -> String {
        let subject = "regreen.fact.default.alerts.a";
        for n in 1..=4 {
            publish(bus, subject, &[], &n.to_string()).await;
        }
        bus.port.purge(bus.names.facts(), 3, None).await.expect("purged");
        let mut told = Vec::new();
        let mut early = bus.port.follow(bus.names.facts(), 1).await.expect("opened");
        told.push(coming(&mut early).await);
        let mut beyond = bus.port.follow(bus.names.facts(), 7).await.expect("opened");
        told.push(coming(&mut beyond).await);
        for n in 5..=8 {
            publish(bus, subject, &[], &n.to_string()).await;
        }
        let seqs =
            |told: String| told.split(' ').filter(|part| part.contains(':')).collect::<Vec<_>>().join(" ");
        told.push(seqs(coming(&mut beyond).await));
        told.push(seqs(coming(&mut early).await));
        told.join("\n")
    }

    async fn taken(from: &mut Coming<Delivery>, done: &str) -> String {
        let mut told = String::new();
        while let Ok(Some(Ok(delivery))) = timeout(Duration::from_millis(400), from.next()).await {
            let body = String::from_utf8_lossy(&delivery.payload).into_owned();
            if done.contains(&body) {
                delivery.done.await.expect("sent");
            }
            told += &body;
        }
        told
    }

    pub async fn what_is_not_acknowledged_comes_again(_: &mut Lab, bus: &Bus) -> String {
        let durable = Durable {
            name: "main-http".into(),
            filter: "regreen.cmd.default.main.http.>".into(),
            redelivery: Duration::from_secs(2),
            in_hand_max: 3,
        };
        for (provider, body) in
            [("http", "a"), ("http", "b"), ("ssh", "x"), ("http", "c"), ("http", "d"), ("http", "e")]
        {
            let subject = format!("regreen.cmd.default.main.{provider}.do");
            bus.port.send(subject, Headers::new(), body.into()).await.expect("sent");
        }
        sleep(Duration::from_millis(100)).await;
        let mut told = Vec::new();
        let mut first = bus.port.take(bus.names.commands(), durable.clone()).await.expect("opened");
        // Three may be out; an acknowledged one makes room.
        told.push(taken(&mut first, "b").await);
        told.push(taken(&mut first, "b").await);
        sleep(Duration::from_millis(1700)).await;
        let mut again: Vec<char> = taken(&mut first, "abcde").await.chars().collect();
        again.sort_unstable();
        told.push(again.into_iter().collect());
        drop(first);
        sleep(Duration::from_millis(2200)).await;
        let mut other = bus.port.take(bus.names.commands(), durable).await.expect("opened");
        told.push(taken(&mut other, "abcde").await);
        told.join("\n")
    }

    pub async fn objects_and_keys(_: &mut Lab, bus: &Bus) -> String {
        let (bucket, view) = (bus.names.bodies(), bus.names.view());
        let mut told = Vec::new();
        let got = async |name: &str| {
            let found = bus.port.get(bus.names.bodies(), name.into()).await.expect("an answer");
            found.map_or("none".into(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        told.push(got("a").await);
        bus.port.put(bucket.clone(), "a".into(), "one".into()).await.expect("put");
        bus.port.put(bucket.clone(), "b".into(), "two".into()).await.expect("put");
        bus.port.put(bucket.clone(), "a".into(), "three".into()).await.expect("put");
        told.push(got("a").await);
        let mut names = bus.port.list(bucket.clone()).await.expect("an answer");
        names.sort();
        told.push(names.join(","));
        bus.port.delete(bucket.clone(), "a".into()).await.expect("deleted");
        bus.port.sweep(bucket.clone()).await.expect("swept");
        told.push(got("a").await);
        told.push(got("b").await);
        told.push(bus.port.list(bucket).await.expect("an answer").join(","));
        let key = || "checks".to_owned();
        told.push(format!("{:?}", bus.port.entry(view.clone(), key()).await.expect("an answer")));
        let put = async |body: &'static str, revision: u64| {
            let told = bus.port.update(bus.names.view(), key(), body.into(), revision).await;
            if told.expect("an answer") == Updated::Written { "written" } else { "moved" }.to_owned()
        };
        told.push(put("one", 0).await);
        told.push(put("two", 0).await);
        let (revision, value) = bus.port.entry(view.clone(), key()).await.expect("an answer").expect("there");
        told.push(String::from_utf8_lossy(&value).into_owned());
        told.push(put("two", revision).await);
        told.push(put("three", revision).await);
        let mut watched = bus.port.watch(view, key()).await.expect("opened");
        let next = timeout(Duration::from_secs(2), watched.next()).await.expect("in time").expect("one");
        told.push(String::from_utf8_lossy(&next.expect("readable").1).into_owned());
        told.join("\n")
    }

    pub async fn what_is_not_there_is_said_to_be_missing(_: &mut Lab, bus: &Bus) -> String {
        let mut told = vec![format!("{:?}", bus.port.info("NOTHING".into()).await.map(|_| ()))];
        told.push(publish(bus, "regreen.nowhere", &[], "x").await);
        let last = bus.port.last(bus.names.tickets(), bus.names.stop(1)).await;
        told.push(format!("{:?}", last.map(|found| found.is_some())));
        told.join("\n")
    }

    pub async fn nothing_acknowledged_is_lost_by_a_kill_and_followers_go_on(
        lab: &mut Lab,
        bus: &Bus,
    ) -> String {
        let subject = "regreen.fact.default.alerts.a";
        let mut told = Vec::new();
        for n in 1..=50 {
            publish(bus, subject, &[], &n.to_string()).await;
        }
        let before = bus.port.info(bus.names.facts()).await.expect("an answer");
        let mut reader = Reader::new(bus, bus.names.facts(), 0);
        for _ in 0..20 {
            reader.next().await.expect("no gap");
        }
        lab.kill();
        told.push(publish(bus, subject, &[(header::MSG_ID, "last")], "51").await);
        lab.start().await;
        // In doubt: the same bytes under the same id until the server answers.
        loop {
            let again = publish(bus, subject, &[(header::MSG_ID, "last")], "51").await;
            if again != "in doubt" {
                break;
            }
        }
        let mut read = 20;
        while read < 51 {
            read = reader.next().await.expect("no gap").seq;
        }
        told.push(format!("read up to {read}"));
        let after = bus.port.info(bus.names.facts()).await.expect("an answer");
        told.push(format!(
            "{} to {}, created as before: {}",
            after.first,
            after.last,
            after.created == before.created
        ));
        told.join("\n")
    }

    pub async fn a_write_to_a_server_that_stands_still_lands_later(lab: &mut Lab, bus: &Bus) -> String {
        let log = bus.names.decision();
        let fence = [(header::LAST_SEQ, "1")];
        let mut told = Vec::new();
        lab.pause(true);
        told.push(publish(bus, &log, &fence, "two").await);
        lab.pause(false);
        for _ in 0..100 {
            if bus.port.info(bus.names.decisions()).await.is_ok_and(|info| info.last == 2) {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        told.push(extent(bus, bus.names.decisions()).await);
        told.push(publish(bus, &log, &fence, "two").await);
        let found = bus.port.message(bus.names.decisions(), 2).await.expect("an answer").expect("it landed");
        told.push(text(&found));
        told.join("\n")
    }

    pub async fn an_answer_that_is_held_back_leaves_the_write_in_doubt_and_there(
        lab: &mut Lab,
        bus: &Bus,
    ) -> String {
        let (log, fence) = (bus.names.decision(), [(header::LAST_SEQ, "1")]);
        lab.hold_answers_after(&log);
        let mut told = vec![publish(bus, &log, &fence, "two").await];
        lab.release();
        told.push(publish(bus, &log, &fence, "two").await);
        let found = bus.port.message(bus.names.decisions(), 2).await.expect("an answer").expect("it landed");
        told.push(text(&found));
        told.push(extent(bus, bus.names.decisions()).await);
        told.join("\n")
    }

    pub async fn a_cut_connection_leaves_one_record(lab: &mut Lab, bus: &Bus) -> String {
        let first = bus.port.message(bus.names.decisions(), 1).await.expect("an answer").expect("Genesis");
        let hash = regreen_schemas::hash::sha256_hex(&first.payload);
        let mut log = Log::new(bus, Tail { seq: 1, hash });
        let mut told = Vec::new();
        for n in 2..=12_u64 {
            let (appended, ()) = tokio::join!(log.append(n.to_string().into()), async {
                if n % 3 == 0 {
                    lab.cut().await;
                }
            });
            told.push(format!("{}", appended.expect("ours")));
        }
        let mut reader = Reader::new(bus, bus.names.decisions(), 1);
        for _ in 2..=12 {
            told.push(text(&reader.next().await.expect("no gap")));
        }
        told.push(extent(bus, bus.names.decisions()).await);
        told.join("\n")
    }
}
