//! docs/reference: made from the tables, complete, and without links that lead nowhere.

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{current, own};
use regreen_playbook::{codes, keys, names, reference::reference};

fn pages() -> BTreeMap<&'static str, String> {
    reference(&own()).into_iter().collect()
}

#[test]
fn the_pages_are_the_tables() {
    for (path, text) in pages() {
        current(path, &text);
    }
}

#[test]
fn every_key_action_and_name_has_its_line() {
    let pages = pages();
    let keys_page = &pages["docs/reference/keys.md"];
    for table in keys::tables() {
        let section = keys_page.split("\n## ").find(|section| section.lines().next() == Some(table.name));
        let section = section.unwrap_or_else(|| panic!("{} has no section", table.name));
        for key in table.keys {
            let start = format!("| `{}` |", key.name);
            assert_eq!(section.matches(&start).count(), 1, "{}.{}", table.name, key.name);
        }
    }
    for action in own().values() {
        assert!(pages["docs/reference/actions.md"].contains(&format!("\n## {}\n", action.name)));
    }
    for function in names::functions() {
        assert!(pages["docs/reference/cel.md"].contains(&format!("| `{}` |", function.usage)));
    }
}

#[test]
fn every_error_of_a_key_is_known() {
    for table in keys::tables() {
        for key in table.keys {
            let unknown: Vec<u16> =
                key.findings().into_iter().filter(|code| codes::find(*code).is_none()).collect();
            assert_eq!(unknown, Vec::<u16>::new(), "{}.{}", table.name, key.name);
        }
    }
}

/// The anchors of a page, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let kept = line.trim_start_matches(['#', ' ']).to_lowercase();
        let kept: String =
            kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect();
        kept.replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn no_link_leads_nowhere() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let pages = pages();
    for (path, text) in &pages {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let file =
                if file.is_empty() { Path::new(path).file_name().expect("a page") } else { file.as_ref() };
            let target = fs::read_to_string(folder.join(file)).unwrap_or_else(|_| panic!("{path}: {link}"));
            assert!(
                place.is_empty() || anchors(&target).iter().any(|known| known == place),
                "{path}: {link}"
            );
        }
    }
}
