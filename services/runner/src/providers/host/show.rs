//! `systemctl`, and what it shows of a unit. Its words are chosen here, and only the unit's name comes from the list.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use regreen_schemas::fact::Verb;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::child::{self, Ended, Exit};
use crate::rest::Wrong;

/// Longest that one look may take.
const SHOW_MAX: Duration = Duration::from_secs(2);
/// What is asked for.
const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,InvocationID,NRestarts,Job";
/// Exit codes by which `systemctl` passes on that the manager refused: no job was made (`translate_bus_error_to_exit_status`
/// in its source). 3: not for this kind of unit; 4: no permission; 5: no such unit; 6: its file is wrong.
const REFUSED: std::ops::RangeInclusive<i32> = 3..=6;

/// A unit, and the program that asks about it.
#[derive(Clone, Debug)]
pub struct Unit {
    pub systemctl: PathBuf,
    pub name: String,
}

/// How a unit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub load: String,
    pub active: String,
    pub sub: String,
    pub result: String,
    pub invocation: Invocation,
    pub restarts: u64,
    /// A job of the unit waits or runs.
    pub job: bool,
}

/// Which of its lives a unit is in: a new one each time that it is started.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Invocation(String);

impl Unit {
    /// How it is now.
    ///
    /// # Errors
    /// When nobody can say.
    pub async fn show(&self) -> Result<Shown, Wrong> {
        match self.call("show", &[PROPERTIES], SHOW_MAX).await {
            Ended::Exited(exit) if exit.status.success() => Shown::of(&exit.stdout).map_err(Wrong::not_yet),
            Ended::Exited(exit) => {
                Err(Wrong::not_yet(format!("{} can't be shown: {}", self.name, exit.words())))
            }
            Ended::Killed => Err(Wrong::not_yet(format!("{} is not shown within {SHOW_MAX:?}", self.name))),
            Ended::NotStarted(error) | Ended::Lost(error) => {
                Err(Wrong::not_yet(format!("{}: {error}", self.systemctl.display())))
            }
        }
    }

    /// Asks the manager for a job, and waits for its end.
    ///
    /// # Errors
    /// When there was no job, or nobody knows how it ended.
    pub async fn job(&self, verb: &str, within: Duration) -> Result<(), Wrong> {
        match self.call(verb, &[], within).await {
            Ended::Exited(Exit { status, .. }) if status.success() => Ok(()),
            Ended::Exited(exit) if exit.status.code().is_some_and(|code| REFUSED.contains(&code)) => {
                Err(Wrong::permanent(format!("systemd refuses to {verb} {}: {}", self.name, exit.words())))
            }
            Ended::Exited(exit) => Err(Wrong::unknown(format!("{verb} of {}: {}", self.name, exit.words()))),
            Ended::Killed => {
                Err(Wrong::unknown(format!("{verb} of {} is not over within {within:?}", self.name)))
            }
            Ended::NotStarted(error) => {
                Err(Wrong::not_yet(format!("{} can't be run: {error}", self.systemctl.display())))
            }
            Ended::Lost(error) => Err(Wrong::unknown(format!("{verb} of {}: {error}", self.name))),
        }
    }

    async fn call(&self, verb: &str, more: &[&str], within: Duration) -> Ended {
        let fixed = ["--no-pager", "--no-ask-password", verb];
        let words = fixed.iter().chain(more).copied().chain(["--", &self.name]);
        child::run(&self.systemctl, &words.map(str::to_owned).collect::<Vec<_>>(), within).await
    }
}

impl Shown {
    fn of(text: &str) -> Result<Self, String> {
        let said: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let said = |name: &str| said.get(name).copied().unwrap_or_default();
        let (load, active) = (said("LoadState"), said("ActiveState"));
        if load.is_empty() || active.is_empty() {
            return Err("systemctl shows something else than it should: there is no state".into());
        }
        Ok(Self {
            load: load.into(),
            active: active.into(),
            sub: said("SubState").into(),
            result: said("Result").into(),
            invocation: Invocation(said("InvocationID").into()),
            // Only services count them.
            restarts: said("NRestarts").parse().unwrap_or(0),
            job: !matches!(said("Job"), "" | "0"),
        })
    }

    /// It runs.
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }

    /// It does not run, and nothing is under way.
    pub fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }

    /// It is on its way from one to the other, or about to be.
    pub fn moves(&self) -> bool {
        self.job || !(self.is_active() || self.is_down())
    }

    /// There is such a unit.
    pub fn is_there(&self) -> bool {
        self.load == "loaded"
    }

    /// For people.
    pub fn told(&self) -> String {
        format!("{} ({}), result {}", self.active, self.sub, self.result)
    }

    /// As the result of an action.
    pub fn json(&self) -> Value {
        let Self { active, sub, result, restarts, .. } = self;
        json!({"active": active, "sub": sub, "result": result, "restarts": restarts})
    }

    /// As the outcome of an action.
    pub fn done(&self) -> Verb {
        Verb::Ok { result: self.json() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "Result=success\nNRestarts=2\nLoadState=loaded\nActiveState=active\nSubState=running\nInvocationID=4cdb\n";

    #[test]
    fn what_systemctl_shows_is_read() {
        let shown = Shown::of(SHOWN).expect("a unit");
        assert!(shown.is_active() && shown.is_there() && !shown.moves() && !shown.is_down());
        assert_eq!((shown.restarts, shown.told().as_str()), (2, "active (running), result success"));
        assert_eq!(shown.invocation, Invocation("4cdb".into()));
        let starting = Shown::of(&SHOWN.replace("=active", "=activating")).expect("a unit");
        assert!(starting.moves() && !starting.is_active());
        assert!(Shown::of(&format!("{SHOWN}Job=77\n")).expect("a unit").moves());
        assert!(!Shown::of("LoadState=not-found\nActiveState=inactive\n").expect("shown").is_there());
        assert!(Shown::of("").is_err());
    }
}
