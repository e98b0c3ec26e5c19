//! The moment before an effect: everything that may forbid it is judged again, then the command is filled in.

use std::sync::Arc;

use regreen_playbook::{
    Set,
    action::ParamKind,
    cel::Env as _,
    model::{Arg, BudgetScope, Escape, Subject, Use},
    template::{self, Part, Template, plain},
    value::Value,
};
use regreen_schemas::{
    Instance, Zone,
    action::{Effect, ParamType},
    command::{Kind, Task},
    event::{AfterUnknown, RunEvent, Spend, Target, Then},
    run::{Block, RunResult},
};

use crate::{
    bounds,
    course::Flow,
    cx::Cx,
    decide::Decider,
    env::World,
    evaluate::judge,
    guards::{self, At, Moment},
    run::{Act, Attempt, Run, Stage},
};

impl Decider<'_> {
    /// Dispatches an attempt of a step, or says why not.
    pub(crate) fn perform(
        &self,
        cx: &Cx<'_>,
        instance: Instance,
        action: &Use,
        again: Option<(&Act, &Attempt)>,
        then: Then,
    ) -> Flow {
        let fails = |why: String| {
            let (instance, reason) = (instance.clone(), why.into());
            Flow::event(RunEvent::StepFailed { instance, reason, then })
        };
        if cx.until().is_some_and(|until| self.s.now >= until) {
            let kept = self.kept(cx.run, &instance).map_or_else(String::new, |why| format!(" while {why}"));
            return fails(format!("no time was left for it{kept}"));
        }
        if Self::is_asked(cx, action) {
            return Flow::Wait;
        }
        if let Some(by) = self.holds() {
            return held(cx.run, by);
        }
        let world = cx.world();
        let filled = subject(action, cx.set, &world).and_then(|on| {
            let object = on.as_ref().and_then(|on| self.object(cx.set, action, on));
            Ok((params(action, object, &world)?, on))
        });
        let (params, node) = match filled {
            Ok(filled) => filled,
            Err(why) => return fails(why),
        };
        let zone =
            node.as_ref().map_or_else(|| Zone::from("main"), |target| cx.set.inventory.zone(Some(target)));
        if let Some(by) = self.s.unserved_in(&zone, action) {
            return held(cx.run, by);
        }
        if let Some(asks) = self.first_asks(cx, action) {
            return asks;
        }
        // A run that waited in line was not judged before: its first effect is, destructive or not.
        let first = cx.run.effects == 0 && action.effect != Effect::Read;
        let tries = again.map_or(0, |(act, _)| act.tries);
        if (action.destructive || first)
            && let Some(refused) = self.judged_again(cx, action, node.as_ref(), tries)
        {
            return self.refused(refused, &instance, then);
        }
        let on = node.as_ref().filter(|_| action.destructive);
        if let Some(why) =
            on.and_then(|on| self.locked_by_another(cx, on).or_else(|| self.s.contradiction(on)))
        {
            return fails(why);
        }
        let draws = self.s.draws(&zone, &action.action.name, Kind::Perform, action.effect);
        if let Some(waits) = self.paced(cx.run, &instance, &draws) {
            return waits;
        }
        let task = Task {
            kind: Kind::Perform,
            action: action.action.name.clone(),
            effect: action.effect,
            zone,
            params: Arc::new(params),
            node: node.as_ref().map(|target| target.name().clone()),
            claim_by: self.s.now + bounds::CLAIM,
            timeout: action.timeout,
        };
        let spends = if action.destructive { spends(cx, action, node.as_ref()) } else { Vec::new() };
        let until = match again {
            Some((_, attempt)) => attempt.until,
            None => cx.until().unwrap_or(self.s.now),
        };
        Flow::event(RunEvent::Dispatched {
            instance,
            attempt: again.map_or(0, |(act, _)| act.attempts) + 1,
            task,
            stop_no: self.s.stop_no,
            spends,
            draws,
            until,
        })
    }

    /// What the inventory says of the object, under the name that the action has for it.
    fn object(&self, set: &Set, action: &Use, on: &Target) -> Option<(Arc<str>, Value)> {
        let (kind, value) = match on {
            Target::Node { .. } => (ParamKind::Is(ParamType::Node), set.inventory.value(on).cloned()?),
            Target::Group { .. } => (ParamKind::Is(ParamType::Group), set.inventory.value(on).cloned()?),
            Target::Service { name } => {
                (ParamKind::Service, set.inventory.service_value(name, &self.s.serving(set, name)?)?)
            }
        };
        let further = |name: &Arc<str>| action.args.iter().any(|(given, _)| given == name);
        let param = action.action.params.iter().find(|param| param.kind == kind && !further(&param.name))?;
        Some((param.name.clone(), value))
    }

    /// Why nothing destructive is done to what another run has locked: the run itself only locked its target.
    fn locked_by_another(&self, cx: &Cx<'_>, on: &Target) -> Option<String> {
        let locks = cx.set.inventory.locks(on);
        if locks.iter().all(|lock| guards::covered(lock, &cx.run.locks)) {
            return None;
        }
        let (held, by) = self.s.locks_holder(&locks).filter(|(_, by)| **by != cx.run.id)?;
        Some(format!("{held} is locked by run {by}"))
    }

    /// `when` and the guards of every playbook at work, before each destructive step: what was true at the start may
    /// not be now. Another try of the same effect is no new decision to act, and what is done at the end is no longer
    /// about why it began: `when` is not asked again for these.
    pub(crate) fn judged_again<'a>(
        &self,
        cx: &Cx<'a>,
        action: &Use,
        on: Option<&Target>,
        tries: u32,
    ) -> Option<Refused<'a>> {
        let moment = if cx.run.effects == 0 && !cx.run.trial { Moment::First } else { Moment::Later };
        for depth in 0..cx.levels.len() {
            let at = cx.outer(depth);
            let level = at.level();
            let world = at.world();
            let no = |result, why: String| Some(Refused { at: at.clone(), result, why });
            let when = level.playbook.when.as_ref().filter(|_| tries == 0 && !level.ending);
            match when.map(|when| judge(when, &world).0) {
                None | Some(Ok(true)) => {}
                Some(Ok(false)) => {
                    return no(RunResult::Cancelled, "recovered: `when` is no longer true".to_owned());
                }
                Some(Err(because)) => {
                    let block = Block::WhenUnknown { because: because.into() };
                    return no(RunResult::Blocked, block.to_string());
                }
            }
            let (playbook, target) = (level.playbook, level.target);
            let said = self
                .s
                .guards(&At { set: cx.set, playbook, target, on, world: &world, moment }, &mut Vec::new());
            if let Some(block) = said.into_iter().find_map(|said| said.block) {
                return no(RunResult::Blocked, block.to_string());
            }
        }
        let block = if action.destructive { self.too_much(cx, action, on) } else { None };
        block.map(|block| Refused { at: cx.clone(), result: RunResult::Blocked, why: block.to_string() })
    }

    /// Why nothing destructive is done to an object now: its group is in a storm, or a budget that it counts against is
    /// spent.
    fn too_much(&self, cx: &Cx<'_>, action: &Use, on: Option<&Target>) -> Option<Block> {
        let world = cx.world();
        let storm = on.and_then(Target::group).and_then(|group| {
            self.s.storm(cx.set, &world, group, &mut Vec::new()).and_then(|said| said.block)
        });
        let own = cx.levels.iter().flat_map(|level| &level.playbook.guard.budgets);
        storm.or_else(|| {
            own.chain(&cx.set.ceilings.budgets).find_map(|budget| {
                let keys = keys_of(cx, action, on, budget.scope);
                keys.iter().find_map(|key| self.s.budget(*budget, key).block)
            })
        })
    }

    /// A playbook may not go on. One that is at its end already gives that step up.
    pub(crate) fn refused(&self, refused: Refused<'_>, instance: &Instance, then: Then) -> Flow {
        let Refused { at, result, why } = refused;
        if at.level().concluded.is_some() || at.level().ending {
            let (instance, reason) = (instance.clone(), why.into());
            return Flow::event(RunEvent::StepFailed { instance, reason, then });
        }
        self.conclude(&at, result, why, false)
    }

    /// Sends a look at an unknown outcome.
    pub(crate) fn look(&self, cx: &Cx<'_>, act: &Act, attempt: &Attempt) -> Flow {
        if self.s.now >= attempt.until {
            let (instance, number) = (attempt.instance.clone(), attempt.number);
            let reason = "it could not be looked up in time".into();
            let next = AfterUnknown::Ask;
            return Flow::event(RunEvent::AttemptUnknown { instance, attempt: number, reason, next });
        }
        // A look changes nothing; yet a stopped or suspect system stays away from the provider altogether.
        if let Some(by) = self.holds() {
            return held(cx.run, by);
        }
        let number = if matches!(act.stage, Stage::Looking(_, _, Some(_))) { 2 } else { 1 };
        let (kind, asked) = (Kind::Observe(number), &attempt.task);
        let draws = self.s.draws(&asked.zone, &asked.action, kind, asked.effect);
        if let Some(waits) = self.paced(cx.run, &attempt.instance, &draws) {
            return waits;
        }
        let task = Task { kind, claim_by: self.s.now + bounds::LOOK_CLAIM, ..asked.clone() };
        Flow::event(RunEvent::Dispatched {
            instance: attempt.instance.clone(),
            attempt: attempt.number,
            task,
            stop_no: self.s.stop_no,
            spends: Vec::new(),
            draws,
            until: attempt.until,
        })
    }
}

