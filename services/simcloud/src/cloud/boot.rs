//! What a droplet makes of its `user_data` at its first start: cloud-config that writes the search node's
//! configuration and starts its service. Anything else leaves a droplet without a search node, as it would for real.

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// The first line, by which cloud-init knows it.
const HEADER: &str = "#cloud-config";
/// Where the search node reads its configuration.
const FILE: &str = "/etc/elasticsearch/elasticsearch.yml";
/// Commands that start it now.
const STARTS: [&[&str]; 3] = [
    &["systemctl", "enable", "--now", "elasticsearch"],
    &["systemctl", "start", "elasticsearch"],
    &["systemctl", "restart", "elasticsearch"],
];

/// The parts of cloud-config that are understood; others are ignored, as unknown modules are.
#[derive(Deserialize)]
struct CloudConfig {
    #[serde(default)]
    write_files: Vec<Written>,
    #[serde(default)]
    runcmd: Vec<Command>,
}

#[derive(Deserialize)]
struct Written {
    path: String,
    #[serde(default)]
    content: String,
}

/// A list of words is run as it is, a text by a shell.
#[derive(Deserialize)]
#[serde(untagged)]
enum Command {
    Words(Vec<String>),
    Shell(String),
}

impl Command {
    fn words(&self) -> Vec<&str> {
        match self {
            Self::Words(words) => words.iter().map(String::as_str).collect(),
            Self::Shell(line) => line.split_whitespace().collect(),
        }
    }
}

/// The elasticsearch.yml that the droplet has after its first start; an error is why no search node runs.
pub fn read(user_data: Option<&str>) -> anyhow::Result<String> {
    let text = user_data.context("there is no user_data")?;
    if text.lines().next().map(str::trim_end) != Some(HEADER) {
        bail!("user_data does not begin with `{HEADER}`");
    }
    let config: CloudConfig = serde_saphyr::from_str(text).context("user_data is no cloud-config")?;
    let file = config.write_files.iter().rev().find(|file| file.path == FILE);
    let file = file.with_context(|| format!("user_data writes no {FILE}"))?;
    let starts = config.runcmd.iter().any(|command| STARTS.contains(&command.words().as_slice()));
    if !starts {
        bail!("no runcmd starts elasticsearch: `[systemctl, enable, --now, elasticsearch]`");
    }
    Ok(file.content.clone())
}

/// The `user_data` of the droplets that are there when the simulation begins.
pub fn first(cluster: &str, seeds: &[String], names: &[String]) -> String {
    format!(
        "{HEADER}\nwrite_files:\n  - path: {FILE}\n    content: |\n      cluster.name: {cluster}\n      \
         node.name: ${{HOSTNAME}}\n      network.host: [_local_, _site_]\n      discovery.seed_hosts: [{}]\n      \
         cluster.initial_master_nodes: [{}]\nruncmd:\n  - [systemctl, enable, --now, elasticsearch]\n",
        seeds.join(", "),
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_cloud_config_starts_a_node() {
        let names = ["a".to_owned(), "b".to_owned()];
        let good = first("es-a", &["127.83.7.1".into()], &names);
        let yml = read(Some(&good)).expect("a good one");
        assert!(
            yml.starts_with("cluster.name: es-a\n") && yml.contains("initial_master_nodes: [a, b]"),
            "{yml}"
        );
        let shell =
            good.replace("[systemctl, enable, --now, elasticsearch]", "systemctl start elasticsearch");
        assert!(read(Some(&shell)).is_ok());
        let table = [
            (None, "no user_data"),
            (Some(good.replace("#cloud-config", "#!/bin/sh")), "begin with"),
            (Some(good.replace("elasticsearch.yml", "elastic.yml")), "writes no"),
            (Some(good.replace("--now, ", "")), "starts elasticsearch"),
            (Some(good.replace("runcmd:", "runcmds:")), "starts elasticsearch"),
            (Some(good.replace("content: |", "content: [")), "no cloud-config"),
        ];
        for (text, why) in table {
            let error = read(text.as_deref()).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
