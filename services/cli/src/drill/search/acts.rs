//! The four acts: what is broken, what must become of it, and the waits between them.

use std::time::Duration;

use anyhow::Context as _;
use regreen_kit::clock;
use regreen_schemas::{
    Span, Timestamp,
    event::{Event, RunEvent},
    run::RunResult,
};

use super::{
    Play,
    cloud::{Droplet, Harm, Line},
    judge::{self, Decided, Expected},
    set::{CHECKS, NODES, PLAYBOOK},
};
use crate::drill::{
    report::{Act, Aim, Objective},
    say,
    seen::Seen,
    stage::{wait_for, wait_for_file},
    timeline::{self, seconds},
};

/// What a replacement may take before it is divided: two reboots that help nothing, five minutes each, a droplet, its
/// shards, and seven minutes of watching. No shipped file says it: how long shards take is the cluster's.
const REPLACED: Span = Span::minutes(30);
/// What an engine that was killed may cost beside: its attempt's window must be over before anybody looks whether it took
/// effect. That is real time, and not divided.
const ENGINE_AWAY: Span = Span::seconds(45);
/// How long nothing must happen where nothing may.
const QUIET: Duration = Duration::from_secs(8);

/// An act that is over.
pub struct Played {
    /// For the report.
    pub act: Act,
    /// When all was well again.
    pub over: Timestamp,
    /// Effects of its repair.
    pub effects: usize,
    /// Where the logs don't agree.
    pub disagreements: Vec<String>,
    /// What was decided to be done.
    decided: Vec<Decided>,
    /// When destructive attempts were counted.
    spent: Vec<Timestamp>,
}

/// The run that an effect is of.
pub fn by(acts: &[Played], line: &Line) -> String {
    let id = line.droplet.to_string();
    let of = |decided: &&Decided| {
        decided.deed.what == line.what && decided.deed.droplet == id && decided.at >= line.at
    };
    let found = acts.iter().flat_map(|played| &played.decided).find(of);
    found.map_or_else(|| "nobody who is known".to_owned(), |decided| decided.run.to_string())
}

/// What an act is about.
struct Plot<'p> {
    name: &'static str,
    title: &'static str,
    expected: &'static str,
    /// Effects on the cloud.
    effects: Expected<'p>,
    /// What it may take, and by whom; none: nothing is repaired.
    limit: Option<(Span, String)>,
}

/// An act that is going on.
struct Open {
    seen: Seen,
    broke: Timestamp,
    /// Lines of the effect log before it.
    before: usize,
}

