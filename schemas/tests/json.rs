//! schemas/json is generated from the types and must be equal to them. `make schemas` writes it anew.

use std::{fs, path::Path};

use regreen_schemas::{command, fact, record, story, ticket, view};
use schemars::{Schema, schema_for};

fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("fact.alerts", schema_for!(fact::Message<fact::Alerts>)),
        ("fact.looks", schema_for!(fact::Message<fact::Looks>)),
        ("fact.result", schema_for!(fact::Message<fact::Outcome>)),
        ("fact.serves", schema_for!(fact::Message<fact::Serves>)),
        ("fact.operator", schema_for!(fact::Message<fact::Operator>)),
        ("fact.set", schema_for!(fact::Message<fact::Set>)),
        ("fact.engine", schema_for!(fact::Message<fact::Engine>)),
        ("fact.event", schema_for!(fact::Message<fact::Event>)),
        ("decision", schema_for!(record::Record)),
        ("tick", schema_for!(record::Tick)),
        ("command", schema_for!(command::Command)),
        ("ticket", schema_for!(ticket::Ticket)),
        ("stop", schema_for!(ticket::Stop)),
        ("story", schema_for!(story::Story)),
        ("view.checks", schema_for!(view::Checks)),
        ("view.verdict", schema_for!(view::Verdict)),
        ("view.services", schema_for!(view::Services)),
    ]
}

#[test]
fn the_files_are_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
    let update = std::env::var_os("REGREEN_UPDATE").is_some();
    for (name, schema) in all() {
        let file = folder.join(format!("{name}.schema.json"));
        let wanted = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        if update {
            fs::write(&file, &wanted).expect("schemas/json is writable");
        }
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found == wanted,
            "{} is not what the types say: run `make schemas` and read the difference",
            file.display()
        );
    }
}

#[test]
fn what_is_written_fits_its_schema() {
    let tick = record::Tick {
        v: 1,
        epoch: 2,
        seq: 3,
        now: regreen_schemas::Timestamp(4),
        idle: false,
        resync: vec!["main".into()],
    };
    let schema = serde_json::to_value(schema_for!(record::Tick)).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&serde_json::to_value(&tick).expect("plain data")));
    assert!(!validator.is_valid(&serde_json::json!({"v": 1})));
}