/// A playbook at work that may not go on, and why.
pub(crate) struct Refused<'a> {
    at: Cx<'a>,
    result: RunResult,
    why: String,
}

/// What a destructive attempt counts against: every kind of budget in use, of every playbook at work, so that one
/// playbook's attempts count in another's.
fn spends(cx: &Cx<'_>, action: &Use, on: Option<&Target>) -> Vec<Spend> {
    let mut out: Vec<Spend> = Vec::new();
    for (scope, max) in &cx.set.budgets {
        let keep = (*max).max(bounds::SPENDS_MIN);
        for key in keys_of(cx, action, on, *scope) {
            if !out.iter().any(|spend| spend.key == key) {
                out.push(Spend { key, keep });
            }
        }
    }
    out
}

/// The keys of a kind of budget that an attempt counts against.
fn keys_of(cx: &Cx<'_>, action: &Use, on: Option<&Target>, scope: BudgetScope) -> Vec<Arc<str>> {
    match scope {
        BudgetScope::Playbook => {
            cx.levels.iter().map(|level| format!("playbook/{}", level.playbook.name).into()).collect()
        }
        BudgetScope::Group => {
            let targets = cx.levels.iter().filter_map(|level| level.target).chain(on);
            let groups = targets.flat_map(|target| guards::groups(cx.set, target));
            groups.map(|group| format!("group/{group}").into()).collect()
        }
        BudgetScope::Provider => vec![format!("provider/{}", action.action.provider()).into()],
        BudgetScope::Domain => vec!["domain".into()],
    }
}