impl Play<'_> {
    /// All of them.
    pub async fn acts(&mut self) -> anyhow::Result<Vec<Played>> {
        let nodes = self.cloud.droplets().await?;
        let [first, second, third] = nodes.as_slice() else {
            anyhow::bail!("{} droplets instead of {NODES}", nodes.len())
        };
        let mut acts = vec![self.one(first).await.context("act one")?];
        if !goes_on(&acts) {
            return Ok(acts);
        }
        acts.push(self.two(second).await.context("act two")?);
        if !goes_on(&acts) {
            return Ok(acts);
        }
        // Neither was repaired before, and attempts are free: it is no cooldown and no budget that holds the repair back.
        self.budget_is_free(&acts).await?;
        let now = self.cloud.droplets().await?;
        let new = now.iter().find(|droplet| !nodes.contains(droplet)).context("no droplet was made")?;
        acts.push(self.three([third, new]).await.context("act three")?);
        if !goes_on(&acts) {
            return Ok(acts);
        }
        self.budget_is_free(&acts).await?;
        acts.push(self.four(third).await.context("act four")?);
        Ok(acts)
    }

    async fn one(&mut self, victim: &Droplet) -> anyhow::Result<Played> {
        say(&format!("\nact one: {} dies; a reboot brings it back", victim.name));
        let mut open = self.break_it(&[victim], Harm::Kill).await?;
        self.until_ended(&mut open).await?;
        let limit = (self.prepared.rto, self.divided(self.prepared.rto_shipped));
        let plot = Plot {
            name: "one",
            title: "a node dies",
            expected: "a reboot brings it back, and nothing else is done",
            effects: &[("reboot", Some(&victim.id))],
            limit: Some(limit),
        };
        self.close(open, &plot, vec![]).await
    }

    async fn two(&mut self, victim: &Droplet) -> anyhow::Result<Played> {
        say(&format!(
            "\nact two: {} dies and stays dead, though the provider calls its reboot completed",
            victim.name
        ));
        let mut open = self.break_it(&[victim], Harm::KillAndBreak).await?;
        self.until_ended(&mut open).await?;
        let id = Some(victim.id.as_str());
        let limit = Span(REPLACED.0 / i64::from(self.prepared.lens.waits.get()));
        let plot = Plot {
            name: "two",
            title: "a node dies for good",
            expected: "rebooted and power-cycled in vain, then replaced; the old droplet is destroyed last",
            effects: &[("reboot", id), ("power_cycle", id), ("create", None), ("destroy", id)],
            limit: Some((limit, self.divided(REPLACED))),
        };
        self.close(open, &plot, vec![]).await
    }

    async fn three(&mut self, victims: [&Droplet; 2]) -> anyhow::Result<Played> {
        let [first, second] = victims.map(|droplet| droplet.name.as_str());
        say(&format!(
            "\nact three: {first} and {second} die at once; nothing may be touched, and somebody must be woken"
        ));
        let mut open = self.break_it(&victims, Harm::Kill).await?;
        let patience = self.patience;
        let woken = |seen: &Seen| seen.told().any(|(_, receiver)| receiver == "oncall");
        self.follower.until(&mut open.seen, patience, woken).await.context("nobody was woken")?;
        self.follower.quiet(&mut open.seen, QUIET).await?;
        let pages = self.desk.since(open.broke);
        let (mut wrong, mut notes) = (Vec::new(), Vec::new());
        match pages.first() {
            Some(page) => {
                notes.push(format!("woken after {:.2} s: {}", seconds(open.broke, page.at), page.text));
                say(&format!("  {}", notes[0]));
            }
            None => wrong.push("the log says that on-call was told, and no page came".to_owned()),
        }
        if let Some(run) = open.seen.run_of(PLAYBOOK) {
            wrong.push(format!("run {run} of {PLAYBOOK} was started"));
        }
        say("  an operator stops Regreen, and switches both on again by hand");
        self.stage.cli(&["stop"])?;
        for droplet in victims {
            self.cloud.power_cycle(droplet).await?;
        }
        self.until_up().await?;
        self.stage.cli(&["resume"])?;
        let plot = Plot {
            name: "three",
            title: "two nodes die at once",
            expected: "nothing is touched, on-call is woken",
            effects: &[],
            limit: None,
        };
        let mut played = self.close(open, &plot, wrong).await?;
        played.act.notes = notes;
        Ok(played)
    }

    async fn four(&mut self, victim: &Droplet) -> anyhow::Result<Played> {
        say(&format!(
            "\nact four: {} dies as in act one, and Regreen is killed between its call and the answer",
            victim.name
        ));
        let mut open = self.break_it(&[victim], Harm::Kill).await?;
        let patience = self.patience;
        let sent = |seen: &Seen| seen.attempts().any(|(_, _, task)| task.action.ends_with(".reboot"));
        self.follower.until(&mut open.seen, patience, sent).await?;
        let before = open.before;
        let rebooted = |log: &str| log.lines().skip(before).any(|line| line.contains("\"reboot\""));
        wait_for_file(self.cloud.log(), patience, rebooted).await.context("the cloud was not asked")?;
        self.stage.kill("up")?;
        say(
            "  engine, runner, probes and NATS are killed: the cloud was asked, and nobody has heard its answer",
        );
        super::start_up(self.stage)?;
        let bus = self.stage.bus().await?;
        self.follower.go_on(&bus);
        self.until_ended(&mut open).await?;
        let limit = self.prepared.rto + ENGINE_AWAY;
        let source =
            format!("{}, and {ENGINE_AWAY} for a lost answer", self.divided(self.prepared.rto_shipped));
        let takeovers =
            open.seen.noted.iter().filter(|noted| matches!(noted.event, Event::Takeover { .. })).count();
        let wrong =
            if takeovers == 1 { vec![] } else { vec![format!("{takeovers} takeovers instead of one")] };
        let plot = Plot {
            name: "four",
            title: "a node dies, and then the engine",
            expected: "the run goes on where it was, and nothing is done twice",
            effects: &[("reboot", Some(&victim.id))],
            limit: Some((limit, source)),
        };
        self.close(open, &plot, wrong).await
    }

    /// Where a limit comes from.
    fn divided(&self, shipped: Span) -> String {
        format!("{shipped} divided by {}", self.prepared.lens.waits)
    }

    /// Breaks nodes, as nearly at once as requests go.
    async fn break_it(&mut self, victims: &[&Droplet], how: Harm) -> anyhow::Result<Open> {
        let before = self.cloud.effects()?.len();
        let harms = victims.iter().map(|droplet| self.cloud.fail(droplet, how));
        let broke = futures::future::try_join_all(harms).await?;
        let broke = broke.into_iter().min().context("nothing to break")?;
        Ok(Open { seen: Seen::default(), broke, before })
    }

    /// Until the repair is over, and with it the alert. Where nothing was repaired, the alert stays.
    async fn until_ended(&mut self, open: &mut Open) -> anyhow::Result<()> {
        let ended = |seen: &Seen| seen.end_of(PLAYBOOK).is_some();
        self.follower.until(&mut open.seen, self.patience, ended).await?;
        if !is_repaired(&open.seen) {
            return Ok(());
        }
        self.follower
            .until(&mut open.seen, self.patience, Seen::resolved)
            .await
            .context("the alert is not over")
    }

    /// Until every check is up.
    async fn until_up(&self) -> anyhow::Result<()> {
        let up = |state: &regreen_decider::State| {
            let up = |status: &regreen_schemas::check::Status| *status == regreen_schemas::check::Status::Up;
            let count = state.verdicts.values().filter(|(status, _)| up(status)).count();
            if count >= CHECKS { Ok(()) } else { Err(format!("{count} checks of {CHECKS} are up")) }
        };
        wait_for(self.follower.bus(), self.patience, up).await
    }

    /// Until every check is up, every run over, every alert closed, and no shard on its way.
    async fn until_calm(&self) -> anyhow::Result<()> {
        self.until_up().await.context("the cluster did not come back")?;
        let calm = |state: &regreen_decider::State| {
            let runs = state.runs.len();
            let alerts = state.episodes.values().filter(|episode| episode.closed.is_none()).count();
            if runs + alerts == 0 { Ok(()) } else { Err(format!("{runs} runs and {alerts} alerts are open")) }
        };
        wait_for(self.follower.bus(), self.patience, calm).await.context("it does not come to rest")?;
        self.cloud.at_rest(self.patience).await
    }

    /// Waits until all is well where it was repaired, and judges the act.
    async fn close(&mut self, open: Open, plot: &Plot<'_>, wrong: Vec<String>) -> anyhow::Result<Played> {
        let Open { mut seen, broke, before } = open;
        if plot.limit.is_none() || is_repaired(&seen) {
            self.until_calm().await?;
        }
        self.follower.catch_up(&mut seen).await?;
        self.follower.look_up(&mut seen).await?;
        let there = self.cloud.droplets().await?;
        self.writer.nodes(there.into_iter().map(|droplet| droplet.address).collect());
        let lines = self.cloud.effects()?;
        let own: Vec<&Line> = lines.iter().skip(before).filter(|line| !self.cloud.is_own(line)).collect();
        let (done, decided) = (judge::done(&own), judge::decided(&seen));
        let act = act(plot, wrong, timeline::of(broke, PLAYBOOK, &seen));
        act.objectives.iter().for_each(|objective| say(&format!("  {}", objective.said())));
        Ok(Played {
            act,
            over: clock::wall(),
            effects: done.len(),
            disagreements: judge::compare(plot.name, plot.effects, &decided, &done),
            decided,
            spent: spent(&seen),
        })
    }

    /// Waits until no budget of the playbook would hold the next act back: between two acts hours are meant to pass.
    async fn budget_is_free(&self, acts: &[Played]) -> anyhow::Result<()> {
        let spent: Vec<Timestamp> = acts.iter().flat_map(|played| played.spent.iter().copied()).collect();
        let frees = self.prepared.budgets.iter().filter_map(|budget| {
            let max = usize::try_from(budget.max).ok()?;
            let newest = spent.len().checked_sub(max)?;
            Some(spent[newest] + budget.per)
        });
        if let Some(free) = frees.max().filter(|free| *free > clock::wall()) {
            let rest = (free - clock::wall()).to_std();
            anyhow::ensure!(rest <= self.patience, "the playbook's budget is spent for {rest:?}");
            say(&format!("\nthe budget is spent: {:.0} s pass until an attempt is free", rest.as_secs_f64()));
            tokio::time::sleep(rest).await;
        }
        Ok(())
    }
}

