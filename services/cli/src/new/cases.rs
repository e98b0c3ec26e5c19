//! The text of the test: it repairs; it does not act without a reason; when it does not help, somebody is told. Together
//! the cases go through every branch.

use super::{
    Target, Trigger,
    plan::{Group, Plan},
};

/// The whole file.
pub fn text(plan: &Plan) -> String {
    let cases = match &plan.group {
        Some(group) if plan.target != Target::None => repair(plan, group),
        group => vec![tells(plan, group.as_ref())],
    };
    format!("apiVersion: regreen/v1\ntests: {}\ncases:\n{}", plan.name, cases.join("\n"))
}

/// What is written of a case.
struct Case<'a> {
    name: &'a str,
    timeline: Vec<String>,
    /// How the repair goes; none: there must be none.
    repaired: Option<String>,
    result: &'a str,
    decisions: &'a [&'a str],
    told: usize,
}

fn repair(plan: &Plan, group: &Group) -> Vec<String> {
    let down = || began(plan, group);
    let follows = usize::from(plan.asks());
    let comes_back = || moment(15, &verdicts(group, &[(0, "up")]));
    let works = Case {
        name: "it is down, is repaired, and comes back",
        timeline: [down(), vec!["      # It answers again.\n".to_owned() + &comes_back()]].concat(),
        repaired: Some(step(plan, group)),
        result: "repaired",
        decisions: &[],
        told: follows,
    };
    let stays = Case {
        name: "it stays down, and somebody is told",
        timeline: down(),
        repaired: Some(step(plan, group)),
        result: "failed",
        decisions: &[],
        told: follows + 1,
    };
    let mut cases = vec![works, without_reason(plan, group), stays];
    if plan.target == Target::Group {
        let last = group.nodes.len() - 1;
        cases.push(Case {
            name: "meanwhile another one falls, and somebody is told",
            timeline: [down(), vec![comes_back(), moment(falls(plan), &verdicts(group, &[(last, "down")]))]]
                .concat(),
            repaired: Some(step(plan, group)),
            result: "failed",
            decisions: if plan.trigger == Trigger::Verdict { &["started", "joined"] } else { &[] },
            told: follows + 1,
        });
    }
    cases.iter().map(|case| written(plan, case)).collect()
}

/// How it begins: one node is down, and that starts it.
fn began(plan: &Plan, group: &Group) -> Vec<String> {
    let mut seen: Vec<(usize, &str)> = (1..group.nodes.len()).map(|nth| (nth, "up")).collect();
    seen.insert(0, (0, "down"));
    let mut moments = vec![moment(0, &verdicts(group, &seen))];
    moments.extend(start(plan, group));
    if plan.asks() {
        moments.push(moment(begins(plan), "approve:\n  step: guard\n"));
    }
    moments
}

/// What starts it, beside verdicts.
fn start(plan: &Plan, group: &Group) -> Option<String> {
    let on_node = plan.target == Target::Node;
    match plan.trigger {
        Trigger::Alert => {
            let (label, value) =
                if on_node { ("instance", &group.nodes[0].instance) } else { ("job", &group.name) };
            let labels = format!("firing:\n  alertname: {}\n  {label}: \"{value}\"\n", plan.alert());
            Some(moment(5, &labels))
        }
        Trigger::Manual => {
            let target = if on_node { &group.nodes[0].name } else { &group.name };
            Some(moment(5, &format!("start:\n  target: {target}\n")))
        }
        Trigger::Verdict => None,
    }
}