/// Says once what holds the run; what else is under way goes on. Where several of its steps are held, what holds
/// everything is said before what holds one of them.
pub(crate) fn held(run: &Run, by: Block) -> Flow {
    let everything = matches!(by, Block::Stopped { .. } | Block::Suspect);
    match &run.held {
        Some(said) if *said == by || !everything => Flow::Wait,
        _ => Flow::event(RunEvent::Held { by }),
    }
}

/// The inventory object that the action acts on.
fn subject(action: &Use, set: &Set, world: &World<'_>) -> Result<Option<Target>, String> {
    let inventory = &set.inventory;
    let found = match &action.subject {
        None => return Ok(None),
        Some(Subject::Node(name)) => inventory.node(name),
        Some(Subject::Group(name)) => inventory.group(name),
        Some(Subject::Service(name)) => inventory.service(name),
        Some(Subject::Path(path)) => {
            // The run's own target keeps its kind; any other path is an object with a name.
            if let (Some(target), Some(value)) = (world.target, world.root("target"))
                && path.render(world, plain).as_ref() == Ok(&value)
            {
                Some(target.clone())
            } else {
                let value = path.render(world, plain)?;
                let any = |name| {
                    inventory.node(name).or_else(|| inventory.group(name)).or_else(|| inventory.service(name))
                };
                let found = value.name().and_then(|name| any(name));
                if found.as_ref().is_some_and(|found| !inventory.is(found, &value)) {
                    return Err(format!("`{}` is another one in the inventory, by its id", value));
                }
                found
            }
        }
    };
    let found = found.ok_or("what it acts on is not in the inventory")?;
    if action.destructive && inventory.is_gone(&found) {
        return Err(format!("a run took {} away already", found.name()));
    }
    Ok(Some(found))
}