/// The act as it is reported: against its limit, where something was to be repaired.
fn act(plot: &Plot<'_>, mut wrong: Vec<String>, timeline: timeline::Timeline) -> Act {
    let objective = plot.limit.as_ref().map(|(limit, source)| {
        let measured = timeline.seconds.and_then(|seconds| seconds.rto);
        Objective::at_most(Aim::Rto, seconds(Timestamp(0), Timestamp(limit.0)), measured, source.clone())
    });
    if objective.is_some() && timeline.result != Some(RunResult::Repaired) {
        wrong.push(format!("the run ended {}", timeline.result.map_or("never", RunResult::word)));
    }
    Act {
        name: plot.name,
        title: plot.title,
        expected: plot.expected,
        wrong,
        objectives: objective.into_iter().collect(),
        notes: Vec::new(),
        timeline,
        gaps: Vec::new(),
    }
}

/// Whether the next act would measure that act alone.
fn goes_on(acts: &[Played]) -> bool {
    let well = acts.iter().all(|played| played.act.wrong.is_empty());
    if !well {
        say("\nthe act did not go as it must: those after it are not played");
    }
    well
}

fn is_repaired(seen: &Seen) -> bool {
    seen.end_of(PLAYBOOK).is_some_and(|end| end.result == RunResult::Repaired)
}

/// When destructive attempts were counted.
fn spent(seen: &Seen) -> Vec<Timestamp> {
    let spends = seen
        .runs()
        .filter(|(_, _, what)| matches!(what, RunEvent::Dispatched { spends, .. } if !spends.is_empty()));
    spends.map(|(noted, ..)| noted.at).collect()
}
