//! Random histories over random playbooks: steps within steps, loops, branches, playbooks within playbooks, undos and
//! `finally`, with every trigger and guard. Whatever happens, the decider never contradicts itself, its state is the
//! fold of its events, and every run comes to its end. `walks/model.rs` says what else holds.
//!
//! `REGREEN_SEED=n` starts at another seed, `REGREEN_CASES=n` runs more; a failure prints its seed, and with
//! `REGREEN_TRACE=1` its playbooks and all that happened.

#![expect(clippy::print_stdout, reason = "a test tells its seeds")]

#[path = "../../playbook/tests/fuzz/books.rs"]
mod books;
#[path = "../../playbook/tests/fuzz/dice.rs"]
mod dice;
#[path = "walks/model.rs"]
mod model;
#[path = "walks/world.rs"]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use dice::Dice;
use regreen_playbook::{Set as Playbooks, diagnostic::Source, load};
use regreen_schemas::fact::Set;
use world::World;

/// Events of each history.
const STEPS: usize = 150;

#[derive(Default)]
struct Reached {
    stages: BTreeSet<&'static str>,
    results: BTreeMap<&'static str, u32>,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A valid set, of the first texts that are.
fn valid(dice: &mut Dice) -> (String, Set, Arc<Playbooks>) {
    loop {
        if let Some(loaded) = loaded(books::set(dice)) {
            return loaded;
        }
    }
}

fn loaded(text: String) -> Option<(String, Set, Arc<Playbooks>)> {
    let (set, _) = load(vec![Source { path: "lab.yaml".into(), text: text.clone() }]);
    let fact = world::fact_of(&text);
    set.map(|set| (text, fact, Arc::new(set)))
}

fn history(seed: u64, reached: &mut Reached) {
    let mut dice = Dice::new(seed);
    let sets: Vec<_> = (0..2).map(|_| valid(&mut dice)).collect();
    let nothing = loaded(books::BASE.to_owned()).expect("the base is valid");
    let trace = number("REGREEN_TRACE", 0) > 0;
    let mut world = None;
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let known = sets.iter().chain([&nothing]).map(|(_, fact, set)| (fact.clone(), set.clone())).collect();
        let world = world.insert(World::new(dice, known));
        if trace {
            world.story.reserve(1);
        }
        for _ in 0..STEPS {
            world.step();
            world.kinds(&mut reached.stages);
        }
        world.folded();
        world.quiet();
        world.folded();
        assert!(world.is_sound());
        for (result, count) in &world.models.ended {
            *reached.results.entry(result).or_default() += count;
        }
    }));
    if let Err(panic) = lived {
        if trace {
            sets.iter().for_each(|(text, ..)| println!("{text}"));
            world.iter().flat_map(|world| &world.story).for_each(|line| println!("{line}"));
        }
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_history_over_every_playbook_keeps_the_invariants() {
    let (first, cases) = (number("REGREEN_SEED", 1), number("REGREEN_CASES", 700));
    println!("seeds {first} to {}", first + cases - 1);
    let mut reached = Reached::default();
    let mut failures = Vec::new();
    let most = number("REGREEN_FAILURES", 1);
    for seed in first..first + cases {
        let lived = catch_unwind(AssertUnwindSafe(|| history(seed, &mut reached)));
        let Err(panic) = lived else { continue };
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        failures.push(format!("seed {seed}: {}", text.unwrap_or_default()));
        if failures.len() as u64 >= most {
            break;
        }
    }
    println!("{:?}\n{:?}", reached.stages, reached.results);
    let again = "again: REGREEN_SEED=… REGREEN_CASES=1 cargo test -p regreen-decider --test walks";
    assert!(failures.is_empty(), "{}\n{again}", failures.join("\n"));
}
