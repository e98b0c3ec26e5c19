//! The moment before an effect: everything that may forbid it is judged again, then the command is filled in.

use std::sync::Arc;

use regreen_playbook::{
    Set,
    cel::Env as _,
    model::{Arg, Escape, Playbook, Step, Subject, Use},
    template::{self, Part, Template, plain},
    value::Value,
};
use regreen_schemas::{
    Instance, Zone,
    action::Effect,
    command::{Kind, Task},
    event::{RunEvent, Target},
    run::{Block, RunResult},
};

use crate::{
    advance::{Next, ended, failed},
    bounds,
    decide::Decider,
    env::World,
    evaluate::judge,
    run::{Attempt, Run, Stage},
    state::State,
};

impl Decider<'_> {
    /// Dispatches an attempt of a step, or says why not.
    pub(crate) fn perform(
        &self,
        run: &Run,
        set: &Set,
        playbook: &Playbook,
        step: &Step,
        action: &Use,
    ) -> Next {
        if let Some(by) = self.holds() {
            return held(run, by);
        }
        if let Some(by) = self.s.unserved(set, playbook, run.target.as_ref()) {
            return held(run, by);
        }
        let instance = Instance::new(step.id.clone());
        // A run that waited in line was not judged before: its first effect is, destructive or not.
        let first_effect = run.effects == 0 && action.effect != Effect::Read;
        if (action.destructive || first_effect)
            && let Some(next) = self.judged_again(run, set, playbook)
        {
            return next;
        }
        let world = World::of(&self.s, set, run);
        let filled = params(action, &world).and_then(|params| Ok((params, subject(action, set, &world)?)));
        let (params, node) = match filled {
            Ok(filled) => filled,
            Err(why) => return failed(instance, why, step.goes_on),
        };
        let zone =
            node.as_ref().map_or_else(|| Zone::from("main"), |target| set.inventory.zone(Some(target)));
        let task = Task {
            kind: Kind::Perform,
            action: action.action.name.into(),
            effect: action.effect,
            zone,
            params: Arc::new(params),
            node: node.map(|target| target.name().clone()),
            claim_by: self.s.now + bounds::CLAIM,
            timeout: action.timeout,
        };
        let spends =
            if action.destructive { State::spends(set, playbook, run.target.as_ref()) } else { Vec::new() };
        let until = match &run.stage {
            Stage::Again(attempt, _) => attempt.until,
            _ => run.until.unwrap_or(self.s.now),
        };
        Next::Event(RunEvent::Dispatched {
            instance,
            attempt: run.attempts + 1,
            task,
            stop_no: self.s.stop_no,
            spends,
            until,
        })
    }

    /// `when` and the guards, before each destructive step: what was true at the start may not be now. Another try
    /// of the same effect is no new decision to act: `when` is not asked again for it.
    fn judged_again(&self, run: &Run, set: &Set, playbook: &Playbook) -> Option<Next> {
        if let Some(when) = playbook.when.as_ref().filter(|_| run.tries == 0) {
            match judge(when, &World::of(&self.s, set, run)).0 {
                Ok(true) => {}
                Ok(false) => return Some(ended(RunResult::Cancelled, "recovered: `when` is no longer true")),
                Err(because) => {
                    let block = Block::WhenUnknown { because: because.into() };
                    return Some(ended(RunResult::Blocked, block.to_string()));
                }
            }
        }
        let said = self.s.guards(set, playbook, run.target.as_ref(), &mut Vec::new());
        said.into_iter().find_map(|said| said.block).map(|block| ended(RunResult::Blocked, block.to_string()))
    }

    /// Sends a look at an unknown outcome.
    pub(crate) fn look(&self, run: &Run, attempt: &Attempt) -> Next {
        if self.s.now >= attempt.until {
            let (instance, number) = (attempt.instance.clone(), attempt.number);
            let reason = "it could not be looked up in time".into();
            let next = regreen_schemas::event::AfterUnknown::Ask;
            return Next::Event(RunEvent::AttemptUnknown { instance, attempt: number, reason, next });
        }
        // A look changes nothing; yet a stopped or suspect system stays away from the provider altogether.
        if let Some(by) = self.holds() {
            return held(run, by);
        }
        let number = if matches!(run.stage, Stage::Looking(_, _, Some(_))) { 2 } else { 1 };
        let task = Task {
            kind: Kind::Observe(number),
            claim_by: self.s.now + bounds::LOOK_CLAIM,
            ..attempt.task.clone()
        };
        Next::Event(RunEvent::Dispatched {
            instance: attempt.instance.clone(),
            attempt: attempt.number,
            task,
            stop_no: self.s.stop_no,
            spends: Vec::new(),
            until: attempt.until,
        })
    }
}

