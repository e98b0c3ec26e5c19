//! What is shipped for watching Regreen itself: every rule fires and stays silent where it should, every alert names a
//! remedy that exists, and every metric that rules and dashboard name is one that a service really exports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use regreen_testkit::{tools, wait_for};
use regreen_tests::{Fleet, PARTS, TOKEN, alert, payload};
use serde::Deserialize;
use serde_json::{Value, json};

/// How wide a dashboard of Grafana is.
const COLUMNS: u64 = 24;

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    input_series: Vec<Series>,
    promql_expr_test: Vec<Asked>,
}

#[derive(Deserialize)]
struct Series {
    series: String,
}

#[derive(Deserialize)]
struct Asked {
    exp_samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    labels: String,
}

impl Case {
    fn fires(&self, alert: &str) -> bool {
        let named = format!("alertname=\"{alert}\"");
        self.promql_expr_test
            .iter()
            .flat_map(|asked| &asked.exp_samples)
            .any(|one| one.labels.contains(&named))
    }

    fn feeds(&self, metric: &str) -> bool {
        self.input_series.iter().any(|one| one.series.split('{').next() == Some(metric))
    }
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(root(path)).expect("a file of the project")
}

fn rules() -> Vec<Rule> {
    let rules: Rules =
        serde_saphyr::from_str(&text("deploy/prometheus/regreen.rules.yml")).expect("rules of Prometheus");
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// The dashboard's panels, each with its expressions in the form that Grafana would send.
fn panels() -> Vec<(Value, Vec<String>)> {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/regreen.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").clone();
    let sent = |expr: &Value| {
        expr.as_str().expect("an expression").replace("$__rate_interval", "5m").replace("$domain", ".*")
    };
    let exprs = |panel: &Value| {
        panel["targets"].as_array().into_iter().flatten().map(|target| sent(&target["expr"])).collect()
    };
    panels.into_iter().map(|panel| (panel.clone(), exprs(&panel))).collect()
}

/// Every selector of a metric of ours, with what stands in its braces.
fn selectors(expr: &str) -> Vec<(&str, &str)> {
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in expr.match_indices("regreen_") {
        let rest = &expr[at..];
        let (name, rest) = rest.split_at(rest.find(|c| !named(c)).unwrap_or(rest.len()));
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        found.push((name, inside.map_or("", |(inside, _)| inside)));
    }
    found
}

/// Labels that must have one of these values: `kind="a"`, and each word of `kind=~"a|b"`.
fn wanted(inside: &str) -> Vec<(&str, &str)> {
    let plain = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let parts = inside.split(',').filter(|part| !part.contains('!'));
    let pairs = parts.filter_map(|part| part.split_once("=~").or_else(|| part.split_once('=')));
    pairs
        .flat_map(|(label, values)| values.trim_matches('"').split('|').map(move |value| (label, value)))
        .filter(|(_, value)| plain(value))
        .collect()
}

fn promtool(arguments: &[&str], path: &Path) {
    let output =
        Command::new(tools::find(&["promtool"])).args(arguments).arg(path).output().expect("it starts");
    let said = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).join("\n");
    assert!(output.status.success(), "{}: {said}", path.display());
}

#[test]
fn the_rules_are_rules_and_fire_as_their_tests_say() {
    promtool(&["check", "rules"], &root("deploy/prometheus/regreen.rules.yml"));
    promtool(&["test", "rules"], &root("deploy/prometheus/regreen.rules.test.yml"));
}

#[test]
fn every_alert_fires_in_a_test_and_is_silent_in_one_that_feeds_it() {
    let tests: Tests =
        serde_saphyr::from_str(&text("deploy/prometheus/regreen.rules.test.yml")).expect("tests of promtool");
    let rules = rules();
    let records: BTreeMap<&str, &str> =
        rules.iter().filter_map(|rule| Some((rule.record.as_deref()?, &*rule.expr))).collect();
    for rule in &rules {
        let Some(alert) = &rule.alert else { continue };
        // A recorded series stands for what it is made of.
        let mut expr = rule.expr.clone();
        for (name, made_of) in &records {
            expr = expr.replace(name, made_of);
        }
        let metrics: BTreeSet<&str> = selectors(&expr).into_iter().map(|(name, _)| name).collect();
        assert!(!metrics.is_empty(), "{alert} asks for no metric of ours");
        assert!(tests.tests.iter().any(|case| case.fires(alert)), "no test in which {alert} fires");
        let silent = |case: &&Case| !case.fires(alert) && metrics.iter().all(|metric| case.feeds(metric));
        let found = tests.tests.iter().find(silent);
        assert!(found.is_some(), "no test that feeds {metrics:?} and in which {alert} stays silent");
    }
    let names: BTreeSet<&str> = tests.tests.iter().map(|case| &*case.name).collect();
    assert_eq!(names.len(), tests.tests.len(), "tests have names of their own");
}

