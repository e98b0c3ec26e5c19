//! The bus against a real nats-server, with a cut connection and a killed server in the middle.

use std::{sync::Arc, time::Duration};

use regreen_bus::{
    Bus, bodies, commands, connect,
    log::{self, Log, Tail},
    publish::header,
    reader::{Gap, Reader},
    stories::{self, Stories},
    streams::{self, Sizing},
    tickets::{self, Taken},
    view,
    writer::Writer,
};
use regreen_schemas::{
    Domain, Instance, RunId, Span, Timestamp,
    action::Effect,
    check::Status,
    command::{Command, Kind, Task},
    fact::{self, Item, Operator},
    hash::sha256_hex,
    id::Genesis,
    record,
    story::Story,
    subject::FactKind,
    ticket::{Stop, Ticket},
    view::{Checks, Verdict},
};
use regreen_testkit::{Nats, Proxy, wait_for};

const SIZING: Sizing = Sizing { replicas: 1, bytes: 200_000_000 };

async fn connect(url: String) -> Bus {
    let options = connect::Options { url, domain: Domain::from("default"), user: "test".into(), seed: None };
    Bus::connect(&options).await.expect("a connection")
}

async fn domain(nats: &Nats) -> Bus {
    let bus = connect(nats.url()).await;
    streams::init(&bus, SIZING, Timestamp(1), false).await.expect("streams");
    bus
}

fn settle(n: u32) -> Operator {
    Operator::Settle { run: RunId::from("r"), instance: Instance::from("s"), attempt: n, done: true }
}

/// All attempts that stand in FACTS, in order.
async fn settled(bus: &Bus, messages: u64) -> Vec<u32> {
    let mut reader = Reader::new(bus, bus.names.facts(), 0);
    let mut found = Vec::new();
    for _ in 0..messages {
        let stored = reader.next().await.expect("no gap");
        for item in fact::decode(FactKind::Operator, &stored.payload).expect("readable") {
            let Item::Operator(Operator::Settle { attempt, .. }) = item else { panic!("{item:?}") };
            found.push(attempt);
        }
    }
    found
}

fn story(epoch: u64, seq: u64) -> Story {
    Story {
        v: 1,
        seq,
        epoch,
        run: RunId::from("r"),
        playbook: "p".into(),
        target: None,
        fingerprint: None,
        started: Timestamp(1),
        ended: None,
        result: None,
        lines: vec![],
        cut: 0,
    }
}

async fn last(bus: &Bus, stream: String) -> u64 {
    streams::extent(bus, stream).await.expect("there").last
}

#[tokio::test]
async fn init_makes_the_domain_once_and_drift_is_told() {
    let nats = Nats::start().await;
    let bus = connect(nats.url()).await;
    let missing = streams::present(&bus).await.expect_err("nothing is there");
    assert!(missing.to_string().contains("regreen init"), "{missing}");
    streams::init(&bus, SIZING, Timestamp(1), false).await.expect("created");
    streams::init(&bus, SIZING, Timestamp(2), false).await.expect("again changes nothing");
    assert_eq!(last(&bus, bus.names.decisions()).await, 1, "one Genesis");
    assert_eq!(streams::drift(&bus, 1).await.expect("readable"), []);

    let mut config =
        bus.nats().js.get_stream(bus.names.facts()).await.expect("there").cached_info().config.clone();
    config.discard = async_nats::jetstream::stream::DiscardPolicy::Old;
    bus.nats().js.update_stream(config).await.expect("a meddler may");
    let drift = streams::drift(&bus, 1).await.expect("readable");
    assert_eq!((drift.len(), drift[0].setting), (1, "discard"));
    streams::init(&bus, SIZING, Timestamp(3), false).await.expect("not repaired");
    assert_eq!(streams::drift(&bus, 1).await.expect("readable").len(), 1, "a drift is told, not changed");
}

#[tokio::test]
async fn facts_without_log_are_not_decided_again() {
    let nats = Nats::start().await;
    let bus = domain(&nats).await;
    let writer = Writer::start(&bus, FactKind::Operator, "amy", Duration::from_secs(5));
    writer.store(&settle(1)).await.expect("stored");
    bus.nats().js.delete_stream(bus.names.decisions()).await.expect("deleted");
    let error = streams::init(&bus, SIZING, Timestamp(2), false).await.expect_err("rule 1");
    assert!(matches!(error, streams::Error::FactsWithoutLog { facts: 1 }), "{error}");
    streams::init(&bus, SIZING, Timestamp(2), true).await.expect("said explicitly");
}

