//! The lines of a board: each a few words about one run, check or alert.

use regreen_decider::{Attempt, Episode, Progress, Run, Stage, Watching};
use regreen_schemas::{
    Instance, Timestamp,
    check::Status,
    command::Kind,
    run::{Outcome, RunResult},
};

use super::{
    board::{Row, Tone},
    follow::Ended,
};
use crate::{asks::Ask, out, show, wrong::alert_name};

/// A question to a person.
pub fn ask(ask: &Ask, now: Timestamp) -> Row {
    let on = ask.target.as_ref().map_or_else(String::new, |target| format!(" on {target}"));
    let left = ask.until.map_or_else(String::new, |until| format!(" ({} left)", out::age(until - now)));
    Row::new(Tone::Asks, [format!("{}{on}: {} {}{left}", ask.playbook, ask.question, ask.answer)])
}

/// An open run.
pub fn open(run: &Run, now: Timestamp) -> Row {
    let target = run.target.as_ref().map_or("-", |target| target.name()).to_string();
    let stage = match (&run.held, run.progress) {
        (Some(by), Progress::Queued) => format!("queued: {}", out::plain(&by.to_string())),
        (Some(by), _) => format!("{}; held: {}", standing(run, now), out::plain(&by.to_string())),
        (None, _) => standing(run, now),
    };
    let asks = run.held.is_some() || run.in_doubt().next().is_some();
    let tone = if asks { Tone::Asks } else { Tone::Plain };
    Row::new(tone, [run.id.to_string(), run.playbook.to_string(), target, stage, out::age(now - run.started)])
}

/// A run that has ended.
pub fn ended(run: &Ended, now: Timestamp) -> Row {
    let target = run.target.as_deref().unwrap_or("-").to_owned();
    let took = out::age(run.ended - run.started);
    let words = format!("{} after {took}, {} ago", run.result.word(), out::age(now - run.ended));
    let tone = match run.result {
        RunResult::Repaired
        | RunResult::Done
        | RunResult::Observed
        | RunResult::Cancelled
        | RunResult::Denied => Tone::Dim,
        RunResult::Failed
        | RunResult::Undone
        | RunResult::Unknown
        | RunResult::Blocked
        | RunResult::Expired => Tone::Bad,
    };
    Row::new(tone, [run.run.to_string(), run.playbook.to_string(), target, words, String::new()])
}

/// A check that is not up.
pub fn verdict(check: &str, status: Status, since: Option<Timestamp>, now: Timestamp) -> Row {
    let age = since.map_or_else(|| "no verdict yet".to_owned(), |since| out::age(now - since));
    let tone = if status == Status::Down { Tone::Bad } else { Tone::Asks };
    Row::new(tone, [status.word().to_owned(), check.to_owned(), age])
}

/// An alert that fires.
pub fn alert(episode: &Episode, now: Timestamp) -> Row {
    let strongest = episode.decisions.iter().max_by_key(|decision| decision.outcome.strength());
    let words =
        strongest.map_or_else(|| "no playbook matches".to_owned(), |best| out::plain(&show::decision(best)));
    let tone = match strongest.map(|best| &best.outcome) {
        Some(Outcome::Started { .. } | Outcome::Joined { .. }) => Tone::Plain,
        Some(Outcome::Blocked(_)) => Tone::Bad,
        Some(Outcome::Skipped(_)) | None => Tone::Dim,
    };
    let fingerprint = episode.alert.fingerprint.to_string();
    Row::new(tone, [fingerprint, alert_name(episode), words, out::age(now - episode.opened)])
}

/// Where a run stands, in a few words: what is under way, the deepest first.
fn standing(run: &Run, now: Timestamp) -> String {
    let under_way: Vec<String> =
        run.acts.iter().rev().filter_map(|(at, act)| stage(at, &act.stage, now)).collect();
    let ends = run.concluded.as_ref().map(|end| format!("will end {}", end.result.word()));
    match (run.progress, under_way.as_slice()) {
        (Progress::Queued, _) if run.locks.is_empty() => "queued for its turn".to_owned(),
        (Progress::Queued, _) => format!("queued for {}", run.locks.join(", ")),
        (Progress::Over, _) => "over".to_owned(),
        (Progress::Going, []) => ends.unwrap_or_else(|| format!("{} steps done", run.done.len())),
        (Progress::Going, words) => {
            let ends = ends.map_or_else(String::new, |ends| format!("; {ends}"));
            format!("{}{ends}", words.join("; "))
        }
    }
}

