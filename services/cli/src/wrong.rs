//! What is wrong, and the command that helps, in order of gravity: first what keeps everything from being repaired,
//! then what keeps one thing. Pure: `status` prints it, `top` shows the head of it.

use std::sync::Arc;

use regreen_decider::{Episode, Phase, State};
use regreen_schemas::{Span, check::Status, run::Outcome, view::Checks};
use serde::Serialize;

use crate::{asks::asks, out, show, verdicts::standing};

/// Lines of one kind; the rest is counted.
const EACH_MAX: usize = 5;

/// Something that is wrong.
#[derive(Debug, Serialize)]
pub struct Wrong {
    /// Which kind of trouble: one word for programs.
    pub kind: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do, with the command.
    pub remedy: String,
}

impl Wrong {
    fn new(kind: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, what: what.into(), remedy: remedy.into() }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}. {}", self.what, self.remedy)
    }
}

/// Whether an engine speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// It does.
    Heard,
    /// It does, and its clock differs from this machine's.
    Skewed(Span),
    /// It does not, and nothing was written for so long.
    Silent(Span),
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The fold of the log.
    pub state: &'a State,
    /// Who pulled the stop switch, if it is on.
    pub stopped: Option<&'a str>,
    /// Whether an engine speaks.
    pub engine: Engine,
    /// The checks in force, if they are known.
    pub checks: Option<&'a Checks>,
    /// The files of the set were read again and refused.
    pub refused: bool,
}

/// Everything that is wrong, the gravest first.
pub fn wrong(seen: &Seen<'_>) -> Vec<Wrong> {
    let mut wrong = domain(seen);
    wrong.extend(asking(seen.state));
    wrong.extend(held(seen.state));
    wrong.extend(vantages(seen.state));
    wrong.extend(unknown(seen));
    wrong.extend(blocked(seen.state));
    if seen.refused {
        let what = "the set's files were edited and are refused; what was in force stays";
        wrong.push(Wrong::new("set_refused", what, "`regreen check <paths>` says why"));
    }
    if let Engine::Skewed(by) = seen.engine {
        let what =
            format!("the clock here and the engine's differ by {}: every age is wrong by that", out::age(by));
        wrong.push(Wrong::new(
            "skewed",
            what,
            "`timedatectl` shows whether this machine's clock is synchronised",
        ));
    }
    wrong
}

/// What keeps the whole domain from being repaired.
pub fn domain(seen: &Seen<'_>) -> Vec<Wrong> {
    let state = seen.state;
    let mut wrong: Vec<Wrong> = halted(state).into_iter().collect();
    if let Engine::Silent(since) = seen.engine {
        let what = format!("no engine: nothing was written for {}", out::age(since));
        wrong.push(Wrong::new("no_engine", what, "Start `regreen up`, or `regreen-engine`"));
    }
    if matches!(state.phase, Phase::CatchingUp { .. }) {
        let what = "the engine catches up, or none has taken over yet: nothing is dispatched";
        wrong.push(Wrong::new("catching_up", what, "It goes on by itself: see `regreen status` again"));
    }
    if let Some(by) = seen.stopped {
        wrong.push(Wrong::new(
            "stopped",
            format!("stopped by {by}: nothing begins"),
            "`regreen resume` releases it",
        ));
    }
    if state.set.is_none() {
        let remedy =
            "`regreen check <paths>` checks files, `regreen up --playbooks <paths>` brings them in force";
        wrong.push(Wrong::new("no_set", "no set of playbooks is in force", remedy));
    }
    wrong
}

/// A phase that only a person ends.
fn halted(state: &State) -> Option<Wrong> {
    match state.phase {
        Phase::Live | Phase::CatchingUp { .. } => None,
        Phase::Suspect => Some(Wrong::new(
            "suspect",
            "suspect: the log was silent or clocks differ, and nothing is done until a person has looked",
            "Look at `regreen runs list` and `regreen alerts list`, then `regreen resume --suspect`",
        )),
        Phase::Frozen => Some(Wrong::new(
            "frozen",
            format!("frozen: {}", state.frozen.as_deref().unwrap_or("the log and the streams do not agree")),
            "Find out who changed the streams before anything else; then `regreen reconcile` goes on",
        )),
    }
}

fn asking(state: &State) -> Vec<Wrong> {
    let asks = asks(state).into_iter();
    let asks =
        asks.map(|ask| Wrong::new("asks", format!("run {} asks: {}", ask.run, ask.question), ask.answer));
    bounded(asks.collect(), "asks", "runs ask", "`regreen top` shows them")
}

fn held(state: &State) -> Vec<Wrong> {
    let held = state.runs.values().filter_map(|run| Some((run, run.held.as_ref()?)));
    let held = held.map(|(run, by)| {
        let what = format!("run {} of {} is held: {}", run.id, run.playbook, out::plain(&by.to_string()));
        Wrong::new("held", what, format!("`regreen runs show {}`", run.id))
    });
    bounded(held.collect(), "held", "runs are held", "`regreen top` shows them")
}