#[tokio::test]
async fn the_writer_stores_every_acknowledged_item_through_kills_and_cuts() {
    let mut nats = Nats::start().await;
    drop(domain(&nats).await);
    let proxy = Proxy::start(nats.port()).await;
    let bus = connect(format!("nats://127.0.0.1:{}", proxy.port())).await;
    let writer = Writer::start(&bus, FactKind::Operator, "amy", Duration::from_secs(60));
    let stored = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..8_u32 {
        let (writer, stored) = (writer.clone(), stored.clone());
        tasks.spawn(async move {
            for n in 0..200 {
                writer.store(&settle(lane * 1000 + n)).await.expect("patient");
                stored.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        });
    }
    let at_least = async |n: u32| {
        wait_for("progress", Duration::from_secs(30), async || {
            let now = stored.load(std::sync::atomic::Ordering::SeqCst);
            if now >= n { Ok(()) } else { Err(now) }
        })
        .await;
    };
    at_least(200).await;
    proxy.cut();
    at_least(600).await;
    nats.kill();
    nats.restart().await;
    while let Some(done) = tasks.join_next().await {
        done.expect("no lane fails");
    }
    let messages = last(&bus, bus.names.facts()).await;
    let mut found = settled(&bus, messages).await;
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 8 * 200, "every acknowledged item is there");
    assert!(messages < 1600, "items shared messages: {messages}");
}

#[tokio::test]
async fn a_reader_sees_every_sequence_once_through_kills_and_cuts_and_tells_a_gap() {
    let mut nats = Nats::start().await;
    let direct = domain(&nats).await;
    let proxy = Proxy::start(nats.port()).await;
    let bus = connect(format!("nats://127.0.0.1:{}", proxy.port())).await;
    let writer = Writer::start(&direct, FactKind::Operator, "amy", Duration::from_secs(60));
    let mut reader = Reader::new(&bus, bus.names.facts(), 0);
    for n in 1..=300_u32 {
        writer.store(&settle(n)).await.expect("stored");
        if n == 100 {
            proxy.cut();
        }
        if n == 200 {
            nats.kill();
            nats.restart().await;
        }
        assert_eq!(reader.next().await.expect("no gap").seq, u64::from(n));
    }
    let stream = direct.nats().js.get_stream(direct.names.facts()).await.expect("there");
    stream.purge().sequence(150).await.expect("purged");
    let mut late = Reader::new(&bus, bus.names.facts(), 100);
    let gap = late.next().await.expect_err("rule 5");
    assert_eq!(gap, Gap::Missing { stream: bus.names.facts(), wanted: 101, found: 150 });
}

/// A consumer that begins beyond the end waits silently, until the stream that was made anew has grown past it.
#[tokio::test]
async fn a_reader_whose_stream_was_made_anew_says_so_though_it_grew_meanwhile() {
    let nats = Nats::start().await;
    let bus = domain(&nats).await;
    let writer = Writer::start(&bus, FactKind::Operator, "amy", Duration::from_secs(60));
    let mut reader = Reader::new(&bus, bus.names.facts(), 0);
    for n in 1..=5_u32 {
        writer.store(&settle(n)).await.expect("stored");
        reader.next().await.expect("no gap");
    }
    let js = &bus.nats().js;
    let config = js.get_stream(bus.names.facts()).await.expect("there").cached_info().config.clone();
    js.delete_stream(&config.name).await.expect("deleted");
    js.create_stream(config).await.expect("made anew");
    for n in 1..=9_u32 {
        writer.store(&settle(n)).await.expect("stored");
    }
    let changed = reader.next().await.expect_err("sequence 6 is of another stream");
    assert_eq!(changed, Gap::Changed { stream: bus.names.facts(), seq: 5 });
}

#[tokio::test]
async fn the_log_is_fenced_and_a_write_in_doubt_is_settled_by_its_bytes() {
    let mut nats = Nats::start().await;
    let bus = domain(&nats).await;
    let genesis = Reader::new(&bus, bus.names.decisions(), 0).next().await.expect("genesis");
    record::decode(&genesis.payload).expect("readable");
    let tail = Tail { seq: 1, hash: sha256_hex(&genesis.payload) };
    let (mut active, mut stale) = (Log::new(&bus, tail.clone()), Log::new(&bus, tail));
    assert_eq!(active.append("two".into()).await.expect("ours"), 2);
    let error = stale.append("other".into()).await.expect_err("rule 6");
    assert!(matches!(error, log::Error::Superseded { seq: 2 }), "{error}");

    // Rule 7: our own bytes stand there already, as after a timeout whose write landed.
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(header::LAST_SEQ, "2");
    bus.port.publish(bus.names.decision(), headers, "three".into()).await.expect("lands");
    assert_eq!(active.append("three".into()).await.expect("recognised as ours"), 3);

    // A server killed in the middle: the append waits and is there once.
    nats.kill();
    let append = tokio::spawn(async move { active.append("four".into()).await.map(|seq| (seq, active)) });
    tokio::task::yield_now().await;
    nats.restart().await;
    let (seq, mut active) = append.await.expect("no panic").expect("appended");
    assert_eq!((seq, last(&bus, bus.names.decisions()).await), (4, 4));

    let stream = bus.nats().js.get_stream(bus.names.decisions()).await.expect("there");
    let config = stream.cached_info().config.clone();
    bus.nats().js.delete_stream(&config.name).await.expect("deleted");
    bus.nats().js.create_stream(config).await.expect("empty again");
    let error = active.append("five".into()).await.expect_err("the log is gone");
    assert!(matches!(error, log::Error::Lost { seq: 5 }), "{error}");
}