/// What is under way at a step; nothing for what only holds other steps.
fn stage(at: &Instance, stage: &Stage, now: Timestamp) -> Option<String> {
    let left = |until: &Timestamp| out::age(*until - now);
    Some(match stage {
        Stage::Dispatched(open) => format!("{} sent {} ago", what(open), out::age(now - open.at)),
        Stage::Revoking(open, _) => format!("{} is being won back", what(open)),
        Stage::Running(open, _) => format!("{} runs, sent {} ago", what(open), out::age(now - open.at)),
        Stage::Again(open, at) if at.0 < i64::MAX => format!("{} again in {}", open.instance, left(at)),
        Stage::Again(open, _) => format!("{} is over", open.instance),
        Stage::Looking(open, ..) => format!("{}: its outcome is looked up", open.instance),
        Stage::Asking(open) => format!("asks whether {} took place", open.instance),
        Stage::Approving(ask) => format!("asks {} for a yes, {} left", ask.by, left(&ask.until)),
        Stage::Waiting(until) => format!("{at} waits, {} left", left(until)),
        Stage::Verifying(watching) => verifying(watching, now),
        Stage::Failing(why) => format!("{at} failed: {}", out::plain(why)),
        Stage::Branch(_) | Stage::Parallel | Stage::Loop | Stage::Sub => return None,
    })
}

fn what(open: &Attempt) -> String {
    let Attempt { instance, number, task, .. } = open;
    match task.kind {
        Kind::Perform => format!("{instance} ({}, attempt {number})", task.action),
        Kind::Observe(_) => format!("look at {instance} ({})", task.action),
    }
}

/// The check that holds least, for it decides.
fn verifying(watching: &[Watching], now: Timestamp) -> String {
    let held = |watching: &Watching| watching.since.map(|since| now - since);
    let Some(least) = watching.iter().min_by_key(|watching| held(watching)) else {
        return "verifies".to_owned();
    };
    let watch = &least.watch;
    let so_far = held(least)
        .map_or_else(|| "not yet".to_owned(), |held| format!("for {} of {}", out::age(held), watch.hold));
    let more = if watching.len() > 1 { format!(" and {} more", watching.len() - 1) } else { String::new() };
    let left = out::age(watch.until - now);
    format!("verifies {} {} {so_far}, {left} left{more}", watch.check, watch.is.word())
}

#[cfg(test)]
mod tests {
    use regreen_schemas::Span;

    use super::*;
    use crate::fixture::{self, NOW};

    #[test]
    fn every_stage_is_told_with_its_time() {
        let attempt = || fixture::attempt("restart");
        let (soon, never) = (NOW + Span::seconds(3), Timestamp(i64::MAX));
        for (stage, words) in [
            (Stage::Dispatched(attempt()), "restart (http.request, attempt 2) sent 12s ago"),
            (Stage::Revoking(attempt(), None), "restart (http.request, attempt 2) is being won back"),
            (Stage::Running(attempt(), soon), "restart (http.request, attempt 2) runs, sent 12s ago"),
            (Stage::Again(attempt(), soon), "restart again in 3s"),
            (Stage::Again(attempt(), never), "restart is over"),
            (Stage::Looking(attempt(), soon, None), "restart: its outcome is looked up"),
            (Stage::Waiting(soon), "restart waits, 3s left"),
            (Stage::Verifying(Vec::new()), "verifies"),
            (Stage::Failing("no\n".into()), "restart failed: no\u{fffd}"),
        ] {
            assert_eq!(super::stage(&"restart".into(), &stage, NOW).as_deref(), Some(words));
        }
    }

    #[test]
    fn a_run_is_told_as_a_whole() {
        let mut run = fixture::run("r", "one", 5, 1);
        assert_eq!(standing(&run, NOW), "queued for web/one");
        run.progress = Progress::Going;
        assert_eq!(standing(&run, NOW), "0 steps done");
        for at in ["a", "b"] {
            run.acts.insert(at.into(), fixture::act(Stage::Waiting(NOW + Span::seconds(3))));
        }
        run.acts.insert("both".into(), fixture::act(Stage::Parallel));
        assert_eq!(standing(&run, NOW), "b waits, 3s left; a waits, 3s left");
    }
}
