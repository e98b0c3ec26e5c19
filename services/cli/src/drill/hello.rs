//! The drill `hello`: a small service breaks three times. The first repair works, the second is held back, and in the third
//! the runner is killed between its ticket and its result.

use std::{fs, path::Path};

use anyhow::Context as _;
use regreen_bus::Bus;
use regreen_schemas::{RunId, Span, Timestamp, run::RunResult};
use serde_json::Value;

use super::{
    PART_MAX,
    follow::Follower,
    report::{Act, Effect, Hello, Report},
    say,
    seen::Seen,
    stage::{Stage, kill_child, wait_for_file},
    timeline,
};
use crate::{programs, up::child_command};

const PLAYBOOK: &str = include_str!("../../../../playbooks/hello/hello.yaml");
const CHECKS: &str = include_str!("../../../../playbooks/hello/checks.yaml");
/// The playbook's name.
const NAME: &str = "hello-restart";
/// The service that is broken, and the one that must stay well.
const SERVICES: [&str; 2] = ["one", "two"];
/// How far the effect log and the log of decisions may be apart.
const TOLERANCE: Span = Span(500);

pub async fn play(stage: &mut Stage) -> anyhow::Result<Report> {
    let effects = stage.dir.join("effects.jsonl");
    let (bus, addresses) = prepare(stage, &effects).await?;
    let http = reqwest::Client::new();
    let tell = async |service: &str, what: &str| {
        let url = format!("http://{}/{what}", addresses[service].as_str().context("an address")?);
        http.post(url).send().await?.error_for_status()?;
        anyhow::Ok(())
    };
    let mut follower = Follower::start(&bus).await?;

    say("\nact one: service `one` breaks; nobody but Regreen is there to help");
    tell(SERVICES[0], "break").await?;
    let mut one = Seen::default();
    follower.until(&mut one, PART_MAX, ended).await.context("act one")?;
    follower.until(&mut one, PART_MAX, Seen::resolved).await.context("the alert did not resolve")?;

    say("\nact two: it breaks again at once; the guard must hold a second restart back");
    tell(SERVICES[0], "break").await?;
    let mut two = Seen::default();
    follower.until(&mut two, PART_MAX, |seen| seen.blocked().is_some()).await.context("act two")?;
    say("  somebody mends `one` by hand");
    tell(SERVICES[0], "mend").await?;
    follower.until(&mut two, PART_MAX, Seen::resolved).await.context("the second alert did not resolve")?;

    say("\nact three: service `two` breaks, and the runner is killed between its ticket and its result");
    tell(SERVICES[1], "mute").await?;
    tell(SERVICES[1], "break").await?;
    let mut three = Seen::default();
    let dispatched = |seen: &Seen| seen.attempts().next().is_some();
    follower.until(&mut three, PART_MAX, dispatched).await.context("act three")?;
    // The effect is there before anybody can tell of it.
    let repaired = |text: &str| text.lines().filter(|line| line.contains("\"what\":\"repair\"")).count() > 1;
    wait_for_file(&effects, PART_MAX, repaired).await.context("the runner did not act")?;
    kill_child(stage.id("up")?, "runner-process")?;
    say("  the runner is killed: it has acted, and told nobody");
    follower.until(&mut three, PART_MAX, ended).await.context("act three")?;
    let mut acts = [one, two, three];
    for seen in &mut acts {
        follower.look_up(seen).await?;
    }
    report(&effects, &acts)
}

fn ended(seen: &Seen) -> bool {
    seen.end_of(NAME).is_some()
}

/// Starts Alertmanager, the simulated cloud and `regreen up`, and waits until all is well.
async fn prepare(stage: &mut Stage, effects: &Path) -> anyhow::Result<(Bus, Value)> {
    say("starting Alertmanager, two services, and Regreen");
    let alertmanager = stage.alertmanager()?;
    let mut command = child_command()?;
    command.arg(programs::find(&["regreen-simcloud"], "run `make build`")?).arg("services").args(SERVICES);
    command.arg("--effects").arg(effects).arg("--alertmanager").arg(alertmanager);
    let addresses = stage.start_told("simcloud", &mut command, PART_MAX).await?;
    let node = |name: &&str| {
        format!("      {name}: {{address: \"{}\"}}\n", addresses[*name].as_str().unwrap_or_default())
    };
    let nodes: String = SERVICES.iter().map(node).collect();
    let inventory = format!(
        "apiVersion: regreen/v1\ninventory: hello\ngroups:\n  hello:\n    health: hello\n    nodes:\n{nodes}"
    );
    stage.write_set(&[
        ("hello.yaml", PLAYBOOK.to_owned()),
        ("checks.yaml", CHECKS.to_owned()),
        ("inventory.yaml", inventory),
    ])?;
    stage.up(&[])?;
    Ok((stage.well(SERVICES.len()).await?, addresses))
}

