//! `regreen playbook evidence`: whether a playbook may be trusted, from the log: what it would have done or did, how
//! those episodes ended, what people said to it, and what kept it from acting.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use regreen_bus::{
    Bus,
    reader::{Gap, Reader},
    streams,
};
use regreen_schemas::{
    Fingerprint, PlaybookName, RunId, Span, Timestamp,
    action::Effect,
    alert::Status,
    command::Kind,
    event::{Closing, Event, Mode, Origin, RunEvent},
    record::{self, Record},
    run::{Outcome, RunResult},
};
use serde::Serialize;

use crate::{args::Connect, client, out};

/// `regreen playbook`.
#[derive(clap::Subcommand)]
pub enum Playbook {
    /// What it would have done in mode `observe`, or did; how the alerts ended; what was approved and denied.
    #[command(
        after_help = "Example:\n  regreen playbook evidence web-restart   before its mode becomes `approve` or `auto`"
    )]
    Evidence {
        /// Its name.
        playbook: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connect: Connect,
    },
}

/// One run of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// Its id.
    run: RunId,
    /// Its target.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Arc<str>>,
    /// Whether it might act.
    mode: Mode,
    /// When it started.
    started: Timestamp,
    /// When and how it ended.
    ended: Option<(Timestamp, RunResult, Arc<str>)>,
    /// Effects that were dispatched.
    effects: u32,
    /// Who said yes or no, with their reason.
    said: Vec<Said>,
    /// The alert that started it; none when a person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Fingerprint>,
    /// How that alert ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    episode: Option<Episode>,
}

/// An answer to what a run asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    /// Who; nobody: it expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Arc<str>>,
    /// `approved`, `denied` or `expired`.
    what: &'static str,
    /// In their words.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: Arc<str>,
}

/// The end of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Episode {
    /// How long after the run began.
    after: Span,
    /// How it is known.
    why: Closing,
}

/// Everything the log holds about a playbook.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// The first record that was there to read; what is older was trimmed.
    from: u64,
    /// When that was written.
    since: Option<Timestamp>,
    /// Its runs, oldest first.
    runs: Vec<Case>,
    /// How often it wanted to and might not, or did not want to, by reason.
    held_back: BTreeMap<String, u32>,
    /// What was decided last on each alert.
    #[serde(skip)]
    newest: BTreeMap<Fingerprint, String>,
    /// Where each run stands in the list.
    #[serde(skip)]
    places: BTreeMap<RunId, usize>,
}

