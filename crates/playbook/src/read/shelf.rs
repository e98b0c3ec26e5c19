//! What playbooks take from other files: actions, and files of text to be filled in. Read before all else, so that
//! the order of files means nothing.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    action::{Action, known},
    diagnostic::{Findings, Place, Source, nearest},
    template::File,
    tree::Node,
    walk::Walk,
};

/// Actions and files by name.
pub(crate) struct Shelf {
    /// Those that this build knows, and foreign ones.
    pub actions: BTreeMap<Arc<str>, Arc<Action>>,
    /// Where foreign ones are declared.
    pub declared: BTreeMap<Arc<str>, Place>,
    /// By path; none where a file can't be read, which has its own finding.
    files: BTreeMap<String, Option<Arc<File>>>,
}

/// How a file's name ends, when it is text to be filled in.
const TEMPLATE: &str = ".hbs";
/// How a file's name may end, when it holds tests of playbooks, which are read elsewhere.
const TESTS: [&str; 2] = [".test.yaml", ".test.yml"];

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Documents.
    Yaml,
    /// Text to be filled in.
    Template,
    /// Tests of playbooks.
    Tests,
}

impl Form {
    pub fn of(source: &Source) -> Self {
        if source.path.ends_with(TEMPLATE) {
            Self::Template
        } else if TESTS.iter().any(|end| source.path.ends_with(end)) {
            Self::Tests
        } else {
            Self::Yaml
        }
    }
}

impl Shelf {
    /// What this build knows.
    pub fn new() -> Self {
        let actions = known().into_iter().map(|action| (action.name.clone(), Arc::new(action))).collect();
        Self { actions, declared: BTreeMap::new(), files: BTreeMap::new() }
    }

    /// Reads a file of text.
    pub fn file(&mut self, file: usize, findings: &mut Findings) {
        let source = &findings.sources[file];
        let path = joined("", &source.path);
        let read = match File::parse(&source.path, &source.text) {
            Ok(read) => Some(Arc::new(read)),
            Err(error) => {
                let hint = "only `{{ path }}`, `{{#if path}}`, `{{#each path as |item|}}`, `{{else}}` and comments; \
                            `\\{{` stands for itself";
                let at = Place { file, range: error.range };
                findings.error(309, at, error.message, "not allowed in .hbs", hint);
                None
            }
        };
        self.files.insert(path, read);
    }
}

/// The file of that name, as seen from the file that is being read.
pub(super) fn file(walk: &mut Walk<'_>, node: &Node) -> Option<Arc<File>> {
    let name = walk.plain(node, "template")?;
    let from = walk.findings.sources[walk.file].path.as_str();
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = joined(folder, name);
    if let Some(found) = walk.shelf.files.get(&path) {
        return found.clone();
    }
    let within = if folder.is_empty() { String::new() } else { format!("{}/", joined("", folder)) };
    let files = walk.shelf.files.keys().map(|path| path.strip_prefix(&within).unwrap_or(path));
    let hint = nearest(name, files).map_or_else(
        || format!("put it beside this file, as `{path}`"),
        |near| format!("did you mean `{near}`?"),
    );
    walk.error(205, node, format!("unknown file `{name}`"), "not among the files", hint);
    None
}

/// A path from a folder, without `.` and `..`.
fn joined(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let folder = if name.starts_with('/') { "" } else { folder };
    for part in folder.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::{super::tests::read, joined};
    use crate::model::{Arg, StepKind};

    fn playbook(file: &str) -> String {
        format!(
            "apiVersion: regreen/v1\nplaybook: p\nsteps:\n  - {{id: a, use: notify.send, with: {{to: ops, text: {{template: {file}}}}}}}\n"
        )
    }

    #[test]
    fn a_file_is_found_from_where_the_playbook_stands() {
        let cases: &[(&str, &str, &str)] = &[
            ("p.yaml", "a.hbs", "a.hbs"),
            ("books/p.yaml", "a.hbs", "books/a.hbs"),
            ("books/p.yaml", "texts/a.hbs", "books/texts/a.hbs"),
            ("books/p.yaml", "../texts/a.hbs", "texts/a.hbs"),
            ("./books/p.yaml", "./a.hbs", "books/a.hbs"),
            ("/etc/books/p.yaml", "a.hbs", "/etc/books/a.hbs"),
        ];
        for (playbook_path, name, path) in cases {
            let (draft, findings) = read(&[(playbook_path, &playbook(name)), (path, "hello")]);
            assert!(findings.list.is_empty(), "{}", findings.render(false));
            let StepKind::Use(used) = &draft.playbooks[0].0.steps[0].kind else {
                panic!("it uses an action")
            };
            assert!(matches!(&used.args[1].1, Arg::File(file) if *file.path == **path), "{:?}", used.args);
        }
        assert_eq!(joined("a/b", "../../../c"), "../c");
    }

    #[test]
    fn what_is_not_there_or_not_allowed_is_told_where_it_stands() {
        let (_, findings) = read(&[("b/p.yaml", &playbook("nod.hbs")), ("b/node.hbs", "x")]);
        let [finding] = findings.list.as_slice() else { panic!("{}", findings.render(false)) };
        assert_eq!((finding.code, finding.hint.as_str()), (205, "did you mean `node.hbs`?"));
        let (_, findings) =
            read(&[("b/p.yaml", &playbook("a.hbs")), ("b/a.hbs", "x\n{{#unless a}}y{{/unless}}")]);
        let [finding] = findings.list.as_slice() else { panic!("{}", findings.render(false)) };
        assert_eq!((finding.code, finding.at.file, finding.at.range.clone()), (309, 1, 2..15));
    }

    #[test]
    fn tests_of_playbooks_are_left_alone() {
        let (_, findings) = read(&[("p.test.yaml", "[")]);
        assert!(findings.list.is_empty());
        let (_, findings) = read(&[("p.yaml", "apiVersion: regreen/v1\ntests: p\ncases: []\n")]);
        assert_eq!(
            findings.list.iter().map(|one| one.code).collect::<Vec<_>>(),
            [108],
            "nothing would run them"
        );
    }
}