#[test]
fn every_alert_says_how_grave_it_is_and_what_to_do() {
    let runbook = text("docs/runbook.md");
    let mut commands = BTreeSet::new();
    for rule in rules() {
        let Some(alert) = rule.alert else { continue };
        let said = |key: &str| rule.annotations.get(key).cloned().unwrap_or_default();
        let severity = rule.labels.get("severity").map_or("", String::as_str);
        assert!(["critical", "warning"].contains(&severity), "{alert} is {severity:?}");
        assert!(!said("summary").is_empty(), "{alert} has no summary");
        let remedies = said("description");
        let named: Vec<_> =
            remedies.split("`regreen ").skip(1).filter_map(|rest| rest.split([' ', '`']).next()).collect();
        assert!(!named.is_empty(), "{alert} names no command: {remedies}");
        commands.extend(named.into_iter().map(str::to_owned));
        assert_eq!(said("runbook"), format!("docs/runbook.md#{}", alert.to_lowercase()));
        assert!(runbook.contains(&format!("\n## {alert}\n")), "docs/runbook.md has no section {alert}");
    }
    for command in commands {
        let asked =
            Command::new(regreen_tests::regreen()).args([&*command, "--help"]).output().expect("it starts");
        assert!(asked.status.success(), "there is no `regreen {command}`");
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_and_prometheus_can_read() {
    let panels = panels();
    let mut seen = BTreeSet::new();
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (panel, exprs) in &panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(seen.insert(panel["id"].as_u64().expect("an id")), "{title} has the id of another");
        let grid = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        assert!(grid("x") + grid("w") <= COLUMNS, "{title} is too wide");
        assert_eq!(panel["type"] == "row", exprs.is_empty(), "{title} shows nothing, or is no row");
        for expr in exprs {
            let expr = Value::from(expr.as_str());
            rules.push_str(&format!("      - {{record: 'dashboard:panel_{}', expr: {expr}}}\n", panel["id"]));
        }
    }
    let rows: Vec<_> =
        panels.iter().filter(|(panel, _)| panel["type"] == "row").map(|(row, _)| &row["title"]).collect();
    assert_eq!(rows, ["At a glance", "Intake", "Decide", "Act", "Verify", "People", "Regreen itself"]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("dashboard.rules.yml");
    fs::write(&file, rules).expect("writable");
    promtool(&["check", "rules", "--lint=none"], &file);
}

#[tokio::test]
async fn rules_and_dashboard_name_metrics_that_services_really_export() {
    let mut asked: Vec<String> = panels().into_iter().flat_map(|(_, exprs)| exprs).collect();
    asked.extend(rules().into_iter().map(|rule| rule.expr));
    assert!(asked.iter().map(|expr| selectors(expr).len()).sum::<usize>() > 50, "they name metrics");

    let mut fleet = Fleet::new(|text| text).await;
    fleet.start_all().await;
    wait_for("every metric and label that is asked for", Duration::from_secs(60), async || {
        let served = scrape(&fleet, &PARTS).await?;
        let lacks: BTreeSet<String> = asked.iter().flat_map(|expr| lacking(expr, &served)).collect();
        if lacks.is_empty() { Ok(()) } else { Err(format!("{lacks:?}")) }
    })
    .await;

    // And they say what is so. What can't be read goes to DEAD, and is counted within half a minute.
    let (active, standby) = fleet.engines().await;
    says(&fleet, active, "regreen_engine_phase{phase=\"live\"} 1").await;
    says(&fleet, standby, "regreen_engine_phase{phase=\"standby\"} 1").await;
    says(&fleet, active, "regreen_vantage_heard{vantage=\"main\"} 1").await;
    says(&fleet, active, "regreen_dead_letters{} 0").await;
    let half = payload(&[json!({"status": "firing"}), alert("two")]).to_string();
    assert_eq!(fleet.world.post(half, TOKEN).await, 200);
    says(&fleet, "ingest", "regreen_alerts_refused_total{reason=\"bad_alert\"} 1").await;
    says(&fleet, active, "regreen_dead_letters{} 1").await;
    fleet.kill("probe");
    says(&fleet, active, "regreen_vantage_heard{vantage=\"main\"} 0").await;
    assert!(fleet.world.cli(&["stop", "--reason", "a story"]).status.success());
    says(&fleet, active, "regreen_engine_stopped 1").await;
    says(&fleet, standby, "regreen_engine_stopped 1").await;
    // Fault 31: FACTS made anew.
    let bus = fleet.admin().await;
    let mut facts = bus.nats().js.get_stream(bus.names.facts()).await.expect("FACTS");
    let config = facts.info().await.expect("its settings").config.clone();
    bus.nats().js.delete_stream(bus.names.facts()).await.expect("deleted");
    bus.nats().js.create_stream(config).await.expect("made anew");
    says(&fleet, active, "regreen_engine_phase{phase=\"frozen\"} 1").await;
    says(&fleet, active, "regreen_engine_phase{phase=\"live\"} 0").await;
}

/// What these services say at `/metrics`, one after the other.
async fn scrape(fleet: &Fleet, parts: &[&str]) -> Result<String, String> {
    let mut served = String::new();
    for part in parts {
        let answer = reqwest::get(format!("{}/metrics", fleet.url(part))).await;
        let text = answer.map_err(|error| error.to_string())?.text().await;
        served += &text.map_err(|error| error.to_string())?;
    }
    Ok(served)
}

/// Waits until a service serves this line.
async fn says(fleet: &Fleet, part: &str, line: &str) {
    wait_for(&format!("{line} of {part}"), Duration::from_secs(60), async || {
        let served = scrape(fleet, &[part]).await?;
        if served.lines().any(|served| served == line) { Ok(()) } else { Err(served) }
    })
    .await;
}

/// What an expression asks for and no service serves: a metric, or a value of one of its labels.
fn lacking(expr: &str, served: &str) -> Vec<String> {
    let mut lacks = Vec::new();
    for (name, inside) in selectors(expr) {
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let samples: Vec<&str> = served.lines().filter(is_it).collect();
        if samples.is_empty() {
            lacks.push(name.to_owned());
            continue;
        }
        for (label, value) in wanted(inside) {
            let pair = format!("{label}=\"{value}\"");
            if !samples.iter().any(|line| line.contains(&pair)) {
                lacks.push(format!("{name}{{{pair}}}"));
            }
        }
    }
    lacks
}