/// Nothing is done without a reason.
fn without_reason<'a>(plan: &Plan, group: &Group) -> Case<'a> {
    let well: Vec<(usize, &str)> = (0..group.nodes.len()).map(|nth| (nth, "up")).collect();
    let well = moment(0, &verdicts(group, &well));
    let case =
        Case { name: "", timeline: vec![well], repaired: None, result: "none", decisions: &[], told: 0 };
    let started = |case: Case<'a>| Case {
        timeline: case.timeline.into_iter().chain(start(plan, group)).collect(),
        ..case
    };
    match (plan.trigger, plan.target) {
        (Trigger::Alert, _) => Case {
            name: "an alert about what is up starts nothing",
            decisions: &["skipped: when_false"],
            ..started(case)
        },
        (Trigger::Manual, Target::Group) => Case {
            name: "nothing is down, so nothing is done",
            result: "failed",
            told: 1 + usize::from(plan.asks()),
            ..started(case)
        },
        (Trigger::Manual, _) => Case {
            name: "Regreen is stopped, so nobody starts it",
            timeline: [
                vec![moment(0, "stop: true\n")],
                case.timeline,
                start(plan, group).into_iter().collect(),
            ]
            .concat(),
            decisions: &["blocked: stopped"],
            ..case
        },
        (Trigger::Verdict, _) => Case {
            name: "it is down for a moment only, and nothing starts",
            timeline: [
                case.timeline,
                vec![moment(5, &verdicts(group, &[(0, "down")])), moment(9, &verdicts(group, &[(0, "up")]))],
            ]
            .concat(),
            ..case
        },
    }
}

/// The step as paths name it.
fn step(plan: &Plan, group: &Group) -> String {
    match plan.target {
        Target::Group => format!("each[{}].repair", group.nodes[0].name),
        _ => "repair".to_owned(),
    }
}

/// When the repair begins: where somebody is asked, with the yes.
fn begins(plan: &Plan) -> u32 {
    let starts = if plan.trigger == Trigger::Verdict { 10 } else { 5 };
    starts + if plan.asks() { 3 } else { 0 }
}

/// When another one falls: while the closing verify looks. What a verdict started goes there at once when that is over.
fn falls(plan: &Plan) -> u32 {
    if plan.trigger == Trigger::Verdict { 18 } else { 22 }
}

fn tells(plan: &Plan, group: Option<&Group>) -> String {
    let timeline = match (plan.trigger, group) {
        (Trigger::Verdict, Some(group)) => vec![moment(0, &verdicts(group, &[(0, "down")]))],
        (Trigger::Manual, _) => vec![moment(5, "start: {}\n")],
        _ => vec![moment(5, &format!("firing:\n  alertname: {}\n", plan.alert()))],
    };
    let case = Case {
        name: "people are told",
        timeline,
        repaired: Some("tell".to_owned()),
        result: "done",
        decisions: &[],
        told: 1,
    };
    written(plan, &case)
}

fn written(plan: &Plan, case: &Case<'_>) -> String {
    let mut out = format!("  - name: {}\n    timeline:\n{}", case.name, case.timeline.concat());
    let tells = plan.target == Target::None;
    if let Some(step) = case.repaired.as_ref().filter(|_| !tells) {
        out += &format!("    answers:\n      {step}:\n        - ok:\n            status: 200\n");
    }
    out += &format!("    expect:\n      result: {}\n", case.result);
    if !case.decisions.is_empty() {
        out += "      decisions:\n";
        out.extend(case.decisions.iter().map(|decision| format!("        - \"{decision}\"\n")));
    }
    if let Some(step) = &case.repaired {
        let action = if tells { "notify.send" } else { "http.request" };
        let at = begins(plan);
        out += &format!(
            "      actions:\n        - at: {at}s\n          step: {step}\n          use: {action}\n"
        );
    }
    if case.told > 0 {
        out += "      told:\n";
        out += &format!("        - {}\n", plan.receiver).repeat(case.told);
    }
    out
}

/// Something that happens, with its lines indented.
fn moment(at: u32, what: &str) -> String {
    let what: String = what.lines().map(|line| format!("        {line}\n")).collect();
    format!("      - at: {at}s\n{what}")
}

/// Verdicts of some of the nodes.
fn verdicts(group: &Group, seen: &[(usize, &str)]) -> String {
    let line =
        |(nth, status): &(usize, &str)| format!("  {}/{}: {status}\n", group.check, group.nodes[*nth].name);
    format!("verdicts:\n{}", seen.iter().map(line).collect::<String>())
}
