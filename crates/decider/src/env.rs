//! What expressions and templates see of the state: the target, what started it, earlier steps, verdicts.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::{
    Set,
    cel::Env,
    model::{Playbook, Step, StepKind},
    value::{Type, Value},
};
use regreen_schemas::{
    alert::Alert,
    check::Status,
    event::{Source, Target},
    mutation::{self, Mutation},
};
use serde_json::json;

use crate::{
    run::{How, Run},
    state::State,
};

/// Names and verdicts for one playbook at one moment.
#[derive(Clone)]
pub struct World<'a> {
    /// Where verdicts come from.
    pub state: &'a State,
    /// The set that the playbook stands in.
    pub set: &'a Set,
    /// The playbook.
    pub playbook: Option<&'a Playbook>,
    /// What it acts on.
    pub target: Option<&'a Target>,
    /// The group that served the target, a service, when it began; who serves it now, when there is no run yet.
    pub active: Option<Arc<str>>,
    /// The alert, or what is written like one.
    pub alert: Option<&'a Alert>,
    /// What that is.
    pub source: &'a Source,
    /// Its inputs.
    pub inputs: Option<&'a BTreeMap<Arc<str>, serde_json::Value>>,
    /// The run, once there is one.
    pub run: Option<&'a Run>,
    /// Paths before the ids of the steps that can be seen, the outermost first.
    pub scopes: Vec<String>,
    /// Items of the loops that it stands in.
    pub locals: Vec<(Arc<str>, Value)>,
}

impl<'a> World<'a> {
    /// The world of a playbook that has not begun.
    #[must_use]
    pub fn before(state: &'a State, set: &'a Set, playbook: &'a Playbook) -> Self {
        Self {
            state,
            set,
            playbook: Some(playbook),
            target: None,
            active: None,
            alert: None,
            source: &Source::Alert,
            inputs: None,
            run: None,
            scopes: Vec::new(),
            locals: Vec::new(),
        }
    }

    /// The world of a run, outside of all that stands within it.
    #[must_use]
    pub fn of(state: &'a State, set: &'a Set, run: &'a Run) -> Self {
        Self {
            state,
            set,
            playbook: set.playbooks.get(&run.playbook),
            target: run.target.as_ref(),
            active: run.active.clone(),
            alert: run.alert.as_ref(),
            source: &run.source,
            inputs: Some(&run.inputs),
            run: Some(run),
            scopes: vec![String::new()],
            locals: Vec::new(),
        }
    }

    fn quorum(&self) -> Option<u32> {
        self.playbook.and_then(|playbook| playbook.guard.quorum)
    }

    fn target(&self) -> Option<Value> {
        match self.target? {
            Target::Service { name } => {
                let active = self.active.clone().or_else(|| self.state.serving(self.set, name))?;
                self.set.inventory.service_value(name, &active)
            }
            target => self.set.inventory.value(target).cloned(),
        }
    }

    fn verdict_root(&self) -> Option<Value> {
        let (Source::Verdict { check, .. }, Some(alert)) = (self.source, self.alert) else { return None };
        let mut fields = vec![
            ("check", Value::str(check.as_str())),
            ("status", Value::str(self.verdict(check.as_str()).word())),
            ("since", Value::Time(alert.starts_at)),
        ];
        for name in ["node", "group", "service"] {
            fields.extend(alert.labels.get(name).map(|value| (name, Value::Str(value.clone()))));
        }
        Some(Value::map(fields))
    }

    fn event_root(&self) -> Option<Value> {
        let Source::Webhook(event) = self.source else { return None };
        let mut fields = vec![
            ("id", Value::Str(event.id.clone())),
            ("type", Value::Str(event.kind.clone())),
            ("source", Value::Str(event.source.clone())),
        ];
        fields.extend(Value::from_json(&event.data).map(|data| ("data", data)));
        Some(Value::map(fields))
    }

