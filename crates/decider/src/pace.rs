//! Pacing: what goes out by a credential waits in line until there is room in its rate, the oldest run first. A
//! provider's refusal of one step stops all that would go by the same credential.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{
    Instance, RunId, Span, Timestamp, Zone,
    action::Effect,
    command::Kind,
    event::{Event, RunEvent},
    fact::Outcome,
    mutation::{self, Mutation},
    rate::{Draw, Limit, Told},
    roster::DISCOVER,
};
use serde::{Deserialize, Serialize};

use crate::{
    bounds,
    course::Flow,
    decide::Decider,
    rate::{Place, Rate},
    run::Run,
    state::{Illegal, State, TimerKey},
};

/// What a step waits for that stands in line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Name of the credential.
    pub credential: Arc<str>,
    /// Requests that it is reckoned with.
    pub requests: u32,
    /// There was no room for them before, when it came in line.
    pub until: Timestamp,
}

impl Pace {
    pub(crate) fn new(credential: &Arc<str>, requests: u32, until: Timestamp) -> Self {
        Self { credential: credential.clone(), requests, until }
    }

    /// That a step waits for it.
    pub(crate) fn event(&self, instance: &Instance) -> RunEvent {
        let Self { credential, requests, until } = self.clone();
        RunEvent::Paced { instance: instance.clone(), credential, requests, until }
    }
}

/// What a call is reckoned with until its result says how many requests it made.
fn reckoned(kind: Kind, effect: Effect) -> u32 {
    match (kind, effect) {
        (Kind::Perform, Effect::Read) => bounds::RATE_READ,
        _ => bounds::RATE_CALL,
    }
}

impl State {
    /// What a call draws on: every credential by which it may be done, since any runner of the zone may take it.
    pub(crate) fn draws(&self, zone: &Zone, action: &str, kind: Kind, effect: Effect) -> Vec<Draw> {
        let provider = action.split('.').next().unwrap_or(action);
        let serve = self
            .servers
            .values()
            .filter(|serves| serves.zone == *zone && serves.actions.contains_key(action));
        let mut names: Vec<&Arc<str>> =
            serve.filter_map(|serves| Some(&serves.credentials.get(provider)?.name)).collect();
        names.sort();
        names.dedup();
        let requests = reckoned(kind, effect);
        names.into_iter().map(|name| Draw { credential: name.clone(), requests }).collect()
    }

    /// When what can wait may go: when there is room for it beside what is kept for runs, and no run stands in line.
    pub(crate) fn after_runs(&self, draws: &[Draw]) -> Timestamp {
        let later = self.now + bounds::DISCOVER_EVERY;
        let after = |draw: &Draw| {
            let rate = self.rates.get(&draw.credential)?;
            let ready = rate.ready(draw.requests, true);
            Some(if rate.line.is_empty() { ready } else { ready.max(later) })
        };
        draws.iter().filter_map(after).max().unwrap_or(self.now)
    }

    /// What a step has to wait for: of several credentials the one that keeps it longest.
    fn waits(&self, place: &Place, draws: &[Draw]) -> Option<Pace> {
        if mutation::is(Mutation::IgnoreRate) {
            return None;
        }
        let waits = |draw: &Draw| {
            let rate = self.rates.get(&draw.credential)?;
            let until = rate.ready(draw.requests, false);
            let free = until <= self.now && !rate.before(place);
            let Draw { credential, requests } = draw.clone();
            (!free).then(|| Pace { credential, requests, until: until.max(self.now) })
        };
        draws.iter().filter_map(waits).max_by_key(|pace| pace.until)
    }

    /// Runners say anew by which credentials they reach providers. One that nobody names any more has no limits:
    /// whoever waits for it goes on.
    pub(crate) fn apply_credentials(&mut self) {
        let mut named: BTreeMap<Arc<str>, Vec<Limit>> = BTreeMap::new();
        for credential in self.servers.values().flat_map(|serves| serves.credentials.values()) {
            named.entry(credential.name.clone()).or_default().extend(&credential.limits);
        }
        let over: Vec<Arc<str>> =
            self.rates.keys().filter(|name| !named.contains_key(*name)).cloned().collect();
        for name in over {
            let line = self.rates.remove(&name).map(|rate| rate.line).unwrap_or_default();
            if !line.is_empty() {
                self.rates.insert(name.clone(), Rate::unlimited(line));
            }
            self.arm_rate(&name);
        }
        for (name, limits) in named {
            self.rates.entry(name.clone()).or_default().limit(limits);
            self.arm_rate(&name);
        }
    }

    /// Folds what went out.
    pub(crate) fn apply_draws(&mut self, draws: &[Draw]) {
        for Draw { credential, requests } in draws {
            let now = self.now;
            if let Some(rate) = self.rates.get_mut(credential) {
                rate.draw(*requests, now);
            }
            self.arm_rate(credential);
        }
    }