/// The command's parameters. Everything becomes JSON values; a rendered text is never parsed again. The object that it
/// acts on goes along whole, since a runner has no inventory; the URL says all that `http.request` needs.
fn params(
    action: &Use,
    object: Option<(Arc<str>, Value)>,
    world: &World<'_>,
) -> Result<serde_json::Value, String> {
    let mut out = serde_json::Map::new();
    for (name, value) in &action.args {
        out.insert(name.to_string(), fill(value, world)?);
    }
    let http = *action.action.name == *regreen_schemas::action::HTTP_REQUEST.name;
    if http && action.effect == Effect::Reconcilable && !out.contains_key("observe") {
        return Err("nothing says how to look its outcome up".into());
    }
    if let Some((name, value)) = object.filter(|_| !http) {
        out.insert(name.to_string(), inert(whole(value.to_json())));
    }
    Ok(out.into())
}

/// Largest object that goes along with all its neighbours: a command stays a small message.
const OBJECT_BYTES_MAX: usize = 64 * 1024;

/// An object; of one that is too large the nodes of its group are left out.
fn whole(mut object: serde_json::Value) -> serde_json::Value {
    if object.to_string().len() > OBJECT_BYTES_MAX
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("nodes");
        if let Some(group) = fields.get_mut("group") {
            *group = group["name"].take();
        }
    }
    object
}

fn fill(arg: &Arg, world: &World<'_>) -> Result<serde_json::Value, String> {
    Ok(match arg {
        Arg::Constant(value) => value.clone(),
        Arg::Secret(name) => serde_json::json!({"secret": name}),
        Arg::File(file) => file.render(world)?.into(),
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

/// What from outside looks like a reference to a secret is made text, however deep it stands: labels are never code.
fn inert(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) if map.contains_key("secret") => {
            serde_json::Value::Object(map).to_string().into()
        }
        serde_json::Value::Object(map) => {
            serde_json::Value::Object(map.into_iter().map(|(key, value)| (key, inert(value))).collect())
        }
        serde_json::Value::Array(items) => items.into_iter().map(inert).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_too_large_goes_without_its_neighbours() {
        let nodes = |n: usize| (0..n).map(|n| json!({"name": format!("n{n}")})).collect::<Vec<_>>();
        let node = |n| json!({"name": "n1", "group": {"name": "g", "nodes": nodes(n)}});
        assert_eq!(whole(node(3)), node(3));
        assert_eq!(whole(node(OBJECT_BYTES_MAX)), json!({"name": "n1", "group": "g"}));
        let group = json!({"name": "g", "nodes": nodes(OBJECT_BYTES_MAX)});
        assert_eq!(whole(group), json!({"name": "g"}));
    }
}