    fn inputs_root(&self) -> Option<Value> {
        let (playbook, given) = (self.playbook?, self.inputs?);
        let value = |(name, input): (&Arc<str>, &regreen_playbook::model::Input)| {
            let value = typed(self.state, self.set, &input.kind, given.get(name)?)?;
            Some((name.clone(), value))
        };
        Some(Value::map(playbook.inputs.iter().filter_map(value)))
    }

    /// Steps that are done, as far as they can be seen from here.
    fn steps_root(&self) -> Option<Value> {
        let mut out = BTreeMap::new();
        let steps = self.playbook.map(Playbook::all_steps).unwrap_or_default();
        // What never began was left out as well: `finally` must be able to ask for it.
        self.run?;
        out.extend(steps.iter().map(|step| (step.id.clone(), self.step(step, &How::Skipped))));
        for scope in &self.scopes {
            let below = self.run?.done.range(regreen_schemas::Instance::from(scope.as_str())..);
            let below = below.take_while(|(instance, _)| instance.as_str().starts_with(scope));
            for (instance, done) in below {
                let id = &instance.as_str()[scope.len()..];
                if let Some(step) = steps.iter().find(|step| *step.id == *id) {
                    out.insert(step.id.clone(), self.step(step, &done.how));
                }
            }
        }
        Some(Value::Map(Arc::new(out)))
    }

    fn step(&self, step: &Step, how: &How) -> Value {
        let mut fields = vec![
            ("ok", Value::Bool(matches!(how, How::Ok(_)))),
            ("failed", Value::Bool(matches!(how, How::Failed(..)))),
            ("skipped", Value::Bool(matches!(how, How::Skipped))),
        ];
        match how {
            How::Ok(result) => fields.extend(self.result(step, result).map(|result| ("result", result))),
            How::Failed(reason, _) => fields.push(("error", Value::Str(reason.clone()))),
            How::Skipped => {}
        }
        Value::map(fields)
    }

    /// What came from outside names an object only where the action declares one.
    fn result(&self, step: &Step, result: &serde_json::Value) -> Option<Value> {
        let StepKind::Use(action) = &step.kind else { return unpack(self.state, self.set, result) };
        let (Some(declared), Some(given)) = (&action.action.result, result.as_object()) else {
            return Value::from_json(result);
        };
        let object = |name: &str, value| match declared.get(name) {
            Some(kind @ Type::Object(_)) => typed(self.state, self.set, kind, value),
            _ => None,
        };
        Some(Value::map(given.iter().filter_map(|(name, value)| {
            Some((name.as_str(), object(name, value).or_else(|| Value::from_json(value))?))
        })))
    }
}

fn labels(labels: &regreen_schemas::alert::Labels) -> Value {
    Value::map(labels.iter().map(|(k, v)| (k.clone(), Value::Str(v.clone()))))
}

fn alert(alert: &Alert) -> Value {
    Value::map([
        ("labels", labels(&alert.labels)),
        ("annotations", labels(&alert.annotations)),
        ("starts_at", Value::Time(alert.starts_at)),
        ("fingerprint", Value::str(alert.fingerprint.as_str())),
    ])
}

/// Inputs as a playbook declares them, and what they name is in the inventory.
///
/// # Errors
/// Says which input is wrong, and how.
pub fn inputs(
    state: &State,
    set: &Set,
    playbook: &Playbook,
    given: &BTreeMap<Arc<str>, serde_json::Value>,
) -> Result<BTreeMap<Arc<str>, serde_json::Value>, String> {
    let inputs = playbook.typed_inputs(given)?;
    let unknown = playbook.inputs.iter().find_map(|(name, input)| {
        let value = inputs.get(name)?;
        typed(state, set, &input.kind, value)
            .is_none()
            .then(|| format!("input `{name}`: {value} is no {}", input.kind))
    });
    unknown.map_or(Ok(inputs), Err)
}

