//! Thousands of histories of a whole domain on virtual time, with faults by seeded chance; each judged from outside.
//!
//! `cargo test -p regreen-sim --test sim -- --seeds 1000 --from 1`, or one history told: `--seed 17 --say`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test tells its seeds")]

mod cloud;
mod oracle;
mod world;

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use regreen_schemas::mutation::{self, Mutation};
use world::{Meddling, Plan, World};

/// What is wrong with the history of a seed, and the hash of what it stored.
fn history(seed: u64, mutations: &[Mutation], plan: Plan) -> (Vec<String>, u64) {
    mutation::set(mutations.iter().copied());
    let found = std::panic::catch_unwind(|| {
        regreen_sim::time::run(seed, async || {
            let mut world = World::new(seed, plan).await;
            let lived = world.live().await;
            let mut found = oracle::judge(&world);
            found.extend(lived.err());
            (found, fingerprint(&world))
        })
    });
    mutation::set([]);
    found.unwrap_or_else(|_| (vec!["the history panicked".into()], 0))
}

/// Two runs of one seed store the same bytes in the same order.
fn fingerprint(world: &World) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    if let Some(file) = std::env::var_os("SIM_DUMP") {
        use std::fmt::Write as _;
        let mut text = String::new();
        for kept in world.server.kept() {
            let _ = writeln!(
                text,
                "{} {} {} {}",
                kept.at.0 - 1_800_000_000_000,
                kept.message.subject,
                kept.message.seq,
                String::from_utf8_lossy(&kept.message.payload)
            );
        }
        std::fs::write(file, text).expect("written");
    }
    let mut hasher = DefaultHasher::new();
    for kept in world.server.kept() {
        (kept.stream, kept.at.0, kept.message.seq, &kept.message.payload[..]).hash(&mut hasher);
    }
    hasher.finish()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let (from, count) = match number("--seed") {
        Some(seed) => (seed, 1),
        None => (number("--from").unwrap_or(1), number("--seeds").unwrap_or(20)),
    };
    let began = Instant::now();
    let (next, bad) = (AtomicU64::new(from), Mutex::new(0));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= from + count {
                        return;
                    }
                    let (found, hash) = history(seed, &[], Plan::default());
                    if count == 1 {
                        println!("seed {seed}: {hash:x}");
                    }
                    if !found.is_empty() {
                        *bad.lock().expect("nobody panics with it") += 1;
                        println!("seed {seed}:");
                        for what in found.iter().take(8) {
                            println!("  {what}");
                        }
                    }
                }
            });
        }
    });
    let bad = bad.into_inner().expect("nobody panics with it");
    println!("{count} histories, {bad} wrong, {:.1} s", began.elapsed().as_secs_f64());
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