#[tokio::test]
async fn one_of_many_racers_gets_the_ticket_and_none_after_the_stop() {
    let mut nats = Nats::start().await;
    let bus = domain(&nats).await;
    let (run, step) = (RunId::from("r1"), Instance::from("reboot"));
    let started = |runner: &str| Ticket::Started {
        v: 1,
        runner: runner.into(),
        nonce: tickets::nonce(&bus),
        decision_seq: 1,
        pre_state: None,
    };
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..18 {
        let (bus, run, step, ticket) =
            (bus.clone(), run.clone(), step.clone(), started(&format!("runner{n}")));
        racers.spawn(async move {
            if n % 2 == 0 {
                tickets::take(&bus, (&run, &step, 1), &ticket, Some(1)).await
            } else {
                tickets::revoke(&bus, (&run, &step, 1), 2, n).await
            }
        });
    }
    let ends = racers.join_all().await;
    let won = ends.iter().filter(|end| matches!(end, Ok(Taken::Won { .. }))).count();
    let lost = ends.iter().filter(|end| matches!(end, Ok(Taken::Lost(..)))).count();
    assert_eq!((won, lost), (1, 17));

    // Rule 18: our own earlier copy, whose ack was lost, is recognised.
    let mine = started("me");
    let first = tickets::take(&bus, (&run, &step, 2), &mine, Some(1)).await.expect("decided");
    assert_eq!(tickets::take(&bus, (&run, &step, 2), &mine, Some(1)).await.expect("decided"), first);

    // Rule 16, with the server killed between: the switch stays on.
    let stop = Stop { v: 1, by: "amy".into(), reason: "".into() };
    assert_eq!(tickets::stop(&bus, &stop, async || 1).await.expect("pulled"), 1);
    nats.kill();
    nats.restart().await;
    assert_eq!(
        tickets::take(&bus, (&run, &step, 3), &started("late"), Some(1)).await.expect("decided"),
        Taken::Stopped
    );
    assert!(
        matches!(tickets::take(&bus, (&run, &step, 3), &started("tell"), None).await, Ok(Taken::Won { .. })),
        "tell goes without the guard"
    );
    assert!(
        matches!(
            tickets::take(&bus, (&run, &step, 4), &started("next"), Some(2)).await,
            Ok(Taken::Won { .. })
        ),
        "the next number is free"
    );
    assert_eq!(tickets::stopped(&bus, 1).await.expect("readable"), Some(stop.clone()));
    assert_eq!(tickets::stop(&bus, &stop, async || 1).await.expect("pulled already"), 1);
}

#[tokio::test]
async fn stories_told_again_after_a_kill_are_whole_and_bodies_are_still_there() {
    let mut nats = Nats::start().await;
    let bus = domain(&nats).await;
    let hash = sha256_hex(b"a playbook");
    bodies::put(&bus, vec!["a playbook".into()]).await.expect("stored");
    let told: Vec<Story> =
        (1..=50).map(|n| Story { run: RunId::from(format!("run{n}")), ..story(1, n) }).collect();
    let writer = Stories::start(&bus);
    for story in &told {
        writer.tell(story.clone());
        if story.seq == 25 {
            nats.kill();
            nats.restart().await;
        }
    }
    // RUNS may have lost its tail with the server: after a reconnect the engine tells what it knows again.
    for story in &told {
        writer.tell(story.clone());
    }
    wait_for("all stories", Duration::from_secs(30), async || {
        let found = stories::all(&bus).await.map_err(|error| error.to_string())?;
        if found.len() == told.len() { Ok(()) } else { Err(found.len().to_string()) }
    })
    .await;
    assert_eq!(bodies::get(&bus, &hash).await.expect("there"), b"a playbook");
}

