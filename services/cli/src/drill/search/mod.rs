//! The drill `elasticsearch-node-lost`: a cluster of search nodes on a simulated DigitalOcean loses nodes in four ways, while
//! documents are written all the time. What is shipped repairs it, at another speed.

mod acts;
mod cloud;
mod desk;
mod judge;
mod set;
mod writer;

use std::{fs, num::NonZeroU32, time::Duration};

use anyhow::Context as _;
use regreen_kit::clock;
use regreen_schemas::Span;
use serde_json::json;

use self::{cloud::Cloud, desk::Desk, set::Prepared, writer::Writer};
use super::{
    canary,
    follow::Follower,
    report::{Act, Aim, Effect, Objective, Report, Speed},
    say,
    stage::Stage,
};

pub use cloud::Search;

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// By how much waits are divided: 20, or 4 with real nodes, which start at their own pace. Cooldowns and budgets pass
    /// twelve times as fast as that.
    #[arg(long)]
    speed: Option<NonZeroU32>,
    /// What the search nodes are.
    #[arg(long, value_enum, default_value = "stand-in")]
    search: Search,
}

impl Options {
    /// The speed, at which a node that starts again is back in time.
    fn speed(&self) -> NonZeroU32 {
        let own = match self.search {
            Search::StandIn => 20,
            Search::Real => 4,
        };
        self.speed.or(NonZeroU32::new(own)).unwrap_or(NonZeroU32::MIN)
    }
}

/// Everything that acts need.
struct Play<'s> {
    stage: &'s mut Stage,
    prepared: Prepared,
    cloud: Cloud,
    follower: Follower,
    writer: Writer,
    desk: Desk,
    /// How long one act may take: many times what it should.
    patience: Duration,
}

/// The token of the simulated cloud: nobody else's.
const TOKEN: &str = "drill-token-of-the-simulated-cloud";
/// How long Elasticsearch waits for a node that left before it copies its shards elsewhere, unless an index says otherwise.
const DELAYED: Span = Span::minutes(1);
/// How long a whole act may take before it is divided: more than a replacement's deadline, at any speed.
const ACT_MAX: Span = Span::minutes(100);
/// And at least: processes take their own time.
const ACT_MIN: Duration = Duration::from_secs(180);

pub async fn play(stage: &mut Stage, options: &Options) -> anyhow::Result<Report> {
    let speed = options.speed();
    say(&format!(
        "starting Alertmanager, a simulated DigitalOcean with {} search nodes ({}), and Regreen",
        set::NODES,
        options.search.word()
    ));
    let alertmanager = stage.alertmanager()?;
    let cloud = Cloud::start(stage, &alertmanager, options.search, TOKEN).await?;
    let droplets = cloud.droplets().await?;
    let prepared = set::prepare(speed)?;
    let desk = Desk::open().await?;
    stage.write_set(&prepared.files)?;
    configure(stage, &cloud, &desk)?;
    let delayed = Span(DELAYED.0 / i64::from(speed.get()));
    let writer =
        Writer::start(droplets.into_iter().map(|droplet| droplet.address).collect(), delayed).await?;
    start_up(stage)?;
    let bus = stage.well(set::CHECKS).await?;
    say(&format!(
        "waits are divided by {speed}, cooldowns and budgets by {}; seconds are as measured, objectives divided likewise",
        prepared.lens.memory
    ));
    let follower = Follower::start(&bus).await?;
    let patience = (ACT_MAX.to_std() / speed.get()).max(ACT_MIN);
    let mut play = Play { stage, prepared, cloud, follower, writer, desk, patience };
    let acts = play.acts().await?;
    play.report(acts, options).await
}

/// Regreen as it is run there: in its own process, from the vantages that the checks name.
fn start_up(stage: &mut Stage) -> anyhow::Result<()> {
    let config = stage.dir.join("config.yaml").display().to_string();
    let mut more = vec!["--config", config.as_str()];
    more.extend(set::VANTAGES.iter().flat_map(|vantage| ["--vantage", vantage]));
    stage.up(&more)
}

