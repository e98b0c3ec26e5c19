use regreen_schemas::{Timestamp, run::RunResult};

use super::*;
use crate::drill::{
    canary::{Gap, Tally},
    report::{Aim, Speed},
    timeline::{Bar, Seconds, Timeline},
};

const fn at(millis: i64) -> Timestamp {
    Timestamp(1_795_175_123_000 + millis)
}

fn bar(phase: Phase, from: i64, to: i64, label: &str, well: bool) -> Bar {
    Bar { phase, from: at(from), to: at(to), label: label.into(), well }
}

/// A drill in which every text from outside tries to be code.
fn hostile() -> Report {
    let evil = r#"</title><script>alert(1)</script>" onload="x' {{drill}} &amp;"#;
    let timeline = Timeline {
        broke: at(0),
        ended: at(9500),
        run: Some("udn54g4hzoba3iz4".into()),
        result: Some(RunResult::Repaired),
        seconds: Some(Seconds { detect: 1.0, decide: 0.5, act: 2.0, verify: 6.0, rto: Some(9.5) }),
        bars: vec![
            bar(Phase::Detect, 0, 1000, "until an alert is stored", true),
            bar(Phase::Decide, 1000, 1500, "until the first command", true),
            bar(Phase::Act, 1500, 3500, &format!("reboot: {evil}"), true),
            bar(Phase::Verify, 3500, 5500, evil, false),
            bar(Phase::Verify, 5500, 9500, "closing: es-cluster/es-a", true),
        ],
        marks: vec![Mark { at: at(1500), word: "dispatch", text: evil.into() }],
    };
    let act = Act {
        name: "one",
        title: "a node dies",
        expected: "a reboot brings it back",
        wrong: vec![evil.into()],
        objectives: vec![
            Objective::at_most(Aim::Rto, 30.0, Some(9.5), "10m of the playbook, by 20"),
            Objective::at_most(Aim::Rpo, 0.0, None, evil),
        ],
        notes: vec![evil.into()],
        timeline,
        gaps: vec![Gap { from: at(100), to: at(2100) }],
    };
    let effect = |what: &str, millis, by: Option<&str>| Effect {
        at: at(millis),
        what: what.into(),
        on: format!("a2 {evil}"),
        by: by.map(str::to_owned),
    };
    Report {
        drill: "elasticsearch-node-lost",
        version: "0.1.0",
        began: at(0),
        ended: at(9500),
        met: false,
        agrees: false,
        disagreements: vec![evil.into()],
        effects: 1,
        effect_log: vec![effect("kill", 0, None), effect("reboot", 2000, Some(evil))],
        acts: vec![act],
        notes: vec![evil.into()],
        speed: Some(Speed { waits: 20, memory: 240 }),
        search: Some("stand-in"),
        canary: Some(Tally {
            tried: 200,
            acknowledged: 180,
            lost: 1,
            lost_numbers: vec![7],
            longest_gap: 2.0,
        }),
        hello: None,
    }
}

#[test]
fn the_page_as_it_is() {
    insta::assert_snapshot!(page(&hostile()).expect("it is made"));
}

#[test]
fn no_text_from_outside_becomes_code_and_nothing_is_loaded() {
    let page = page(&hostile()).expect("it is made");
    assert!(!page.contains("<script") && !page.contains("onload=\"x"), "a text became code");
    assert!(page.contains("&lt;script&gt;") && page.contains("{{drill}}"), "it is shown as it is");
    for outside in ["src=", "href=", "http:", "https:", "url(", "@import"] {
        assert!(!page.contains(outside), "the page asks for something: {outside}");
    }
}

#[test]
fn bars_lie_within_the_drawing_in_the_order_of_their_times() {
    let report = hostile();
    let drawing = serde_json::to_value(draw::drawing(&report.acts[0], &[])).expect("numbers");
    let bars = drawing["bars"].as_array().expect("bars");
    let ends: Vec<(f64, f64)> = bars
        .iter()
        .map(|bar| {
            let (x, width) = (bar["x"].as_f64().expect("x"), bar["width"].as_f64().expect("width"));
            (x, x + width)
        })
        .collect();
    assert!(ends.iter().all(|(x, end)| *x >= 76.0 && *end <= 984.5), "{ends:?}");
    assert!(ends.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 0.2), "{ends:?}");
}
