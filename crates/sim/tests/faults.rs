//! Faults of docs/reliability.md that take hours, a full disk or a thousand timers: on virtual time, each by its number.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use regreen_schemas::{
    action::Effect as Class,
    alert::Status,
    event::{Event, RunEvent},
    fact::Operator,
    mutation::{self, Mutation},
    record::{Record, decode},
    run::RunResult,
};
use regreen_sim::{
    cloud::Ordered,
    history::Plan,
    oracle, time,
    world::{Part, Setup, World},
};
use tokio::time::sleep;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Tells a story of a domain on virtual time; what the oracle says of it.
fn judged(setup: Setup, told: impl AsyncFnOnce(&mut World)) -> Vec<String> {
    time::run(1, async || {
        let mut world = World::new(1, setup).await;
        sleep(seconds(12)).await;
        told(&mut world).await;
        oracle::judge(&world)
    })
}

/// As [`judged`]; nothing is wrong with it.
fn story(setup: Setup, told: impl AsyncFnOnce(&mut World)) {
    assert_eq!(judged(setup, told), Vec::<String>::new());
}

fn usual() -> Setup {
    Setup::usual(Plan::default())
}

fn records(world: &World) -> Vec<Record> {
    let decisions = world.names.decisions();
    world.server.with_kept(|kept| {
        let records = kept.iter().filter(|kept| kept.stream == decisions);
        records.map(|kept| decode(&kept.message.payload).expect("a record")).collect()
    })
}

fn events(world: &World) -> Vec<Event> {
    records(world).into_iter().flat_map(|record| record.items).flat_map(|item| item.events).collect()
}

fn results(world: &World) -> Vec<RunResult> {
    let ended = |event| match event {
        Event::Run { what: RunEvent::Ended { result, .. }, .. } => Some(result),
        _ => None,
    };
    events(world).into_iter().filter_map(ended).collect()
}

/// Effects on nodes, by node.
fn effects(world: &World) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for node in world.cloud.effects().into_iter().filter_map(|effect| effect.node) {
        *found.entry(node).or_default() += 1;
    }
    found
}

fn told(world: &World) -> usize {
    world.cloud.effects().iter().filter(|effect| effect.node.is_none()).count()
}

/// Breaks a node, and fires its alert once the probes have seen it.
async fn breaks(world: &mut World, name: &str, node: &str) {
    world.cloud.set(node, false);
    sleep(seconds(45)).await;
    world.send(name, node, Status::Firing, time::truth());
}

