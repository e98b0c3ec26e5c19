//! What a node knows when it starts: its `elasticsearch.yml`, and the machine that it runs on.

use std::{collections::BTreeMap, net::Ipv4Addr};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// Where nodes find each other.
pub const TRANSPORT: u16 = 9300;
/// Where clients find them.
pub const HTTP: u16 = 9200;

/// Of what machine it is a process.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `${HOSTNAME}` of the file.
    pub hostname: String,
    /// Its one address.
    pub address: Ipv4Addr,
}

/// A configuration that a node can start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `cluster.name`.
    pub cluster: String,
    /// `node.name`.
    pub name: String,
    /// `discovery.seed_hosts`, each with its port.
    pub seeds: Vec<String>,
    /// `cluster.initial_master_nodes`, by name.
    pub initial: Vec<String>,
}

/// The file, flat or nested as people write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Yaml {
    Map(BTreeMap<String, Yaml>),
    List(Vec<String>),
    Text(String),
    Other(serde::de::IgnoredAny),
}

/// Reads `elasticsearch.yml` as that machine would.
pub fn read(text: &str, machine: &Machine) -> anyhow::Result<Config> {
    let text = text.replace("${HOSTNAME}", &machine.hostname);
    let file: BTreeMap<String, Yaml> =
        serde_saphyr::from_str(&text).context("elasticsearch.yml is no YAML")?;
    let mut settings = BTreeMap::new();
    flatten("", file, &mut settings)?;
    let mut take = |key: &str| settings.remove(key).unwrap_or_default();
    let (cluster, name) = (take("cluster.name"), take("node.name"));
    let (seeds, initial) = (take("discovery.seed_hosts"), take("cluster.initial_master_nodes"));
    let hosts = take("network.host");
    if let Some(unknown) = settings.keys().next() {
        bail!("unknown setting [{unknown}] in elasticsearch.yml: a node that finds one does not start");
    }
    let own = machine.address.to_string();
    if !hosts.iter().any(|host| ["_site_", "0.0.0.0", own.as_str()].contains(&host.as_str())) {
        bail!("network.host is {hosts:?}: nobody else reaches this node; add `_site_`");
    }
    Ok(Config {
        cluster: one("cluster.name", &cluster)?,
        name: one("node.name", &name)?,
        seeds: seeds.iter().map(|seed| with_port(seed)).collect::<anyhow::Result<_>>()?,
        initial,
    })
}

fn flatten(
    prefix: &str,
    map: BTreeMap<String, Yaml>,
    into: &mut BTreeMap<String, Vec<String>>,
) -> anyhow::Result<()> {
    for (key, value) in map {
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Yaml::Map(inner) => flatten(&path, inner, into)?,
            Yaml::List(items) => drop(into.insert(path, items)),
            Yaml::Text(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                into.insert(path, items.map(str::to_owned).collect());
            }
            Yaml::Other(_) => bail!("{path} in elasticsearch.yml is neither text nor a list of texts"),
        }
    }
    Ok(())
}

fn one(key: &str, values: &[String]) -> anyhow::Result<String> {
    match values {
        [value] if !value.contains('$') => Ok(value.clone()),
        _ => bail!("{key} in elasticsearch.yml is {values:?}: one word is wanted"),
    }
}

fn with_port(seed: &str) -> anyhow::Result<String> {
    let (host, port) = match seed.split_once(':') {
        Some((host, port)) => (host, port.parse().with_context(|| format!("the seed host {seed}"))?),
        None => (seed, TRANSPORT),
    };
    anyhow::ensure!(
        !host.is_empty() && !host.contains(['{', '}', ' ', '/']),
        "the seed host `{seed}` is no host"
    );
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let machine = Machine { hostname: "es-a-4".into(), address: Ipv4Addr::new(127, 83, 7, 4) };
        super::read(text, &machine).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_of_a_node_is_read_flat_or_nested() {
        let expected = Config {
            cluster: "es-a".into(),
            name: "es-a-4".into(),
            seeds: vec!["127.83.7.1:9300".into(), "127.83.7.2:9301".into()],
            initial: Vec::new(),
        };
        let flat = "cluster.name: es-a\nnode.name: ${HOSTNAME}\nnetwork.host: [_local_, _site_]\n\
                    discovery.seed_hosts:\n  - 127.83.7.1\n  - 127.83.7.2:9301\n";
        let nested = "cluster: {name: es-a}\nnode: {name: es-a-4}\nnetwork: {host: 127.83.7.4}\n\
                      discovery: {seed_hosts: '127.83.7.1, 127.83.7.2:9301'}\n";
        assert_eq!(read(flat), Ok(expected.clone()));
        assert_eq!(read(nested), Ok(expected));
    }

    #[test]
    fn what_no_node_would_start_with_is_refused() {
        let table = [
            ("node.name: a\nnetwork.host: _site_\n", "cluster.name"),
            ("cluster.name: a\nnode.name: $HOST\nnetwork.host: _site_\n", "node.name"),
            ("cluster.name: a\nnode.name: a\n", "network.host"),
            ("cluster.name: a\nnode.name: a\nnetwork.host: _local_\n", "network.host"),
            ("cluster.name: a\nnode.name: a\nnetwork.host: _site_\nclustre.name: b\n", "clustre.name"),
            (
                "cluster.name: a\nnode.name: a\nnetwork.host: _site_\ndiscovery.seed_hosts: ['{{ a }}']\n",
                "seed host",
            ),
            ("cluster.name: [\n", "no YAML"),
        ];
        for (text, why) in table {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