/// Vantages whose looks count for nothing.
pub fn vantages(state: &State) -> Vec<Wrong> {
    let lost = state.vantages.iter().filter(|(_, vantage)| !vantage.synced || !vantage.sighted);
    let lost = lost.map(|(name, vantage)| {
        let (word, remedy) = if vantage.sighted {
            ("silent", "See there that `regreen-probe` runs and reaches NATS")
        } else {
            ("blind", "None of its `reference:` addresses answers: look at its network")
        };
        Wrong::new("vantage", format!("vantage {name} is {word}: its looks are unknown"), remedy)
    });
    lost.collect()
}

/// One line for all: when nobody looks, it is all of them at once.
fn unknown(seen: &Seen<'_>) -> Option<Wrong> {
    let stands = standing(seen.state, seen.checks);
    let names: Vec<&str> = stands
        .iter()
        .filter(|(_, (status, _))| *status == Status::Unknown)
        .map(|(check, _)| check.as_str())
        .collect();
    let first = names.iter().take(EACH_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > EACH_MAX { ", …" } else { "" };
    let what = format!("checks unknown, {} of {}: {first}{more}", names.len(), stands.len());
    (!names.is_empty()).then(|| Wrong::new("unknown", what, "`regreen verdicts --not-up`"))
}

/// Open alerts that a playbook wanted to act on and may not.
fn blocked(state: &State) -> Vec<Wrong> {
    let open = state.episodes.values().filter(|episode| episode.closed.is_none());
    let mut blocked: Vec<(&Arc<Episode>, String)> =
        open.filter_map(|episode| Some((episode, reasons(episode)?))).collect();
    blocked.sort_by_key(|(episode, _)| episode.opened);
    let lines = blocked.into_iter().map(|(episode, reasons)| {
        let (alert, id) = (alert_name(episode), &episode.alert.fingerprint);
        Wrong::new(
            "blocked",
            format!("alert {alert} is blocked: {reasons}"),
            format!("`regreen explain {id}`"),
        )
    });
    bounded(lines.collect(), "blocked", "alerts are blocked", "`regreen alerts list`")
}

/// Why an alert is blocked, if nothing better became of it.
fn reasons(episode: &Episode) -> Option<String> {
    let acted = |outcome: &Outcome| matches!(outcome, Outcome::Started { .. } | Outcome::Joined { .. });
    if episode.decisions.iter().any(|decision| acted(&decision.outcome)) {
        return None;
    }
    let blocked = episode.decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Blocked(_)));
    let reasons: Vec<String> = blocked.map(|decision| out::plain(&show::decision(decision))).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// The alert's name, safe for a terminal.
pub fn alert_name(episode: &Episode) -> String {
    episode.alert.labels.get("alertname").map_or_else(|| "-".to_owned(), |name| out::plain(name))
}

fn bounded(mut lines: Vec<Wrong>, kind: &'static str, what: &str, remedy: &str) -> Vec<Wrong> {
    let more = lines.len().saturating_sub(EACH_MAX);
    if more > 0 {
        lines.truncate(EACH_MAX);
        lines.push(Wrong::new(kind, format!("{more} more {what}"), remedy));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn seen(state: &State) -> Seen<'_> {
        Seen { state, stopped: None, engine: Engine::Heard, checks: None, refused: false }
    }

    #[test]
    fn nothing_is_wrong_with_a_calm_domain() {
        let state = fixture::calm();
        assert!(wrong(&seen(&state)).is_empty(), "{:?}", wrong(&seen(&state)));
    }

    #[test]
    fn the_gravest_comes_first_and_each_has_a_command() {
        let mut state = fixture::busy();
        state.phase = Phase::Frozen;
        let engine = Engine::Silent(Span::seconds(90));
        let all = wrong(&Seen { stopped: Some("ana"), engine, refused: true, ..seen(&state) });
        let kinds: Vec<&str> = all.iter().map(|wrong| wrong.kind).collect();
        let gravest = [
            "frozen",
            "no_engine",
            "stopped",
            "asks",
            "held",
            "vantage",
            "unknown",
            "blocked",
            "set_refused",
        ];
        assert_eq!(kinds, gravest);
        assert!(all.iter().all(|wrong| wrong.remedy.contains('`')), "{all:?}");
        assert!(all[0].to_string().contains("`regreen reconcile` goes on"));
        assert!(all[1].what.ends_with("1m30s"));
    }

    #[test]
    fn a_thousand_of_one_kind_are_counted() {
        let mut state = fixture::busy();
        let (_, one) = state.episodes.iter().find(|(_, e)| reasons(e).is_some()).expect("a blocked one");
        let one = one.clone();
        for n in 0..1000 {
            state.episodes.insert(format!("f{n}").into(), one.clone());
        }
        let all = wrong(&seen(&state));
        let lines: Vec<&Wrong> = all.iter().filter(|wrong| wrong.kind == "blocked").collect();
        assert_eq!(lines.len(), EACH_MAX + 1);
        assert!(lines[EACH_MAX].what.starts_with("996 more"), "{:?}", lines[EACH_MAX]);
    }

    #[test]
    fn suspicion_says_how_it_ends() {
        let state = State { phase: Phase::Suspect, ..fixture::calm() };
        assert!(wrong(&seen(&state))[0].to_string().contains("`regreen resume --suspect`"));
    }
}