impl Evidence {
    /// Takes a record in.
    fn fold(&mut self, playbook: &PlaybookName, record: &Record) {
        self.since = self.since.or(Some(record.now));
        for item in &record.items {
            for event in &item.events {
                match event {
                    Event::Run { run, what } => self.run(playbook, run, what, item.now),
                    Event::EpisodeClosed { fingerprint, why, .. } => self.closed(fingerprint, *why, item.now),
                    Event::AlertDecided { fingerprint, status: Status::Firing, decisions, .. }
                    | Event::AlertReconsidered { fingerprint, decisions, .. } => {
                        for decision in decisions.iter().filter(|decision| decision.playbook == *playbook) {
                            self.decided(fingerprint, &decision.outcome);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn run(&mut self, playbook: &PlaybookName, id: &RunId, what: &RunEvent, now: Timestamp) {
        if let RunEvent::Started { playbook: of, target, origin, mode, .. } = what {
            if of == playbook {
                self.places.insert(id.clone(), self.runs.len());
                let alert = match origin {
                    Origin::Alert { fingerprint } => Some(fingerprint.clone()),
                    Origin::Manual { .. } => None,
                };
                self.runs.push(Case {
                    run: id.clone(),
                    target: target.as_ref().map(|target| target.name().clone()),
                    mode: *mode,
                    started: now,
                    ended: None,
                    effects: 0,
                    said: Vec::new(),
                    alert,
                    episode: None,
                });
            }
            return;
        }
        let Some(case) = self.places.get(id).and_then(|place| self.runs.get_mut(*place)) else { return };
        match what {
            RunEvent::Dispatched { attempt: 1, task, .. }
                if task.kind == Kind::Perform && task.effect != Effect::Read =>
            {
                case.effects += 1;
            }
            RunEvent::Approved { by, .. } => case.say(Some(by), "approved", ""),
            RunEvent::Denied { by, reason, .. } => case.say(Some(by), "denied", reason),
            RunEvent::ApprovalExpired { .. } => case.say(None, "expired", ""),
            RunEvent::Ended { result, reason } => case.ended = Some((now, *result, reason.clone())),
            _ => {}
        }
    }

    /// Counts a reason once, however often the alert is notified again.
    fn decided(&mut self, fingerprint: &Fingerprint, outcome: &Outcome) {
        let why = match outcome {
            Outcome::Blocked(block) => format!("blocked: {}", word(&block.to_string())),
            Outcome::Skipped(skip) => format!("skipped: {}", word(&skip.to_string())),
            Outcome::Started { .. } | Outcome::Joined { .. } => String::new(),
        };
        let before = self.newest.insert(fingerprint.clone(), why.clone());
        if !why.is_empty() && before.as_ref() != Some(&why) {
            *self.held_back.entry(why).or_default() += 1;
        }
    }

    fn closed(&mut self, fingerprint: &Fingerprint, why: Closing, now: Timestamp) {
        let open = |case: &&mut Case| case.alert.as_ref() == Some(fingerprint) && case.episode.is_none();
        for case in self.runs.iter_mut().filter(open) {
            case.episode = Some(Episode { after: now - case.started, why });
        }
    }

    /// How often its runs ended how.
    fn results(&self) -> BTreeMap<&'static str, u32> {
        let mut counts = BTreeMap::new();
        for case in &self.runs {
            let word = case.ended.as_ref().map_or("open", |(_, result, _)| result.word());
            *counts.entry(word).or_default() += 1;
        }
        counts
    }
}

impl Case {
    fn say(&mut self, by: Option<&Arc<str>>, what: &'static str, reason: &str) {
        self.said.push(Said { by: by.cloned(), what, reason: reason.into() });
    }

    fn row(&self) -> Vec<String> {
        let said = self.said.iter().map(|said| match (&said.by, said.reason.is_empty()) {
            (Some(by), true) => format!("{} by {by}", said.what),
            (Some(by), false) => format!("{} by {by}: {}", said.what, out::plain(&said.reason)),
            (None, _) => said.what.to_owned(),
        });
        let alert = match (&self.alert, &self.episode) {
            (None, _) => "by hand".to_owned(),
            (Some(_), None) => "still fires".to_owned(),
            (Some(_), Some(Episode { after, why: Closing::Resolved })) => {
                format!("resolved {} later", out::age(*after))
            }
            (Some(_), Some(Episode { after, why: Closing::Silent })) => {
                format!("silent, {} later", out::age(*after))
            }
        };
        let result = self.ended.as_ref().map_or("open", |(_, result, _)| result.word());
        vec![
            self.started.to_string(),
            self.run.to_string(),
            self.target.as_deref().unwrap_or("-").to_owned(),
            result.to_owned(),
            said.collect::<Vec<_>>().join(", "),
            alert,
        ]
    }
}

/// The guard or reason alone: `cooldown: until …` is `cooldown`.
fn word(text: &str) -> String {
    text.split(':').next().unwrap_or(text).to_owned()
}

pub async fn run(command: Playbook) -> anyhow::Result<ExitCode> {
    let Playbook::Evidence { playbook, json, connect } = command;
    let bus = client::connect(&connect).await?.bus;
    let name = PlaybookName::from(playbook.as_str());
    let evidence = read(&bus, &name).await?;
    if json {
        out::json(&evidence)?;
    } else {
        show(&name, &evidence);
    }
    Ok(ExitCode::from(u8::from(evidence.runs.is_empty() && evidence.held_back.is_empty())))
}

async fn read(bus: &Bus, name: &PlaybookName) -> Result<Evidence, anyhow::Error> {
    let extent = streams::extent(bus, bus.names.decisions()).await?;
    let mut evidence = Evidence { from: extent.first, ..Evidence::default() };
    let mut reader = Reader::new(bus, bus.names.decisions(), extent.first.saturating_sub(1));
    let mut seq = extent.first.saturating_sub(1);
    while seq < extent.last {
        let stored = reader.next().await.map_err(|gap: Gap| anyhow::anyhow!("DECISIONS: {gap}"))?;
        seq = stored.seq;
        evidence.fold(name, &record::decode(&stored.payload)?);
    }
    Ok(evidence)
}

fn show(name: &PlaybookName, evidence: &Evidence) {
    if evidence.runs.is_empty() && evidence.held_back.is_empty() {
        out::error(&format!("the log knows nothing of a playbook `{name}`"));
        return;
    }
    if let (Some(since), 2..) = (evidence.since, evidence.from) {
        out::line(&format!("since {since}: what is older was trimmed"));
    }
    let header = ["STARTED", "RUN", "TARGET", "RESULT", "PEOPLE", "ALERT"];
    out::table(&header, evidence.runs.iter().map(Case::row).collect());
    let counts = |counts: Vec<String>| if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let results = evidence.results().into_iter().map(|(word, n)| format!("{n} {word}")).collect();
    out::line(&format!("\nruns: {}", counts(results)));
    let answers =
        |what: &str| evidence.runs.iter().flat_map(|case| &case.said).filter(|s| s.what == what).count();
    out::line(&format!(
        "people: {} approved, {} denied, {} expired",
        answers("approved"),
        answers("denied"),
        answers("expired")
    ));
    let held = evidence.held_back.iter().map(|(why, n)| format!("{n} {why}")).collect();
    out::line(&format!("held back: {}", counts(held)));
    let newest = evidence.runs.iter().rev().find_map(|case| match &case.ended {
        Some((_, RunResult::Observed, reason)) => Some((case, reason)),
        _ => None,
    });
    if let Some((case, reason)) = newest {
        out::line(&format!("newest observed, run {}: {}", case.run, out::plain(reason)));
    }
    let observed =
        |case: &&Case| case.ended.as_ref().is_some_and(|(_, result, _)| *result == RunResult::Observed);
    let alone = evidence.runs.iter().filter(observed).filter(|case| case.episode.is_some()).count();
    if alone > 0 {
        out::line(&format!(
            "observed: {alone} of its alerts ended without it; where that took long, it would have helped"
        ));
    }
}

#[cfg(test)]
mod tests {
    use regreen_schemas::{
        record::{Cause, Cursor, Item},
        run::{Block, Decision},
    };

    use super::*;

    fn record(now: i64, events: Vec<Event>) -> Record {
        Record {
            v: 1,
            format: 1,
            epoch: 1,
            owner: "o".into(),
            n: 1,
            prev_hash: "".into(),
            items: vec![Item { cause: Cause::Timer, now: Timestamp(now), events }],
            cursor: Cursor::default(),
            fact_hash: "".into(),
            now: Timestamp(now),
            stop_no: 1,
            trouble: None,
            hashed: false,
            state_hash: None,
        }
    }

    fn of(run: &str, what: RunEvent) -> Event {
        Event::Run { run: run.into(), what }
    }

    fn started(playbook: &str, mode: Mode) -> RunEvent {
        RunEvent::Started {
            playbook: playbook.into(),
            set: "s".into(),
            target: None,
            origin: Origin::Alert { fingerprint: "f".into() },
            inputs: BTreeMap::new(),
            mode,
            locks: Vec::new(),
            trigger: None,
            asks: None,
            trial: false,
            active: None,
            wait_until: Timestamp(0),
            trace: None,
        }
    }

    fn ended(result: RunResult) -> RunEvent {
        RunEvent::Ended { result, reason: "".into() }
    }

    #[test]
    fn what_it_would_have_done_how_that_ended_and_what_people_said() {
        let name = PlaybookName::from("p");
        let mut evidence = Evidence::default();
        let blocked = Decision {
            playbook: name.clone(),
            outcome: Outcome::Blocked(Block::Cooldown { until: Timestamp(9) }),
        };
        let decided = Event::AlertDecided {
            fingerprint: "f".into(),
            status: Status::Firing,
            decisions: vec![blocked],
            reads: Vec::new(),
            again_at: None,
        };
        evidence.fold(
            &name,
            &record(
                1000,
                vec![
                    of("observed", started("p", Mode::Observe)),
                    of("observed", ended(RunResult::Observed)),
                    of("other", started("q", Mode::Auto)),
                    of("asked", started("p", Mode::Approve)),
                    decided,
                ],
            ),
        );
        let denied = RunEvent::Denied { instance: "guard".into(), by: "ana".into(), reason: "no".into() };
        evidence.fold(&name, &record(4000, vec![of("asked", denied), of("asked", ended(RunResult::Denied))]));
        let over =
            Event::EpisodeClosed { fingerprint: "f".into(), ended: Timestamp(6000), why: Closing::Resolved };
        evidence.fold(&name, &record(7000, vec![over]));
        assert_eq!(evidence.runs.len(), 2, "another playbook's runs are not its evidence");
        let rows: Vec<String> = evidence.runs.iter().map(|case| case.row()[3..].join(" | ")).collect();
        assert_eq!(
            rows,
            ["observed |  | resolved 6s later", "denied | denied by ana: no | resolved 6s later"]
        );
        assert_eq!(evidence.held_back, BTreeMap::from([("blocked: cooldown".to_owned(), 1)]));
        assert_eq!(evidence.results(), BTreeMap::from([("denied", 1), ("observed", 1)]));
    }
}
