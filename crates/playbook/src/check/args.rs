//! Parameters of actions: each of its type, and inventory objects instead of raw ids.

use regreen_schemas::action::ParamType;

use super::{
    judge::{Judge, items},
    outside::{CODE_HINT, outside},
};
use crate::{
    action::{NOTIFY_SEND, Param, ParamKind},
    cel::{self, Scope},
    diagnostic::Place,
    model::{Arg, Subject, TargetKind, Use},
    template::{File, Spot, Template, Wants},
    tree::Node,
    value::Type,
};

/// The kind of inventory object that a parameter wants.
fn object(kind: &ParamKind) -> Option<TargetKind> {
    match kind {
        ParamKind::Is(ParamType::Node) => Some(TargetKind::Node),
        ParamKind::Is(ParamType::Group) => Some(TargetKind::Group),
        ParamKind::Service => Some(TargetKind::Service),
        _ => None,
    }
}

/// The type that a value of a parameter must have; none: anything that can be written.
fn wanted(kind: &ParamKind) -> Option<Type> {
    match kind {
        ParamKind::Is(ParamType::Int) => Some(Type::Int),
        ParamKind::Is(ParamType::Bool) => Some(Type::Bool),
        ParamKind::Is(ParamType::Duration) => Some(Type::Span),
        ParamKind::OneOf(_) | ParamKind::Receiver => Some(Type::Str),
        ParamKind::Is(_) | ParamKind::Service => None,
    }
}