/// Says once what holds the run.
pub(crate) fn held(run: &Run, by: Block) -> Next {
    if run.held.as_ref() == Some(&by) { Next::Wait } else { Next::Event(RunEvent::Held { by }) }
}

/// The inventory object that the action acts on.
fn subject(action: &Use, set: &Set, world: &World<'_>) -> Result<Option<Target>, String> {
    let inventory = &set.inventory;
    let found = match &action.subject {
        None => return Ok(None),
        Some(Subject::Node(name)) => inventory.node(name),
        Some(Subject::Group(name)) => inventory.group(name),
        Some(Subject::Path(path)) => {
            // The run's own target keeps its kind; any other path is an object with a name.
            if let (Some(target), Some(value)) = (world.target, world.root("target"))
                && path.render(world, plain).as_ref() == Ok(&value)
            {
                Some(target.clone())
            } else {
                let value = path.render(world, plain)?;
                value.name().and_then(|name| inventory.node(name).or_else(|| inventory.group(name)))
            }
        }
    };
    found.map(Some).ok_or_else(|| "what it acts on is not in the inventory".to_owned())
}

/// The command's parameters. Everything becomes JSON values; a rendered text is never parsed again.
fn params(action: &Use, world: &World<'_>) -> Result<serde_json::Value, String> {
    let mut out = serde_json::Map::new();
    for (name, value) in &action.args {
        out.insert((*name).to_owned(), fill(value, world)?);
    }
    if action.effect == Effect::Reconcilable && !out.contains_key("observe") {
        return Err("nothing says how to look its outcome up".into());
    }
    Ok(out.into())
}

fn fill(arg: &Arg, world: &World<'_>) -> Result<serde_json::Value, String> {
    Ok(match arg {
        Arg::Constant(value) => value.clone(),
        Arg::Secret(name) => serde_json::json!({"secret": name}),
        Arg::Map(entries) => {
            let filled = entries.iter().map(|(key, arg)| Ok((key.clone(), fill(arg, world)?)));
            serde_json::Value::Object(filled.collect::<Result<_, String>>()?)
        }
        Arg::List(items) => items.iter().map(|item| fill(item, world)).collect::<Result<_, String>>()?,
        Arg::Template(text, Escape::Plain) => inert(text.render(world, plain)?.to_json()),
        Arg::Template(text, Escape::Url) => {
            escaped(&text.render(world, template::url)?, text, template::url)?
        }
        Arg::Template(text, Escape::Header) => {
            escaped(&text.render(world, template::header)?, text, template::header)?
        }
    })
}

/// Text for a URL or header. A path that stands alone is escaped too: a label never chooses the whole URL.
fn escaped(
    value: &Value,
    text: &Template,
    escape: fn(&str) -> Result<String, String>,
) -> Result<serde_json::Value, String> {
    let value = value.to_string();
    let alone = matches!(text.parts.as_slice(), [Part::Path(expr, _)] if !template::trusted(&expr.tree.kind));
    Ok(if alone { escape(&value)?.into() } else { value.into() })
}

/// A value from outside that looks like a reference to a secret is made text: labels are never code.
fn inert(value: serde_json::Value) -> serde_json::Value {
    match &value {
        serde_json::Value::Object(map) if map.contains_key("secret") => value.to_string().into(),
        _ => value,
    }
}