/// A value as it is written in events: objects of the inventory by their names.
#[must_use]
pub fn pack(value: &Value) -> serde_json::Value {
    match value {
        Value::List(items) => items.iter().map(pack).collect(),
        Value::Map(fields) => match value.name() {
            // Labels hold text alone: no object of the inventory is like them.
            Some(name) if matches!(fields.get("nodes"), Some(Value::List(_))) => json!({"group": name}),
            Some(name) if matches!(fields.get("active"), Some(Value::Map(_))) => json!({"service": name}),
            Some(name) if matches!(fields.get("ids"), Some(Value::Map(_))) => json!({"node": name}),
            _ => serde_json::Value::Object(fields.iter().map(|(k, v)| (k.to_string(), pack(v))).collect()),
        },
        other => other.to_json(),
    }
}

/// The value of what [`pack`] wrote.
#[must_use]
pub fn unpack(state: &State, set: &Set, packed: &serde_json::Value) -> Option<Value> {
    match packed {
        serde_json::Value::Object(fields) => {
            if let (1, Some((kind, serde_json::Value::String(name)))) = (fields.len(), fields.iter().next())
                && let Some(found) = object(state, set, kind, name)
            {
                return Some(found);
            }
            Some(Value::map(fields.iter().filter_map(|(k, v)| Some((k.as_str(), unpack(state, set, v)?)))))
        }
        serde_json::Value::Array(items) => {
            Some(Value::List(Arc::new(items.iter().filter_map(|item| unpack(state, set, item)).collect())))
        }
        other => Value::from_json(other),
    }
}

fn object(state: &State, set: &Set, kind: &str, name: &str) -> Option<Value> {
    let inventory = &set.inventory;
    match kind {
        "node" => inventory.value(&inventory.node(name)?).cloned(),
        "group" => inventory.value(&inventory.group(name)?).cloned(),
        "service" => inventory.service_value(name, &state.serving(set, name)?),
        _ => None,
    }
}

/// An input as its declaration says: nodes, groups and services are given by name.
fn typed(state: &State, set: &Set, kind: &Type, given: &serde_json::Value) -> Option<Value> {
    match (kind, given) {
        (Type::Object(kind), serde_json::Value::String(name)) => object(state, set, kind, name),
        (Type::Object(kind), other) if other.is_object() => {
            let described = Value::from_json(other)?;
            let node = described.name().filter(|_| *kind == "node").and_then(|name| set.inventory.node(name));
            // As the inventory has it, when it is the same one.
            let same = node.filter(|node| set.inventory.is(node, &described));
            same.and_then(|node| set.inventory.value(&node).cloned()).or(Some(described))
        }
        (Type::Object(_), _) => None,
        (Type::Span, serde_json::Value::String(text)) => {
            regreen_schemas::time::parse_span(text).map(Value::Span)
        }
        (Type::List(item), serde_json::Value::Array(items)) => {
            let items: Option<Vec<Value>> =
                items.iter().map(|given| typed(state, set, item, given)).collect();
            items.map(|items| Value::List(Arc::new(items)))
        }
        (_, given) => unpack(state, set, given),
    }
}

impl Env for World<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        if let Some((_, item)) = self.locals.iter().rev().find(|(local, _)| **local == *name) {
            return Some(item.clone());
        }
        match name {
            "now" => Some(Value::Time(self.state.now)),
            "target" => self.target(),
            "alert" => self.alert.filter(|_| self.source.is_alert()).map(alert),
            "verdict" => self.verdict_root(),
            "event" => self.event_root(),
            "run" => {
                let run = self.run?;
                Some(Value::map([
                    ("id", Value::str(run.id.as_str())),
                    ("playbook", Value::str(run.playbook.as_str())),
                    ("started", Value::Time(run.started)),
                ]))
            }
            "inputs" => self.inputs_root(),
            "vars" => Some(Value::map(self.playbook?.vars.iter().map(|(k, v)| (k.clone(), v.clone())))),
            "steps" => self.steps_root(),
            _ => None,
        }
    }

    fn verdict(&self, check: &str) -> Status {
        let found = self.state.verdict(self.set, check, self.quorum());
        if found == Status::Unknown && mutation::is(Mutation::UnknownIsDown) { Status::Down } else { found }
    }

    fn group(&self, name: &str) -> Option<Value> {
        self.set.inventory.groups.get(name).map(|group| group.value.clone())
    }
}