/// Waits until a call has begun.
async fn a_ticket(world: &World) {
    let tickets = world.names.tickets();
    for _ in 0..1000 {
        if world.server.with_kept(|kept| kept.iter().any(|kept| kept.stream == tickets)) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody began");
}

const WAITING: &str = r#"apiVersion: regreen/v1
policy: lab
receivers: {oncall: {log: {}}}
---
apiVersion: regreen/v1
playbook: in-time
mode: auto
triggers: [{alert: ['alertname="Wait"']}]
deadline: 5m
steps:
  - {id: pause, wait: 30s}
  - {id: act, use: http.request, with: {url: "http://x/", effect: idempotent}}
escalate: [{to: oncall}]
---
apiVersion: regreen/v1
playbook: too-late
mode: auto
triggers: [{alert: ['alertname="Late"']}]
deadline: 40s
steps:
  - {id: pause, wait: 30s}
  - {id: act, use: http.request, with: {url: "http://x/", effect: idempotent}, timeout: 1s}
escalate: [{to: oncall}]
"#;

#[test]
fn fault_1_ingest_is_killed_again_and_again_and_loses_no_alert() {
    story(usual(), async |world| {
        world.cloud.calm();
        for n in 0..60 {
            world.send("Once", &format!("elsewhere-{n}"), Status::Firing, time::truth());
            // Before the write, in it, and after it.
            sleep(Duration::from_millis(n % 7)).await;
            world.kill(Part::Ingest);
            sleep(Duration::from_millis(200)).await;
            world.start(Part::Ingest);
        }
        sleep(seconds(60)).await;
        world.settle().await.expect("all is decided");
        let accepted = world.accepted.lock().expect("nobody panics with it").len();
        assert!(accepted >= 60, "Alertmanager sends until it is answered: {accepted}");
    });
}

#[test]
fn fault_2_an_engine_killed_at_any_moment_changes_nothing_of_the_end() {
    // Some fifty moments of one repair, each in a history of its own.
    for moment in 0..50 {
        story(usual(), async |world| {
            world.cloud.calm();
            world.cloud.order(Some(Ordered { takes: Duration::from_millis(300), answers: true }));
            breaks(world, "Once", "a1").await;
            sleep(Duration::from_millis(moment * 15)).await;
            [Part::Engine(0), Part::Engine(1)].iter().for_each(|part| world.kill(*part));
            sleep(Duration::from_millis(500)).await;
            [Part::Engine(0), Part::Engine(1)].iter().for_each(|part| world.start(*part));
            sleep(seconds(90)).await;
            world.settle().await.expect("it ends");
            assert_eq!(effects(world), BTreeMap::from([("a1".into(), 1)]), "killed after {} ms", moment * 15);
        });
    }
}

#[test]
fn fault_4_everything_is_killed_every_two_seconds() {
    let setup = Setup { nodes: Vec::new(), set: WAITING.into(), plan: Plan::default() };
    story(setup, async |world| {
        world.cloud.calm();
        for n in 0..500 {
            world.send("Wait", &format!("n{n}"), Status::Firing, time::truth());
        }
        let parts = [Part::Engine(0), Part::Engine(1), Part::Runner(0), Part::Runner(1), Part::Ingest];
        for round in 0..30 {
            sleep(seconds(2)).await;
            parts.iter().for_each(|part| world.kill(*part));
            if round % 3 == 0 {
                world.server.kill();
                sleep(Duration::from_millis(300)).await;
                world.server.start();
            }
            parts.iter().for_each(|part| world.start(*part));
        }
        sleep(seconds(60)).await;
        world.settle().await.expect("all end");
        let accepted = world.accepted.lock().expect("nobody panics with it").len();
        assert!(accepted >= 500, "each was taken in: {accepted}");
        let ended = results(world).len();
        assert_eq!(ended, 500, "each became one run, which ended");
    });
}

#[test]
fn fault_8_a_thousand_timers_fall_due_while_nats_is_down() {
    let setup = Setup { nodes: Vec::new(), set: WAITING.into(), plan: Plan::default() };
    story(setup, async |world| {
        world.cloud.calm();
        for n in 0..1000 {
            let (name, episode) = (if n < 900 { "Wait" } else { "Late" }, format!("n{n}"));
            world.send(name, &episode, Status::Firing, time::truth());
        }
        sleep(seconds(25)).await;
        assert!(world.cloud.effects().is_empty(), "all of them wait");
        world.server.kill();
        sleep(seconds(60)).await;
        world.server.start();
        world.settle().await.expect("everything ends");
        let effects = world.cloud.effects();
        let (tells, acts): (Vec<_>, Vec<_>) =
            effects.iter().partition(|effect| effect.command.task.effect == Class::Tell);
        let runs: BTreeSet<_> = acts.iter().map(|effect| effect.command.run.clone()).collect();
        assert_eq!((runs.len(), acts.len()), (900, 900), "each that had time left, once");
        assert_eq!(tells.len(), 100, "each whose deadline had passed is told");
    });
}

#[test]
fn fault_9_a_full_disk_takes_no_alerts_and_loses_none() {
    story(usual(), async |world| {
        world.cloud.calm();
        world.cloud.set("a1", false);
        sleep(seconds(45)).await;
        world.server.fill_disk();
        world.send("Looked", "a1", Status::Firing, time::truth());
        sleep(seconds(20)).await;
        assert!(
            world.accepted.lock().expect("nobody panics with it").is_empty(),
            "no 200 for what is not stored"
        );
        // Room alone mends nothing: the server must be started anew.
        world.server.kill();
        sleep(seconds(2)).await;
        world.server.start();
        sleep(seconds(30)).await;
        world.settle().await.expect("it goes on");
        assert!(
            !world.accepted.lock().expect("nobody panics with it").is_empty(),
            "Alertmanager tries again"
        );
        assert_eq!(effects(world).keys().collect::<Vec<_>>(), ["a1"]);
    });
}

#[test]
fn fault_12_an_engine_and_a_runner_that_are_cut_off_do_nothing_new() {
    story(usual(), async |world| {
        world.cloud.calm();
        world.cloud.order(Some(Ordered { takes: seconds(2), answers: true }));
        breaks(world, "Once", "a1").await;
        a_ticket(world).await;
        // Both engines and both runners, in the middle of the call.
        let parts = [Part::Engine(0), Part::Engine(1), Part::Runner(0), Part::Runner(1)];
        parts.iter().for_each(|part| world.cut(*part, true));
        world.send("Once", "a2", Status::Firing, time::truth());
        world.cloud.set("a2", false);
        sleep(seconds(60)).await;
        assert_eq!(
            effects(world),
            BTreeMap::from([("a1".into(), 1)]),
            "the call in flight ended, nothing new began"
        );
        parts.iter().for_each(|part| world.cut(*part, false));
        world.settle().await.expect("it goes on");
        assert_eq!(effects(world)["a1"], 1, "the result was kept, and nobody called again");
    });
}

#[test]
fn fault_15_what_resolves_in_mid_run_is_settled_and_the_rest_dropped() {
    let mut setup = usual();
    setup.set = setup.set.replace("on_resolved: continue", "on_resolved: cancel");
    story(setup, async |world| {
        world.cloud.order(Some(Ordered { takes: seconds(5), answers: true }));
        breaks(world, "Looked", "a1").await;
        a_ticket(world).await;
        world.send("Looked", "a1", Status::Resolved, time::truth());
        sleep(seconds(120)).await;
        world.settle().await.expect("it ends");
        assert_eq!(effects(world), BTreeMap::from([("a1".into(), 1)]), "the second step never began");
        let dispatched =
            |event: &Event| matches!(event, Event::Run { what: RunEvent::Dispatched { .. }, .. });
        assert_eq!(events(world).iter().filter(|event| dispatched(event)).count(), 1);
        assert_eq!(results(world).len(), 1);
    });
}

#[test]
fn fault_28_a_panic_in_the_decider_puts_the_fact_aside() {
    mutation::set([Mutation::Poison]);
    story(Setup::usual(Plan { poison: true, meddle: None }), async |world| {
        world.cloud.calm();
        world.cloud.set("a1", false);
        sleep(seconds(45)).await;
        world.poisoned = 1.0;
        world.send("Once", "a1", Status::Firing, time::truth());
        sleep(seconds(5)).await;
        world.poisoned = 0.0;
        world.send("Looked", "a1", Status::Firing, time::truth());
        sleep(seconds(60)).await;
        world.settle().await.expect("the rest goes on");
        let events = events(world);
        assert!(events.iter().any(|event| matches!(event, Event::FactRejected { .. })), "put aside");
        let takeovers = events.iter().filter(|event| matches!(event, Event::Takeover { .. })).count();
        assert_eq!(takeovers, 1, "and no engine died of it");
        let dead = world.names.dead();
        let letters = world.server.with_kept(|kept| kept.iter().filter(|kept| kept.stream == dead).count());
        assert!(letters > 0, "people find it in DEAD");
        assert_eq!(effects(world).keys().collect::<Vec<_>>(), ["a1"], "the good alert is acted on");
    });
    mutation::set([]);
}

/// The stop switch stays when tickets go, so that TICKETS has holes; and whoever takes over was not there before.
#[test]
fn whoever_takes_over_after_tickets_were_trimmed_goes_on_and_knows_the_stop() {
    story(usual(), async |world| {
        world.cloud.calm();
        breaks(world, "Looked", "a1").await;
        sleep(seconds(60)).await;
        world.stop().await;
        sleep(seconds(5)).await;
        world.watch();
        let stopped = world.phase.stopped.expect("the stop is in the log");
        world.say(Operator::Resume { stop_no: stopped });
        breaks(world, "Once", "a2").await;
        sleep(seconds(60)).await;
        // Nobody reads while the next switch is pulled.
        [Part::Engine(0), Part::Engine(1)].iter().for_each(|part| world.kill(*part));
        world.trim_tickets().await;
        world.stop().await;
        [Part::Engine(0), Part::Engine(1)].iter().for_each(|part| world.start(*part));
        sleep(seconds(20)).await;
        world.watch();
        assert_eq!(world.phase.trouble, None);
        assert_eq!(
            world.phase.stopped,
            Some(stopped + 1),
            "a switch that nobody saw being pulled is in force"
        );
        world.settle().await.expect("it goes on");
        assert_eq!(effects(world).len(), 2);
    });
}

#[test]
fn fault_29_an_action_longer_than_every_wait_is_not_made_again() {
    let found = judged(usual(), async |world| {
        // The provider takes ten minutes and never answers: nobody can look up what it has not done yet.
        world.cloud.order(Some(Ordered { takes: seconds(600), answers: false }));
        breaks(world, "Once", "a1").await;
        sleep(seconds(400)).await;
        assert!(effects(world).is_empty());
        sleep(seconds(300)).await;
        assert_eq!(effects(world), BTreeMap::from([("a1".into(), 1)]));
        world.settle().await.expect("a person has said what became of it");
        assert_eq!(effects(world), BTreeMap::from([("a1".into(), 1)]), "at most once is once");
        assert!(told(world) > 0, "and somebody was told");
    });
    // What nobody can prevent: the provider itself acts late. The oracle sees it, and that is all that it sees.
    assert!(matches!(found.as_slice(), [late] if late.contains("long after its ticket")), "{found:?}");
}