    /// Folds what became of a rate.
    pub(crate) fn apply_rate(&mut self, event: &Event) {
        let now = self.now;
        match event {
            Event::RateTold { credential, more, remaining, until } => {
                if let Some(rate) = self.rates.get_mut(credential) {
                    rate.told(*more, *remaining, *until, now);
                }
                self.arm_rate(credential);
            }
            Event::RateFree { credential, run, instance } => {
                let order = self.runs.get(run).map(|run| run.order);
                self.change_run(run, |run| drop(run.paced.remove(instance)));
                if let Some((rate, order)) = self.rates.get_mut(credential).zip(order) {
                    rate.line.remove(&(order, instance.clone()));
                }
                self.arm_rate(credential);
            }
            _ => {}
        }
    }

    /// Steps of a run came in line, or left it.
    pub(crate) fn change_lines(
        &mut self,
        (id, order): (&RunId, u64),
        before: &BTreeMap<Instance, Pace>,
        after: &BTreeMap<Instance, Pace>,
    ) {
        let left = before.iter().filter(|(instance, pace)| after.get(*instance) != Some(pace));
        let came = after.iter().filter(|(instance, pace)| before.get(*instance) != Some(pace));
        for (instance, pace) in left {
            if let Some(rate) = self.rates.get_mut(&pace.credential) {
                rate.line.remove(&(order, instance.clone()));
            }
            self.arm_rate(&pace.credential);
        }
        for (instance, pace) in came {
            if let Some(rate) = self.rates.get_mut(&pace.credential) {
                rate.line.insert((order, instance.clone()), (id.clone(), pace.requests));
            }
            self.arm_rate(&pace.credential);
        }
    }

    /// The first in line goes on when there is room for it: later than whatever just happened, even within the same
    /// moment.
    fn arm_rate(&mut self, credential: &Arc<str>) {
        let at = self.rates.get(credential).and_then(|rate: &Rate| {
            let (_, (_, requests)) = rate.line.get_min()?;
            Some(rate.ready(*requests, false).max(self.now + Span(1)))
        });
        self.arm(TimerKey::Rate(credential.clone()), at);
    }
}

impl Decider<'_> {
    /// A call of a step that has to wait for its credential's rate. It came in line once, and goes when it is its turn.
    pub(crate) fn paced(&self, run: &Run, instance: &Instance, draws: &[Draw]) -> Option<Flow> {
        if run.paced.contains_key(instance) {
            return Some(Flow::Wait);
        }
        let pace = self.s.waits(&(run.order, instance.clone()), draws)?;
        Some(Flow::event(pace.event(instance)))
    }

    /// What keeps a step from going on.
    pub(crate) fn kept(&self, run: &Run, instance: &Instance) -> Option<String> {
        let pace = run.paced.get(instance);
        // Nobody in line is held one by one.
        let held = run.held.clone().or_else(|| self.holds().filter(|_| pace.is_some()));
        match held {
            Some(by) => Some(format!("it was held: {by}")),
            None => pace.map(|pace| format!("it waited for the rate of {}", pace.credential)),
        }
    }

    /// There is room in a credential's rate: the first in line leaves it, and goes as far as it can.
    pub(crate) fn rate_due(&mut self, credential: &Arc<str>) -> Result<(), Illegal> {
        let first = self.s.rates.get(credential).and_then(|rate| rate.line.get_min());
        let Some(((_, instance), (run, _))) = first.cloned() else { return Ok(()) };
        let (credential, id) = (credential.clone(), run.clone());
        self.emit(Event::RateFree { credential, run, instance })?;
        self.advance(&id)
    }

    /// A result says what was made of a rate. It is believed of a credential that its sender names, whatever else the
    /// result is worth.
    pub(crate) fn rate_told(&mut self, source: &str, outcome: &Outcome) -> Result<(), Illegal> {
        let Some(Told { credential, spent, remaining, pause }) = &outcome.rate else { return Ok(()) };
        let serves = self.s.servers.get(source);
        let names =
            serves.is_some_and(|serves| serves.credentials.values().any(|own| own.name == *credential));
        let Some(rate) = self.s.rates.get(credential).filter(|_| names) else { return Ok(()) };
        let drawn = self.drawn(outcome);
        let more = drawn.map_or(0, |drawn| spent.saturating_sub(drawn)).min(bounds::RATE_SPENT_MAX);
        let until = pause.filter(|pause| *pause > Span::ZERO).map(|pause| self.s.now + pause);
        let mut after = rate.clone();
        after.told(more, *remaining, until, self.s.now);
        if after == *rate {
            return Ok(());
        }
        self.emit(Event::RateTold { credential: credential.clone(), more, remaining: *remaining, until })
    }

    /// Requests that the call of this result was reckoned with; none when it is out no more.
    fn drawn(&self, outcome: &Outcome) -> Option<u32> {
        if let Some(group) = outcome.instance.as_str().strip_prefix(DISCOVER) {
            let asked = self.s.discoveries.get(group)?;
            return (asked.out && asked.attempt == outcome.attempt).then_some(bounds::RATE_READ);
        }
        let (_, open) = self.s.runs.get(&outcome.run)?.attempt(&outcome.instance)?;
        (open.number == outcome.attempt).then(|| reckoned(open.task.kind, open.task.effect))
    }
}