#[tokio::test]
async fn bodies_and_stories_read_back_and_an_older_story_does_not_win() {
    let nats = Nats::start().await;
    let bus = domain(&nats).await;
    let hash = sha256_hex(b"playbook: x");
    for _ in 0..2 {
        bodies::put(&bus, vec!["playbook: x".into()]).await.expect("stored once");
    }
    assert_eq!(bodies::get(&bus, &hash).await.expect("there"), b"playbook: x");

    let held =
        async || stories::held(&bus, &RunId::from("r")).await.ok().flatten().map(|(_, s)| (s.epoch, s.seq));
    let until = async |wanted| {
        wait_for("the story", Duration::from_secs(10), async || {
            let now = held().await;
            if now == Some(wanted) { Ok(()) } else { Err(now) }
        })
        .await;
    };
    let (new, old) = (Stories::start(&bus), Stories::start(&bus));
    new.tell(story(2, 9));
    until((2, 9)).await;
    old.tell(story(1, 12));
    new.tell(story(2, 10));
    until((2, 10)).await;
    assert_eq!(held().await, Some((2, 10)), "the older epoch stops");
}

#[tokio::test]
async fn a_view_survives_a_kill_and_an_older_engine_does_not_win() {
    let mut nats = Nats::start().await;
    let proxy = Proxy::start(nats.port()).await;
    domain(&nats).await;
    let bus = connect(format!("nats://127.0.0.1:{}", proxy.port())).await;
    let verdict = |seq: u64, status| Verdict {
        v: 1,
        genesis: Genesis::from("g"),
        seq,
        status,
        reason: "".into(),
        since: Timestamp(1),
        as_of: Timestamp(1),
        expires: Timestamp(2),
    };
    let put = async |seq, status| {
        let what = verdict(seq, status);
        wait_for("VIEW", Duration::from_secs(20), async || view::put_verdict(&bus, "web/one", &what).await)
            .await;
    };
    put(5, Status::Up).await;
    proxy.cut();
    put(7, Status::Down).await;
    nats.kill();
    nats.restart().await;
    // What an older engine, or a slow task, says late.
    put(6, Status::Up).await;
    let held = wait_for("VIEW", Duration::from_secs(20), async || view::verdict(&bus, "web/one").await).await;
    assert_eq!(held, Some(verdict(7, Status::Down)));
    // A new log begins at one again, and is believed.
    let anew = Verdict { genesis: Genesis::from("h"), ..verdict(2, Status::Up) };
    view::put_verdict(&bus, "web/one", &anew).await.expect("written");
    assert_eq!(view::verdict(&bus, "web/one").await.expect("readable"), Some(anew.clone()));
    let all = view::all_verdicts(&bus).await.expect("readable");
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [("web/one".into(), anew)]);
    assert_eq!(view::checks(&bus).await.expect("readable"), None);

    // A probe follows the list through all of it.
    let mut lists = view::follow_checks(&bus);
    let list = |seq: u64| Checks { v: 1, seq, version: seq, ..Checks::default() };
    for seq in [8, 9] {
        let wanted = list(seq);
        wait_for("VIEW", Duration::from_secs(20), async || view::put_checks(&bus, &wanted).await).await;
        let seen = lists.wait_for(|checks| checks.as_ref() == Some(&wanted));
        tokio::time::timeout(Duration::from_secs(20), seen).await.expect("in time").expect("followed");
        nats.kill();
        nats.restart().await;
    }
}

#[tokio::test]
async fn a_look_that_is_asked_for_again_is_no_copy_of_the_one_that_was_lost() {
    let nats = Nats::start().await;
    let bus = domain(&nats).await;
    let look = |claim_by: i64| Command {
        v: 1,
        run: RunId::from("r"),
        instance: Instance::from("s"),
        attempt: 1,
        task: Task {
            kind: Kind::Observe(1),
            action: "http.request".into(),
            effect: Effect::Reconcilable,
            zone: "main".into(),
            params: Arc::new(serde_json::json!({})),
            node: None,
            claim_by: Timestamp(claim_by),
            timeout: Span::seconds(5),
        },
        action_key: "k".into(),
        decision_seq: 1,
        stop_no: 1,
        trace: None,
    };
    // Sent twice for one dispatch, and once for the next.
    for claim_by in [1000, 1000, 2000] {
        commands::send(&bus, &look(claim_by)).await.expect("sent");
    }
    bus.nats().client.flush().await.expect("an answer");
    wait_for("two commands", Duration::from_secs(10), async || {
        let last = last(&bus, bus.names.commands()).await;
        if last == 2 { Ok(()) } else { Err(last) }
    })
    .await;
}
