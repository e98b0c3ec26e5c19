//! Rates of credentials: what waits for one and what does not, who goes first, and that no window of time ever sees more
//! requests than its limit.

#[path = "rates/world.rs"]
mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use regreen_schemas::{
    Span, Timestamp,
    event::{DiscoveryEvent, Event, RunEvent},
    fact::{Failure, Verb},
    mutation::{self, Mutation},
    rate::Told,
    run::RunResult,
};

use world::{CLOUD, LIMITS, World};

const SECOND: i64 = 1000;

fn told(credential: &str, spent: u32) -> Told {
    Told { credential: credential.into(), spent, remaining: None, pause: None }
}

fn refused(seconds: i64) -> (Verb, Option<Told>) {
    let (pause, reason) = (Some(Span::seconds(seconds)), "429".into());
    let verb = Verb::Failed { kind: Failure::Transient, reason, retry_after: pause };
    (verb, Some(Told { pause, ..told(CLOUD, 1) }))
}

#[test]
fn fault_19_a_refusal_of_one_step_pauses_all_of_its_credential_and_nothing_of_another() {
    let mut world = World::new(&[]);
    world.start("hit", "a1");
    let (verb, rate) = refused(7);
    world.answer("a1", verb, rate);
    world.start("hit", "a2");
    world.start("read", "a3");
    world.start("other", "a4");
    world.start("soon", "b1");
    assert_eq!(world.sent(), ["a1", "a4"], "what goes by another credential goes");
    let waits = world.lines("a2").pop().expect("it says so");
    let until = world.now + Span::seconds(7);
    assert_eq!(waits, format!("act: waits for the rate of cloud/key until {until}"));
    world.wait(6999);
    assert_eq!(world.sent(), ["a1", "a4"], "nor is anything sent before");
    let (result, why) = world.ended("b1").expect("its deadline of five seconds holds");
    assert_eq!(
        (result, why.as_str()),
        (RunResult::Blocked, "the deadline passed while it waited for the rate of cloud/key")
    );
    world.wait(10);
    assert_eq!(
        world.sent(),
        ["a1", "a4", "a1", "a2", "a3"],
        "then all of it is, and the step that was told first"
    );
}

#[test]
fn the_oldest_run_goes_first_also_when_it_comes_last() {
    // Twenty at once, and one each three seconds: two calls, then one each half minute.
    let mut world = World::new(&[(40, Span::minutes(1))]);
    for node in ["a1", "a2", "a3", "a4"] {
        world.start("hit", node);
    }
    assert_eq!(world.sent(), ["a1", "a2"]);
    let busy = Verb::Failed { kind: Failure::Transient, reason: "busy".into(), retry_after: None };
    world.answer("a1", busy, None);
    for sent in [&["a1"][..], &["a1", "a3"], &["a1", "a3", "a4"]] {
        world.wait(30 * SECOND - 10);
        assert_eq!(world.sent()[2..], sent[..sent.len() - 1]);
        world.wait(11);
        assert_eq!(world.sent()[2..], *sent);
    }
}

#[test]
fn discovery_leaves_a_tenth_to_runs() {
    // A hundred at once, ten of them kept.
    let mut world = World::new(&[(200, Span::minutes(1))]);
    let looks = |world: &World| {
        world.count(|event| matches!(event, Event::Discovery { what: DiscoveryEvent::Asked { .. }, .. }))
    };
    // The next look is due after a minute.
    world.wait(59_500);
    ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4", "b5"]
        .into_iter()
        .for_each(|node| world.start("hit", node));
    world.wait(500);
    assert_eq!((looks(&world), world.sent().len()), (0, 9), "it waits");
    world.start("hit", "b6");
    assert_eq!(world.sent().len(), 10, "and a run does not");
    world.wait(5 * SECOND);
    assert_eq!(looks(&world), 0);
    world.wait(5 * SECOND);
    assert_eq!(looks(&world), 1, "it goes once there is more than the tenth again");
}

