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

/// The text that a link from a page of the reference leads to, and the place in it.
fn target<'l>(pages: &BTreeMap<&str, String>, page: &str, link: &'l str) -> (String, &'l str) {
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let path = if file.is_empty() { page.to_owned() } else { format!("docs/reference/{file}") };
    let other = || {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(&path);
        fs::read_to_string(file).unwrap_or_else(|_| panic!("{page}: {link}"))
    };
    (pages.get(&*path).cloned().unwrap_or_else(other), place)
}

#[test]
fn no_link_leads_nowhere() {
    let pages = pages();
    for (page, text) in &pages {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (text, place) = target(&pages, page, link);
            let found = place.is_empty() || anchors(&text).iter().any(|known| known == place);
            assert!(found, "{page}: {link}");
        }
    }
}
