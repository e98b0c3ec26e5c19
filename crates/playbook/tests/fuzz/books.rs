//! Sets of playbooks that are mostly valid: every kind of step within every other, every trigger and guard, playbooks
//! that run others. Each is one text of several documents; whether it is valid is for `load` to say.

use std::fmt::Write as _;

use super::dice::Dice;

/// What all these sets share: an inventory, checks, people, and actions of every class.
pub const BASE: &str = r##"apiVersion: regreen/v1
inventory: lab
groups:
  web: {health: web, storm: 100%, nodes: {a1: {}, a2: {}, a3: {}}}
  db: {health: db, storm: 60%, nodes: {b1: {}, b2: {}, b3: {}}}
services:
  shop: {sides: [web, db]}
---
apiVersion: regreen/v1
checks:
  web: {kind: tcp, each: node, in: [web], with: {address: "h:1"}, vantages: [main, far], quorum: 2}
  db: {kind: tcp, each: node, in: [db], with: {address: "h:1"}, vantages: [main, far], quorum: 2}
  site: {kind: tcp, each: group, in: [web, db], with: {address: "h:1"}, vantages: [main, far], quorum: 2}
  canary: {kind: tcp, with: {address: "h:1"}, vantages: [main, far], quorum: 2}
  every: {kind: all, of: [web/*]}
---
apiVersion: regreen/v1
policy: lab
receivers: {oncall: {log: {}}, ops: {log: {}}}
approvers: {sre: [amy, "slack:U1"], default: sre}
---
apiVersion: regreen/v1
actions:
  lab.node.reset: {description: d, effect: reconcilable, destructive: true, with: {node: {type: node}}}
  lab.node.wipe: {description: d, effect: reconcilable, destructive: true, irreversible: true, with: {node: {type: node}}}
  lab.node.drain: {description: d, effect: idempotent, destructive: false, with: {node: {type: node}}, undo: lab.node.fill}
  lab.node.fill: {description: d, effect: idempotent, destructive: false, with: {node: {type: node}}}
  lab.node.keep: {description: d, effect: at_most_once, destructive: false, with: {node: {type: node}, note: {type: text, optional: true}}, undo: lab.node.reset}
  lab.node.read: {description: d, effect: read, destructive: false, with: {node: {type: node}}, result: {n: int, words: [string]}}
  lab.group.make: {description: d, effect: reconcilable, destructive: false, with: {group: {type: group}}, result: {node: node}}
"##;

/// A whole set.
pub fn set(dice: &mut Dice) -> String {
    let count = 2 + dice.below(3);
    let books: Vec<(Kind, &str)> = (0..count)
        .map(|nth| {
            let kind = *dice.pick(&Kind::ALL);
            let wide = if nth == 0 { 50 } else { 10 };
            (kind, if dice.chance(wide) { "domain" } else { dice.pick(kind.scopes()) })
        })
        .collect();
    let mut text = BASE.to_owned();
    for nth in 0..count {
        text.push_str("---\n");
        text.push_str(&Book::new(dice, nth, &books).text());
    }
    text
}

/// What a playbook acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Node,
    Group,
    Service,
    None,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Node, Self::Node, Self::Node, Self::Group, Self::Service, Self::None];

    const fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Group => "group",
            Self::Service => "service",
            Self::None => "none",
        }
    }

    /// What its lock may cover.
    const fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Node => &["", "node", "group"],
            Self::Group => &["", "group"],
            Self::Service => &["", "service"],
            Self::None => &["", "domain"],
        }
    }
}

/// How much a lock covers.
fn width((kind, scope): (Kind, &str)) -> u8 {
    match (scope, kind) {
        ("domain", _) => 4,
        ("service", _) | (_, Kind::Service) => 3,
        ("group", _) | (_, Kind::Group) => 2,
        (_, Kind::Node) => 1,
        (_, Kind::None) => 0,
    }
}

/// One playbook, as it is written.
struct Book<'d> {
    dice: &'d mut Dice,
    nth: usize,
    books: &'d [(Kind, &'d str)],
    steps: usize,
    /// Ids of steps that stand before, so that conditions may ask for them.
    before: Vec<String>,
    /// What an item of a loop that is a node is called.
    item: Option<String>,
    /// Within `parallel`: nothing destructive.
    quiet: bool,
}

impl<'d> Book<'d> {
    fn new(dice: &'d mut Dice, nth: usize, books: &'d [(Kind, &'d str)]) -> Self {
        Self { dice, nth, books, steps: 0, before: Vec::new(), item: None, quiet: false }
    }

    fn kind(&self) -> Kind {
        self.books[self.nth].0
    }

    fn text(mut self) -> String {
        let kind = self.kind();
        let mut out = format!("apiVersion: regreen/v1\nplaybook: p{}\ntarget: {}\n", self.nth, kind.word());
        let mode = *self.dice.pick(&["auto", "auto", "auto", "auto", "approve", "observe"]);
        let starts = self.nth == 0 || self.dice.chance(60);
        if starts {
            let _ = writeln!(out, "mode: {mode}\ntriggers:");
            self.triggers(&mut out);
        }
        if starts || self.dice.chance(40) {
            let _ = writeln!(out, "when: '{}'", self.when());
        }
        if self.dice.chance(40) {
            out.push_str(
                "inputs: {why: {type: string, default: a, one_of: [a, b]}, n: {type: int, default: 2}}\n",
            );
        }
        out.push_str(&self.guard());
        let _ = writeln!(out, "deadline: {}", self.dice.pick(&["90s", "10m", "1h", "3h"]));
        let _ = writeln!(out, "on_resolved: {}", self.dice.pick(&["cancel", "continue"]));
        let _ = writeln!(out, "on_failure: {}", self.dice.pick(&["stop", "undo"]));
        let count = 1 + self.dice.below(4);
        let steps = self.list(count, 3);
        let _ = writeln!(out, "steps: {steps}");
        if self.dice.chance(50) {
            let count = 1 + self.dice.below(2);
            let steps = self.list(count, 1);
            let _ = writeln!(out, "finally: {steps}");
        }
        if self.dice.chance(95) {
            let _ = writeln!(out, "verify: [{{check: {}, for: 2s, within: 1m}}]", self.check());
        }
        if self.dice.chance(30) {
            out.push_str("outputs: {sum: 'size(\"abc\") + 1'}\n");
        }
        if self.nth + 1 < self.books.len()
            && self.books[self.nth + 1] == self.books[self.nth]
            && self.dice.chance(15)
        {
            let approval = *self.dice.pick(&["none", "{by: sre, within: 5m}"]);
            let (next, when) = (self.nth + 1, self.dice.pick(&["up(\"canary\")", "!down(\"web/a1\")"]));
            let _ =
                writeln!(out, "failback: {{run: p{next}, when: '{when}', for: 5s, approval: {approval}}}");
        }
        if self.dice.chance(70) {
            out.push_str("notify: [ops]\n");
        }
        out.push_str("escalate: [{to: oncall, after: 1m, text: \"{{ run.id }} failed\"}]\n");
        out
    }

    fn triggers(&mut self, out: &mut String) {
        let (nth, kind) = (self.nth, self.kind());
        let hold = *self.dice.pick(&["", "", ", for: 5s"]);
        let (label, name) = match kind {
            Kind::Node => ("node", "a1"),
            Kind::Group => ("group", "web"),
            Kind::Service => ("service", "shop"),
            Kind::None => ("", ""),
        };
        let fixed = if kind == Kind::None { String::new() } else { format!(", target: {name}") };
        let mut some = false;
        if self.dice.chance(80) {
            let (matcher, target) = match kind {
                Kind::None => (String::new(), String::new()),
                _ => (format!(", '{label}!=\"\"'"), format!(", target: \"{{{{ alert.labels.{label} }}}}\"")),
            };
            let _ = writeln!(out, "  - {{id: t1, alert: ['alertname=\"P{nth}\"'{matcher}]{target}{hold}}}");
            some = true;
        }
        if kind == Kind::Node && self.dice.chance(30) {
            let is = self.dice.pick(&["down", "not_up", "up"]);
            let _ = writeln!(
                out,
                "  - {{id: t2, verdict: {{check: web/*, is: {is}}}, target: \"{{{{ verdict.node }}}}\"{hold}}}"
            );
            some = true;
        }
        if self.dice.chance(15) {
            let _ =
                writeln!(out, "  - {{id: t3, schedule: {{cron: \"*/10 * * * *\", missed: once}}{fixed}}}");
            some = true;
        }
        if self.dice.chance(15) {
            let _ = writeln!(out, "  - {{id: t4, webhook: {{path: hook, secret: hook}}{fixed}}}");
            some = true;
        }
        if nth > 0 && self.dice.chance(15) {
            let of = self.dice.below(nth);
            let _ = writeln!(out, "  - {{id: t5, run: {{playbook: p{of}}}{fixed}}}");
            some = true;
        }
        if !some || self.dice.chance(40) {
            out.push_str("  - {id: t6, manual: {}}\n");
        }
    }

    fn when(&mut self) -> String {
        let down = match self.kind() {
            Kind::Node => "down(\"web/\" + target.name)",
            Kind::Group => "target.nodes.exists(n, down(\"web/\" + n.name))",
            Kind::Service => "down(\"site/\" + target.active.name)",
            Kind::None => "down(\"canary\")",
        };
        let more = self.dice.pick(&["", " || true", " || true", " || !up(\"canary\")"]);
        format!("{down}{more}")
    }

    fn guard(&mut self) -> String {
        let mut parts = vec![format!("cooldown: {}", self.dice.pick(&["1s", "5m", "10m"]))];
        let scope = *self.dice.pick(&["playbook", "domain", "provider"]);
        let max = self.dice.pick(&[1, 2, 5, 50]);
        parts.push(format!("budget: [{{max: {max}, per: 30m, scope: {scope}}}]"));
        let group = if matches!(self.kind(), Kind::None | Kind::Service) { ", group: db" } else { "" };
        parts.push(format!("min_healthy: {{at_least: 1{group}}}"));
        if self.dice.chance(25) {
            parts.push(format!("approval: {{by: sre, within: {}}}", self.dice.pick(&["1m", "10m"])));
        }
        let scope = self.books[self.nth].1;
        let scope = if scope.is_empty() { String::new() } else { format!("scope: {scope}, ") };
        if !scope.is_empty() || self.dice.chance(50) {
            let busy = self.dice.pick(&["queue", "skip", "cancel_running"]);
            parts.push(format!("lock: {{{scope}busy: {busy}, wait: {}}}", self.dice.pick(&["10s", "30m"])));
        }
        if self.dice.chance(15) {
            parts.push("circuit_breaker: {failures: 2, within: 1h, rest: 10m}".into());
        }
        if self.dice.chance(20) {
            parts.push("quorum: 1".into());
        }
        if self.dice.chance(20) {
            parts.push(format!("maintenance: {}", self.dice.pick(&["skip", "wait", "ignore"])));
        }
        format!("guard: {{{}}}\n", parts.join(", "))
    }

    fn check(&mut self) -> String {
        let own = match (self.kind(), &self.item) {
            (_, Some(item)) if self.dice.chance(60) => format!("\"web/{{{{ {item}.name }}}}\""),
            (Kind::Node, _) => "\"web/{{ target.name }}\"".to_owned(),
            (Kind::Group, _) => "\"site/{{ target.name }}\"".to_owned(),
            (Kind::Service, _) => "\"site/{{ target.active.name }}\"".to_owned(),
            (Kind::None, _) => "canary".to_owned(),
        };
        if self.dice.chance(75) {
            own
        } else {
            (*self.dice.pick(&["canary", "web/a2", "db/b1", "every"])).into()
        }
    }

    fn condition(&mut self) -> String {
        let step = (!self.before.is_empty()).then(|| self.dice.pick(&self.before).clone());
        match (self.dice.below(6), step) {
            (0..=2, Some(step)) => {
                let word = self.dice.pick(&["ok", "failed", "skipped"]);
                format!("steps.{step}.{word}")
            }
            (3, Some(step)) => format!("!steps.{step}.ok && known(\"canary\")"),
            (0 | 3, None) => "up(\"canary\")".into(),
            (1 | 4, _) => "!down(\"web/a1\")".into(),
            _ => "true".into(),
        }
    }

    /// A list of steps; what it holds is seen by what follows it.
    fn list(&mut self, count: usize, depth: usize) -> String {
        let steps: Vec<String> = (0..count).map(|_| self.step(depth)).collect();
        format!("[{}]", steps.join(", "))
    }

    /// Steps of which only some happen, or which happen for each item: others can't ask for them.
    fn inner(&mut self, count: usize, depth: usize) -> String {
        let seen = self.before.len();
        let list = self.list(count, depth);
        self.before.truncate(seen);
        list
    }

    fn step(&mut self, depth: usize) -> String {
        self.steps += 1;
        let id = format!("s{}", self.steps);
        let mut parts = vec![format!("id: {id}")];
        if self.dice.chance(25) {
            parts.push(format!("if: '{}'", self.condition()));
        }
        let few = depth == 0 || self.steps > 14;
        let (what, asks) = match self.dice.below(if few { 60 } else { 100 }) {
            0..=29 => (self.action(depth), false),
            30..=37 => (self.verify(), false),
            38..=44 => (format!("wait: {}", self.dice.pick(&["1s", "5s", "2m"])), false),
            45..=49 => ("set: {x: size(\"ab\"), t: run.id}".into(), false),
            50..=53 => (format!("approve: {{by: sre, within: {}}}", self.dice.pick(&["30s", "5m"])), true),
            54..=59 => (self.inside(), false),
            60..=69 => (self.parallel(depth - 1), false),
            70..=79 => (self.for_each(depth - 1), false),
            80..=89 => (self.choose(depth - 1), false),
            _ => (self.call(), false),
        };
        parts.push(what);
        match self.dice.below(10) {
            0..=1 if !asks => parts.push("on_failure: continue".into()),
            2 => parts.push("on_failure: undo".into()),
            3 => parts.push("on_failure: stop".into()),
            4 if !asks && depth > 0 => {
                let count = 1 + self.dice.below(2);
                let steps = self.inner(count, depth - 1);
                parts.push(format!("on_failure: {steps}"));
            }
            _ => {}
        }
        self.before.push(id);
        format!("{{{}}}", parts.join(", "))
    }

    fn node(&mut self) -> String {
        match (self.kind(), &self.item) {
            (_, Some(item)) if self.dice.chance(80) => format!("\"{{{{ {item} }}}}\""),
            (Kind::Node, _) if self.dice.chance(90) => "\"{{ target }}\"".into(),
            _ => (*self.dice.pick(&["a1", "a2", "b1"])).into(),
        }
    }

    fn action(&mut self, depth: usize) -> String {
        let node = self.node();
        let harmless = ["drain", "drain", "fill", "read", "read"];
        let any = ["reset", "reset", "wipe", "drain", "drain", "fill", "keep", "keep", "read"];
        let verb = if self.quiet { *self.dice.pick(&harmless) } else { *self.dice.pick(&any) };
        let mut text = format!("use: lab.node.{verb}, with: {{node: {node}}}");
        if self.dice.chance(10) {
            let group = if self.kind() == Kind::Group { "\"{{ target }}\"" } else { "web" };
            text = format!("use: lab.group.make, with: {{group: {group}}}");
        }
        if self.dice.chance(20) {
            let _ = write!(text, ", timeout: {}", self.dice.pick(&["1s", "2m"]));
        }
        if matches!(verb, "drain" | "fill" | "read") && text.contains(verb) && self.dice.chance(30) {
            text.push_str(", attempts: 2");
        }
        match self.dice.below(10) {
            0 => text.push_str(", undo: none"),
            1..=2 if depth > 0 => {
                let quiet = std::mem::replace(&mut self.quiet, true);
                let steps = self.inner(1, 0);
                self.quiet = quiet;
                let _ = write!(text, ", undo: {steps}");
            }
            _ => {}
        }
        text
    }

    /// What the decider does itself.
    fn inside(&mut self) -> String {
        if self.kind() == Kind::Service && self.dice.chance(50) {
            return "use: endpoint.set, with: {service: \"{{ target }}\", active: \"{{ target.standby }}\"}"
                .into();
        }
        "use: notify.send, with: {to: ops, text: \"hello {{ run.id }}\"}".into()
    }

    fn verify(&mut self) -> String {
        let check = self.check();
        let is = if check == "every" { "up" } else { *self.dice.pick(&["up", "up", "up", "down"]) };
        let hold = self.dice.pick(&["0s", "1s", "5s"]);
        format!(
            "verify: {{check: {check}, is: {is}, for: {hold}, within: {}}}",
            self.dice.pick(&["10s", "1m"])
        )
    }

    fn parallel(&mut self, depth: usize) -> String {
        let quiet = std::mem::replace(&mut self.quiet, true);
        let seen = self.before.len();
        let count = 2 + self.dice.below(3);
        let steps: Vec<String> = (0..count)
            .map(|_| {
                let step = self.step(depth);
                // Those beside it may not have begun.
                self.before.truncate(seen);
                step
            })
            .collect();
        self.quiet = quiet;
        let at_once = if self.dice.chance(50) {
            format!(", at_once: {}", 1 + self.dice.below(3))
        } else {
            String::new()
        };
        format!("parallel: [{}], fail: {}{at_once}", steps.join(", "), self.dice.pick(&["slow", "fast"]))
    }

    fn for_each(&mut self, depth: usize) -> String {
        let name = format!("i{}", self.steps);
        let (list, nodes) = match self.dice.below(5) {
            0 => ("[\"x\", \"y z\", \"x\"]".to_owned(), false),
            1 if self.kind() == Kind::Group => ("target.nodes".to_owned(), true),
            2 => ("group(\"web\").nodes.filter(n, !up(\"web/\" + n.name))".to_owned(), true),
            _ => ("group(\"web\").nodes".to_owned(), true),
        };
        let outer = self.item.clone();
        if nodes {
            self.item = Some(name.clone());
        }
        let count = 1 + self.dice.below(2);
        let steps = self.inner(count, depth);
        self.item = outer;
        let more = match self.dice.below(4) {
            0 => ", at_once: 2",
            1 => ", at_once: 3",
            2 => ", at_most: 2",
            _ => "",
        };
        format!("for_each: '{list}', as: {name}, steps: {steps}{more}")
    }

    fn choose(&mut self, depth: usize) -> String {
        let mut branches = Vec::new();
        for _ in 0..1 + self.dice.below(2) {
            let condition = self.condition();
            let steps = self.inner(1, depth);
            branches.push(format!("{{if: '{condition}', steps: {steps}}}"));
        }
        let steps = self.inner(1, depth);
        branches.push(format!("{{else: {steps}}}"));
        format!("choose: [{}]", branches.join(", "))
    }

    /// Another playbook, one of those that follow: so nothing runs itself.
    fn call(&mut self) -> String {
        let own = self.kind();
        let wide = width(self.books[self.nth]);
        let later = self.nth + 1..self.books.len();
        let later: Vec<usize> = later.filter(|nth| width(self.books[*nth]) <= wide).collect();
        if later.is_empty() || self.quiet && self.dice.chance(90) {
            return self.action(0);
        }
        let callee = *self.dice.pick(&later);
        let target = match (self.books[callee].0, own, &self.item) {
            (Kind::None, ..) => String::new(),
            (Kind::Node, _, Some(item)) => format!(", target: \"{{{{ {item} }}}}\""),
            (a, b, _) if a == b => String::new(),
            (Kind::Node, ..) => ", target: a2".into(),
            (Kind::Group, Kind::Node, _) => ", target: \"{{ target.group.name }}\"".into(),
            (Kind::Group, ..) => ", target: web".into(),
            (Kind::Service, ..) => ", target: shop".into(),
        };
        format!("run: p{callee}{target}")
    }
}