fn report(effects: &Path, [one, two, three]: &[Seen; 3]) -> anyhow::Result<Report> {
    let log = read(effects)?;
    let of = |what: &str| log.iter().filter(|effect| effect.what == what).collect::<Vec<_>>();
    let (breaks, repairs) = (of("break"), of("repair"));
    let broke =
        |n: usize| breaks.get(n).map(|effect| effect.at).with_context(|| format!("break {n} is missing"));
    let acts = [
        act("one", "a service dies", "restarted, and proven", broke(0)?, one),
        act("two", "it dies again at once", "the cooldown holds a second restart back", broke(1)?, two),
        act(
            "three",
            "the other dies, and the runner with it",
            "the outcome is looked up, not repeated",
            broke(2)?,
            three,
        ),
    ];
    let end = one.end_of(NAME).context("act one has no end")?;
    let wrong = disagreements(&repairs, breaks.len(), [one, two, three]);
    let seconds = acts[0].timeline.seconds.context("act one has no end")?;
    Ok(Report {
        drill: "hello",
        version: env!("CARGO_PKG_VERSION"),
        began: acts[0].timeline.broke,
        ended: acts[2].timeline.ended,
        met: wrong.is_empty(),
        agrees: wrong.is_empty(),
        effects: repairs.len(),
        disagreements: wrong,
        hello: Some(Hello {
            run: end.run,
            result: end.result,
            seconds,
            held_back_by: two.blocked().context("act two was not held back")?,
            looked_up: three.looks() == 2,
        }),
        acts: acts.into(),
        effect_log: log,
        notes: Vec::new(),
        speed: None,
        search: None,
        canary: None,
    })
}

fn act(
    name: &'static str,
    title: &'static str,
    expected: &'static str,
    broke: Timestamp,
    seen: &Seen,
) -> Act {
    let timeline = timeline::of(broke, NAME, seen);
    Act {
        name,
        title,
        expected,
        wrong: Vec::new(),
        objectives: Vec::new(),
        notes: Vec::new(),
        timeline,
        gaps: Vec::new(),
    }
}

fn read(effects: &Path) -> anyhow::Result<Vec<Effect>> {
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line)?;
        let word = |key: &str| value[key].as_str().map(str::to_owned);
        anyhow::Ok(Effect {
            at: Timestamp(value["at"].as_i64().context("a line of the effect log has no time")?),
            what: word("what").context("a line of the effect log says nothing")?,
            on: word("service").unwrap_or_default(),
            by: word("by"),
        })
    };
    fs::read_to_string(effects)?.lines().map(line).collect()
}

/// The effect log against the log of decisions, and what else must have come.
fn disagreements(repairs: &[&Effect], breaks: usize, [one, two, three]: [&Seen; 3]) -> Vec<String> {
    let mut wrong = Vec::new();
    let done: Vec<&str> = repairs.iter().filter_map(|effect| effect.by.as_deref()).collect();
    let decided: Vec<&str> =
        [one, two, three].into_iter().flat_map(Seen::succeeded).map(RunId::as_str).collect();
    if done != decided {
        wrong.push(format!("effects by {done:?}, decided by {decided:?}"));
    }
    if breaks != 3 {
        wrong.push(format!("{breaks} breaks instead of 3"));
    }
    let results = [one, three].map(|seen| seen.end_of(NAME).map(|end| end.result));
    if results != [Some(RunResult::Repaired); 2] {
        wrong.push(format!("acts one and three ended {results:?}"));
    }
    if three.looks() != 2 {
        wrong.push(format!("act three: {} looks instead of 2", three.looks()));
    }
    let dispatched = one.attempts().next().map(|(_, at, _)| at);
    let answered = one.noted.iter().find(|noted| {
        matches!(
            &noted.event,
            regreen_schemas::event::Event::Run {
                what: regreen_schemas::event::RunEvent::StepSucceeded { .. },
                ..
            }
        )
    });
    if let (Some(repair), Some(dispatched), Some(answered)) = (repairs.first(), dispatched, answered) {
        let answered = one.stored(answered);
        if repair.at + TOLERANCE < dispatched || repair.at > answered + TOLERANCE {
            wrong.push(format!(
                "the effect at {} is not between dispatch {dispatched} and result {answered}",
                repair.at
            ));
        }
    }
    wrong
}
