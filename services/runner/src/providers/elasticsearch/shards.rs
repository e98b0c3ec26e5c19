//! Which nodes may hold shards: `cluster.routing.allocation.exclude._name`, a list shared with people. It is read,
//! changed by one name, written, and read again: the API knows no comparing write, so the time between reading and
//! writing is kept short, and the reading afterwards is what counts.

use std::collections::BTreeMap;

use super::{
    cluster::{Ask, Cluster, MASTER, SETTLE},
    names::Names,
};
use crate::rest::Wrong;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

const KEY: &str = "cluster.routing.allocation.exclude._name";
const PATH: &[&str] = &["_cluster", "settings"];

/// `_cluster/settings?flat_settings=true`. An answer without the two levels is not that of Elasticsearch: to take it
/// for empty lists would be to drop what others wrote.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Lists {
    persistent: Level,
    transient: Level,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Level {
    #[serde(rename = "cluster.routing.allocation.exclude._name")]
    names: Option<Names>,
}

impl Lists {
    /// Whether the list that is in force names this node.
    pub fn exclude(&self, name: &str) -> bool {
        self.in_force().1.as_ref().is_some_and(|names| names.has(name))
    }

    /// Whether a list names this node: one that is not in force would be after a restart of the whole cluster.
    pub fn mention(&self, name: &str) -> bool {
        self.levels().into_iter().any(|(_, names)| names.as_ref().is_some_and(|names| names.has(name)))
    }

    fn levels(&self) -> [(&'static str, &Option<Names>); 2] {
        [("persistent", &self.persistent.names), ("transient", &self.transient.names)]
    }

    /// A transient setting hides the persistent one.
    fn in_force(&self) -> (&'static str, &Option<Names>) {
        let [persistent, transient] = self.levels();
        if transient.1.is_some() { transient } else { persistent }
    }

    /// What to write so that the node is excluded.
    fn with(&self, name: &str) -> Value {
        let (level, names) = self.in_force();
        json!({level: {KEY: Names::with(names.as_ref(), name)}})
    }

    /// What to write so that no list names the node. A list of nothing else is reset; but an empty one stays where it
    /// hides another, which would come into force without it.
    fn without(&self, name: &str) -> Value {
        let mentioning = self.levels().into_iter().filter_map(|(level, names)| {
            let names = names.as_ref().filter(|names| names.has(name))?;
            let hides = level == "transient" && self.persistent.names.is_some();
            let left = names.without(name).or(hides.then(|| Names::Text(String::new())));
            Some((level, json!({KEY: left})))
        });
        json!(mentioning.collect::<BTreeMap<_, _>>())
    }
}

/// The lists as they are.
pub async fn read(cluster: &Cluster) -> Result<Lists, Wrong> {
    cluster.read(&Ask::get(PATH, &[("flat_settings", "true"), MASTER])).await
}

/// Keeps shards away from a node, or no longer. Whether anything had to be written.
pub async fn change(cluster: &Cluster, name: &str, exclude: bool) -> Result<bool, Wrong> {
    let lists = read(cluster).await?;
    let body = match exclude {
        true if lists.exclude(name) => return Ok(false),
        true => lists.with(name),
        false if !lists.mention(name) => return Ok(false),
        false => lists.without(name),
    };
    let query = [("flat_settings", "true"), MASTER, SETTLE];
    cluster.write(&Ask { method: Method::PUT, path: PATH, query: &query, body: Some(body) }).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(persistent: &Value, transient: &Value) -> Lists {
        let level = |names: &Value| if names.is_null() { json!({"x": 1}) } else { json!({KEY: names}) };
        serde_json::from_value(json!({"persistent": level(persistent), "transient": level(transient)}))
            .expect("lists")
    }

    #[test]
    fn a_name_goes_into_the_list_that_is_in_force() {
        let none = json!(null);
        let table = [
            (lists(&none, &none), json!({"persistent": {KEY: "a2"}})),
            (lists(&json!("x, y"), &none), json!({"persistent": {KEY: "x, y,a2"}})),
            (lists(&json!("x"), &json!("y")), json!({"transient": {KEY: "y,a2"}})),
            // It hides the name that is there.
            (lists(&json!("a2"), &json!("y")), json!({"transient": {KEY: "y,a2"}})),
        ];
        for (lists, body) in table {
            assert!(!lists.exclude("a2"), "{lists:?}");
            assert_eq!(lists.with("a2"), body, "{lists:?}");
        }
        assert!(lists(&json!("a2"), &none).exclude("a2"));
        assert!(lists(&none, &json!("a2")).exclude("a2"));
    }

    #[test]
    fn a_name_leaves_every_list_and_only_lists_that_held_it_are_written() {
        let none = json!(null);
        let table = [
            (lists(&json!("a2"), &none), json!({"persistent": {KEY: null}})),
            (lists(&json!("x, a2"), &json!("y")), json!({"persistent": {KEY: "x"}})),
            (lists(&json!("a2,x"), &json!("a2")), json!({"persistent": {KEY: "x"}, "transient": {KEY: ""}})),
            (lists(&json!("x"), &json!("a2")), json!({"transient": {KEY: ""}})),
            (lists(&none, &json!("a2")), json!({"transient": {KEY: null}})),
        ];
        for (lists, body) in table {
            assert!(lists.mention("a2"), "{lists:?}");
            assert_eq!(lists.without("a2"), body, "{lists:?}");
        }
        assert!(!lists(&json!("a20"), &json!("a*")).mention("a2"));
    }

    #[test]
    fn an_answer_without_both_levels_is_none() {
        for wrong in [json!({}), json!({"persistent": {}}), json!({"transient": {}}), json!([])] {
            assert!(serde_json::from_value::<Lists>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