/// Where the provider is, and who is told: addresses and secrets, no policy.
fn configure(stage: &Stage, cloud: &Cloud, desk: &Desk) -> anyhow::Result<()> {
    let secret = |name: &str, value: &str| -> anyhow::Result<serde_json::Value> {
        let file = stage.dir.join(name);
        fs::write(&file, value).with_context(|| format!("{} can't be written", file.display()))?;
        Ok(json!({"file": file}))
    };
    let config = json!({
        "apiVersion": "regreen/v1",
        "config": "drill",
        "secrets": {
            "digitalocean": secret("digitalocean.token", TOKEN)?,
            "slack": secret("slack.token", "xoxb-drill")?,
            "pd-key": secret("pagerduty.key", "drill")?,
        },
        "providers": {
            "digitalocean": {"url": cloud.api, "token": {"secret": "digitalocean"}},
            "elasticsearch": {},
        },
        "slack": {"url": format!("{}/api", desk.url)},
        "pagerduty": {"url": desk.url},
    });
    Ok(fs::write(stage.dir.join("config.yaml"), config.to_string())?)
}

impl Play<'_> {
    /// Counts documents, holds the logs against each other, and says it all.
    async fn report(&mut self, mut acts: Vec<acts::Played>, options: &Options) -> anyhow::Result<Report> {
        say("\nlooking for every document that was acknowledged");
        let (tally, lost) = self.writer.finish().await?;
        let acknowledged = self.writer.acknowledged();
        for played in &mut acts {
            let timeline = &played.act.timeline;
            let own = |at| at >= timeline.broke && at <= played.over;
            let count = acknowledged.iter().filter(|(number, at)| own(*at) && lost.contains(number)).count();
            let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            let limit = f64::from(self.prepared.rpo);
            played.act.objectives.push(Objective::at_most(Aim::Rpo, limit, Some(count), "drill-node-lost"));
            played.act.gaps = canary::gaps(&acknowledged, timeline.broke, timeline.ended, canary::GAP_MIN);
        }
        let mut disagreements: Vec<String> =
            acts.iter().flat_map(|played| played.disagreements.clone()).collect();
        if tally.lost > 0 && f64::from(self.prepared.rpo) < tally.lost as f64 {
            disagreements
                .push(format!("documents {:?} were acknowledged and are not there", tally.lost_numbers));
        }
        if let Some(names) = self.cloud.excluded().await? {
            disagreements.push(format!("the cluster still keeps shards away from {names}"));
        }
        let lines = self.cloud.effects()?;
        let effects = lines.iter().filter(|line| !self.cloud.is_own(line)).count();
        let counted: usize = acts.iter().map(|played| played.effects).sum();
        if effects != counted {
            disagreements.push(format!(
                "{effects} effects in all, {counted} of them in acts: something was done between"
            ));
        }
        let effect = |line: &cloud::Line| Effect {
            at: line.at,
            what: line.what.clone(),
            on: format!("{} ({})", line.name, line.droplet),
            by: (!self.cloud.is_own(line)).then(|| acts::by(&acts, line)),
        };
        let effect_log = lines.iter().map(effect).collect();
        let began = acts.first().map_or_else(clock::wall, |played| played.act.timeline.broke);
        let acts: Vec<Act> = acts.into_iter().map(|played| played.act).collect();
        let agrees = disagreements.is_empty();
        Ok(Report {
            drill: "elasticsearch-node-lost",
            version: env!("CARGO_PKG_VERSION"),
            began,
            ended: clock::wall(),
            met: agrees && acts.iter().all(Act::is_well),
            agrees,
            disagreements,
            effects,
            effect_log,
            acts,
            notes: notes(&self.prepared),
            speed: Some(Speed {
                waits: self.prepared.lens.waits.get(),
                memory: self.prepared.lens.memory.get(),
            }),
            search: Some(options.search.word()),
            canary: Some(tally),
            hello: None,
        })
    }
}

/// How a drill is not production.
fn notes(prepared: &Prepared) -> Vec<String> {
    let waits = prepared.lens.waits;
    vec![
        format!(
            "playbooks, checks and policy are the shipped ones; every duration in them is divided by {waits}, cooldowns and windows of budgets by {}, none below its least (an interval 200 ms, a look's timeout 1 s, freshness 3 s, a call's timeout 10 s, a verify 2 s, a deadline 2 m)",
            prepared.lens.memory
        ),
        format!(
            "the recovery objective is that of drill-node-lost, {}, divided by {waits} as well: {}",
            prepared.rto_shipped, prepared.rto
        ),
        format!(
            "the canary's index waits {DELAYED} for a node that left, as any index does, divided by {waits} as well"
        ),
        "the vantages fra, ams and par are three probes of this machine: they see the same".to_owned(),
        "Slack and PagerDuty are doubles on loopback".to_owned(),
        "the simulated cloud complains to a real Alertmanager without Prometheus's half a minute".to_owned(),
    ]
}