#[test]
fn what_a_call_spent_beyond_its_reckoning_is_taken_afterwards() {
    let mut world = World::new(&[(80, Span::minutes(1))]);
    world.start("hit", "a1");
    world.answer("a1", Verb::Ok { result: serde_json::Value::Null }, Some(told(CLOUD, 35)));
    world.start("hit", "a2");
    assert_eq!(world.sent(), ["a1"], "five of forty are left");
    world.wait(5 * 1500 + 1);
    assert_eq!(world.sent(), ["a1", "a2"]);
    // The provider counts others too.
    world.answer(
        "a2",
        Verb::Unknown { reason: "?".into() },
        Some(Told { remaining: Some(0), ..told(CLOUD, 1) }),
    );
    world.start("hit", "a3");
    world.wait(14 * SECOND);
    assert_eq!(world.sent(), ["a1", "a2"]);
    world.wait(16 * SECOND + 10);
    assert_eq!(world.sent(), ["a1", "a2", "a3"], "the look at the older run's outcome went before");
}

#[test]
fn nobody_stops_a_credential_that_is_not_theirs() {
    let mut world = World::new(&[]);
    world.start("hit", "a1");
    let (verb, rate) = refused(7);
    world.answer_as("r2", "a1", verb, rate);
    world.start("hit", "a2");
    assert_eq!(world.sent(), ["a1", "a2"]);
}

#[test]
fn who_waits_for_a_credential_that_is_no_more_goes_on() {
    let mut world = World::new(&[(20, Span::minutes(60))]);
    for node in ["a1", "a2", "a3"] {
        world.start("hit", node);
    }
    assert_eq!(world.sent(), ["a1"]);
    world.serve(BTreeMap::new());
    world.wait(10);
    assert_eq!(world.sent(), ["a1", "a2", "a3"]);
    world.serve(BTreeMap::new());
    assert!(world.state.rates.is_empty(), "nobody names it, and nobody waits for it");
}

#[test]
fn who_stands_in_line_keeps_its_place_over_stop_and_takeover() {
    let mut world = World::new(&[(20, Span::minutes(1))]);
    for node in ["a1", "a2", "a3"] {
        world.start("hit", node);
    }
    world.stop();
    world.wait(5 * 60 * SECOND);
    assert_eq!(world.sent(), ["a1"]);
    world.resume();
    world.absent(20 * SECOND);
    world.wait(3 * 60 * SECOND);
    assert_eq!(world.sent(), ["a1", "a2", "a3"]);
}

/// Runs at random moments, with answers of every kind, or none.
fn history(seed: u64) -> Vec<(Timestamp, Event)> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut world = World::new(&[LIMITS[dice.random_range(0..LIMITS.len())], (60, Span::minutes(2))]);
    let nodes = world.nodes();
    for _ in 0..120 {
        match dice.random_range(0..10) {
            0..=2 => {
                let book = ["hit", "read", "other", "two"][dice.random_range(0..4)];
                let node = nodes[dice.random_range(0..nodes.len())].clone();
                world.start(book, &node);
            }
            3..=6 => world.answer_any(&mut dice),
            7 if dice.random_bool(0.1) => world.stop(),
            7 => world.resume(),
            8 if dice.random_bool(0.1) => world.absent(dice.random_range(0..90_000)),
            _ => world.wait(dice.random_range(0..9000)),
        }
    }
    world.resume();
    world.end();
    world.judge();
    world.events
}

#[test]
fn no_window_sees_more_than_its_limit_and_everything_goes_in_the_end() {
    let mut waited = 0;
    for seed in 0..300 {
        let events =
            catch_unwind(AssertUnwindSafe(|| history(seed))).unwrap_or_else(|_| panic!("seed {seed}"));
        waited += events
            .iter()
            .filter(|(_, event)| matches!(event, Event::Run { what: RunEvent::Paced { .. }, .. }))
            .count();
        if seed % 50 == 0 {
            assert!(events == history(seed), "seed {seed}: the same again comes to the same");
        }
    }
    assert!(waited > 3000, "the histories hardly ever wait: {waited}");
    mutation::set([Mutation::IgnoreRate]);
    let noticed = (0..20).any(|seed| catch_unwind(|| history(seed)).is_err());
    mutation::set([]);
    assert!(noticed, "a decider that sends more is not noticed");
}