impl Judge<'_> {
    pub(super) fn parameters(&mut self, action: &Use, node: &Node, scope: &Scope) {
        let with = node.get("with").unwrap_or(node);
        for (name, arg) in &action.args {
            let param = action.action.params.iter().find(|param| param.name == *name);
            let at = with.get(name).unwrap_or(with);
            match arg {
                // People read it: what is missing prints as missing.
                Arg::Template(text, _) if &*action.action.name == NOTIFY_SEND && &**name == "text" => {
                    self.lenient(text, at, scope);
                }
                _ => self.argument(arg, param, at, scope),
            }
        }
        // Which parameter the object stands in: the one that is written, and no argument.
        let of = action.action.params.iter().find_map(|param| {
            let kind = object(&param.kind)?;
            let taken = action.args.iter().any(|(name, _)| *name == param.name);
            Some((kind, with.get(&param.name)?)).filter(|_| !taken)
        });
        match (&action.subject, of) {
            (Some(subject), Some((kind, at))) => self.subject(subject, kind, at, scope),
            (None, None) if action.destructive => {
                let at = node.get("use").unwrap_or(node);
                let hint = "say what it acts on: `node: \"{{ target }}\"` or `group: …`";
                self.error(501, at, "a destructive step without object", "this step", hint);
            }
            // What is there but wrong has its own finding.
            _ => {}
        }
    }

    fn subject(&mut self, subject: &Subject, kind: TargetKind, node: &Node, scope: &Scope) {
        match subject {
            Subject::Path(template) => self.object(template, kind, node, scope),
            Subject::Node(name) | Subject::Group(name) | Subject::Service(name) => {
                self.named(name, kind, node);
            }
        }
    }

    /// A path to an inventory object.
    fn object(&mut self, template: &Template, kind: TargetKind, node: &Node, scope: &Scope) {
        let found = self.template(template, node, scope);
        if let Some(found) = found.filter(|found| *found != Type::Object(kind.word())) {
            let message = format!("{found} where a {} is wanted", kind.word());
            self.error(204, node, message, "no inventory object", "pass `{{ target }}`");
        }
    }

    /// An inventory object by its name.
    fn named(&mut self, name: &str, kind: TargetKind, node: &Node) {
        let inventory = &self.set.inventory;
        let found = match kind {
            TargetKind::Node => inventory.node(name),
            TargetKind::Group => inventory.group(name),
            _ => inventory.service(name),
        };
        if found.is_none() {
            let message = format!("raw id for a {}", kind.word());
            let label = format!("`{name}` is not in the inventory");
            let hint = format!("pass `{{{{ target }}}}`, or a {}'s name", kind.word());
            self.error(204, node, message, label, hint);
        }
    }

    fn argument(&mut self, arg: &Arg, param: Option<&Param>, node: &Node, scope: &Scope) {
        match arg {
            Arg::Template(template, _) => self.filled(template, param, node, scope),
            Arg::Map(entries) => {
                for (key, arg) in entries {
                    self.argument(arg, param, node.get(key).unwrap_or(node), scope);
                }
            }
            Arg::List(args) => {
                args.iter()
                    .zip(items(Some(node)))
                    .for_each(|(arg, node)| self.argument(arg, param, node, scope));
            }
            Arg::File(file) => self.file(file, param, node, scope),
            Arg::Constant(value) => {
                let (Some(param), Some(text)) = (param, value.as_str()) else { return };
                match object(&param.kind) {
                    Some(kind) => self.named(text, kind, node),
                    None if param.kind == ParamKind::Receiver => self.known_receiver(text, node),
                    None => {}
                }
            }
            Arg::Secret(_) => {}
        }
    }

    fn filled(&mut self, template: &Template, param: Option<&Param>, node: &Node, scope: &Scope) {
        let Some(param) = param else {
            self.template(template, node, scope);
            return;
        };
        if let Some(kind) = object(&param.kind) {
            return self.object(template, kind, node, scope);
        }
        if let Some(found) = self.template(template, node, scope)
            && let Some(wanted) = wanted(&param.kind)
            && found != wanted
            && found != Type::Json
        {
            let message = format!("`{}` wants {wanted}", param.name);
            let hint = match wanted {
                Type::Int => "a number keeps its type only when its path stands alone",
                _ => "",
            };
            self.error(305, node, message, format!("this is {found}"), hint);
        }
        if param.kind == ParamKind::Is(ParamType::Code) {
            self.code(template, &param.name, node, scope);
        }
    }

    /// A file is filled in as a template is; what it becomes is code, whatever it is for.
    fn file(&mut self, file: &File, param: Option<&Param>, node: &Node, scope: &Scope) {
        let name = param.map_or("with", |param| &*param.name);
        let of = |judge: &Self, spot: &Spot| {
            let sources = &judge.findings.sources;
            let found = sources.iter().position(|source| source.path == *file.path);
            found.map_or_else(
                || judge.at(node.range.clone()),
                |file| Place { file, range: spot.range.clone() },
            )
        };
        for spot in file.paths() {
            let at = of(self, &spot);
            let (found, problems) = cel::check(&spot.expr, scope);
            for problem in problems {
                self.findings.error(problem.code, at.clone(), problem.message, problem.label, problem.hint);
                self.used_here(node);
            }
            let wrong = found.and_then(|found| match (spot.wants, &found) {
                (Wants::Text, _) | (Wants::Bool, Type::Bool) | (Wants::List, Type::List(_)) => None,
                (Wants::Bool, _) => Some(("`#if` wants true or false", found)),
                (Wants::List, _) => Some(("`#each` wants a list", found)),
            });
            if let Some((message, found)) = wrong {
                self.findings.error(305, at.clone(), message, format!("this is {found}"), "");
                self.used_here(node);
            }
            // Only what is printed becomes code.
            let printed = spot.wants == Wants::Text;
            if let Some(what) = outside(&spot.expr.tree, self.playbook, scope).filter(|_| printed) {
                let label = format!("{what}, in `{name}`");
                self.findings.error(308, at, "untrusted text as code", label, CODE_HINT);
                self.used_here(node);
            }
        }
    }

    fn used_here(&mut self, node: &Node) {
        let at = self.at(node.range.clone());
        self.findings.also(at, "filled in here");
    }
}
