//! Thousands of histories of a whole domain on virtual time, with faults by seeded chance; each judged from outside.
//! Then the rules are broken one by one, and the histories must object.
//!
//! `make sim` runs what CI runs, `make sim SIM="--seeds 100000 --from 1"` more of it, and `make sim SIM="--seed 17"`
//! one history again; `SIM_DUMP=file` keeps what it stored.

#![expect(clippy::print_stdout, reason = "a test tells its seeds")]

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use regreen_schemas::mutation::{self, Mutation};
use regreen_sim::{
    history::Plan,
    oracle,
    world::{Setup, World},
};

/// Histories of a run without arguments.
const SEEDS: u64 = 2000;
/// The same in a build that does not replay them.
const GLANCE: u64 = 40;
/// Histories within which a broken rule must be noticed.
const NOTICED_WITHIN: u64 = 5000;
/// Seeds that found something once: they come first. A mended history may be another one by now.
const FOUND_SOMETHING: &[u64] = &[34, 108, 430, 904, 931, 1761, 1870, 1939, 3022, 100_330, 106_492, 130_743];

/// Each rule with the mistakes that break it.
const BROKEN: &[(&str, &[Mutation])] = &[
    ("6: effects before the acknowledgement", &[Mutation::LetOutEarly]),
    ("7: a write in doubt is taken for written", &[Mutation::TrustDoubt]),
    ("10: no net under the decider", &[Mutation::NoNet]),
    ("12: `now` is the wall clock", &[Mutation::WallClock]),
    ("13: dispatch while catching up", &[Mutation::DispatchWhileCatchingUp]),
    ("15: no ticket for what is idempotent", &[Mutation::NoTicket]),
    ("16: tickets without the stop's guard", &[Mutation::NoStopGuard]),
    ("17: a deadline passed, so it is repeated", &[Mutation::RepeatBlindly]),
    ("22: silence is still so", &[Mutation::SilenceIsConsent]),
];

/// What came of a history.
struct Told {
    /// What is wrong with it.
    wrong: Vec<String>,
    /// Hash of all that it stored.
    hash: u64,
}

fn history(seed: u64, mutations: &[Mutation]) -> Told {
    // Poison is no mistake: where a plan has some, the net is what must catch it.
    mutation::set(mutations.iter().copied().chain([Mutation::Poison]));
    let told = std::panic::catch_unwind(|| {
        regreen_sim::time::run(seed, async || {
            let mut world = World::new(seed, Setup::usual(Plan::of(seed))).await;
            let lived = world.live().await;
            let mut wrong = oracle::judge(&world);
            wrong.extend(lived.err());
            Told { wrong, hash: stored(&world) }
        })
    });
    mutation::set([]);
    told.unwrap_or_else(|_| Told { wrong: vec!["the history itself panicked".into()], hash: 0 })
}

/// Two runs of one seed store the same bytes in the same order.
fn stored(world: &World) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let (mut hasher, mut dump) = (DefaultHasher::new(), String::new());
    let wanted = std::env::var_os("SIM_DUMP");
    world.server.with_kept(|kept| {
        for kept in kept {
            let message = &kept.message;
            (&kept.stream, kept.at.0, message.seq, &message.payload[..]).hash(&mut hasher);
            if wanted.is_some() {
                let at = (kept.at - regreen_sim::time::BEGINNING).0;
                let text = String::from_utf8_lossy(&message.payload);
                dump += &format!("{at} {} {} {text}\n", message.subject, message.seq);
            }
        }
    });
    if let Some(file) = wanted {
        std::fs::write(&file, dump).expect("SIM_DUMP can be written");
    }
    hasher.finish()
}

/// Runs histories on all cores; returns those with which something is wrong, by seed.
fn histories(seeds: &[u64], mutations: &[Mutation], until_first: bool) -> Vec<(u64, Vec<String>)> {
    let (next, wrong) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || loop {
        let at = next.fetch_add(1, Ordering::SeqCst);
        let Some(seed) = usize::try_from(at).ok().and_then(|at| seeds.get(at)) else { return };
        if until_first && !wrong.lock().expect("nobody panics with it in hand").is_empty() {
            return;
        }
        let told = history(*seed, mutations);
        if !told.wrong.is_empty() {
            wrong.lock().expect("nobody panics with it in hand").push((*seed, told.wrong));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut wrong = wrong.into_inner().expect("nobody panics with it in hand");
    wrong.sort();
    wrong
}

fn show(seed: u64, wrong: &[String]) {
    println!("seed {seed}:");
    for what in wrong.iter().take(8) {
        println!("  {what}");
    }
}

/// Panics are part of some histories: only what a history came to is shown.
fn quiet() {
    if std::env::var_os("SIM_SAYS").is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
}

fn all_is_well(seeds: &[u64]) -> bool {
    let began = Instant::now();
    let wrong = histories(seeds, &[], false);
    wrong.iter().for_each(|(seed, wrong)| show(*seed, wrong));
    println!("{} histories, {} wrong, {:.1} s", seeds.len(), wrong.len(), began.elapsed().as_secs_f64());
    wrong.is_empty()
}

fn it_replays(seeds: &[u64]) -> bool {
    let differ: Vec<&u64> =
        seeds.iter().filter(|seed| history(**seed, &[]).hash != history(**seed, &[]).hash).collect();
    println!("{} histories told twice, {} differ", seeds.len(), differ.len());
    differ.is_empty()
}

/// Every broken rule is noticed.
fn it_objects() -> bool {
    let seeds: Vec<u64> = (1..=NOTICED_WITHIN).collect();
    let mut all = true;
    for (rule, mutations) in BROKEN {
        match histories(&seeds, mutations, true).first() {
            Some((seed, wrong)) => println!("rule {rule}: seed {seed}: {}", wrong[0]),
            None => {
                println!("rule {rule}: nobody noticed in {NOTICED_WITHIN} histories");
                all = false;
            }
        }
    }
    all
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    quiet();
    if let Some(seed) = number("--seed") {
        let told = history(seed, &[]);
        println!("{:?}, stored {:016x}", Plan::of(seed), told.hash);
        show(seed, &told.wrong);
        return if told.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let from = number("--from").unwrap_or(1);
    let count = number("--seeds");
    // Without `make sim` it is neither fast nor does it replay: a glance.
    let usual = if regreen_sim::time::REPLAYS { SEEDS } else { GLANCE };
    let seeds: Vec<u64> =
        FOUND_SOMETHING.iter().copied().chain(from..from + count.unwrap_or(usual)).collect();
    let mut well = all_is_well(&seeds);
    if count.is_none() && regreen_sim::time::REPLAYS {
        well &= it_replays(&seeds[..20]);
        well &= it_objects();
    }
    if !regreen_sim::time::REPLAYS {
        println!("this build does not replay histories: `make sim` does, and shows more");
    }
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
