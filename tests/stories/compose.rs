//! compose.yaml against what is said of it: its map in the README, and what a reference for deployments must keep to. The
//! stack itself is brought up by `make stack`.

use std::collections::{BTreeMap, BTreeSet};

const COMPOSE: &str = include_str!("../../compose.yaml");
const MAP: &str = include_str!("../../docs/stack.svg");
const DOCKERFILE: &str = include_str!("../../Dockerfile");

/// Each service with the lines of its own: what is below its name, without comments.
fn services() -> BTreeMap<&'static str, Vec<&'static str>> {
    let lines = COMPOSE.lines().skip_while(|line| *line != "services:").skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    let mut services: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut name = "";
    for line in lines.filter(|line| !line.trim_start().starts_with('#')) {
        match line.strip_prefix("  ").filter(|rest| !rest.is_empty() && !rest.starts_with(' ')) {
            Some(head) => name = head.split(':').next().expect("a name"),
            None => services.entry(name).or_default().push(line.trim()),
        }
    }
    services
}

#[test]
fn the_map_has_a_box_for_each_service_and_no_other() {
    let boxes = MAP.split("<text class=\"name\"").skip(1);
    let boxes: Vec<&str> = boxes
        .map(|text| text.split_once('>').and_then(|(_, rest)| rest.split_once('<')).expect("a label").0)
        .collect();
    let drawn: BTreeSet<&str> = boxes.iter().copied().collect();
    assert_eq!(boxes.len(), drawn.len(), "a box is drawn twice: {boxes:?}");
    let there: BTreeSet<&str> = services().into_keys().collect();
    assert_eq!(drawn, there, "docs/stack.svg (left) draws other services than compose.yaml (right) has");
    assert!(there.len() > 10, "the services were not found: {there:?}");
}

#[test]
fn the_map_is_readable_by_day_and_by_night() {
    assert!(MAP.contains("prefers-color-scheme: dark") && MAP.contains("<title") && MAP.contains("<desc"));
}

#[test]
fn ports_are_on_loopback_alone() {
    let ports: Vec<&str> = COMPOSE.lines().filter_map(|line| line.trim().strip_prefix("ports:")).collect();
    assert!(!ports.is_empty(), "nothing is published");
    for port in ports.iter().flat_map(|ports| ports.trim_matches([' ', '[', ']']).split(", ")) {
        assert!(port.starts_with("\"127.0.0.1:"), "{port} is published beyond this machine");
    }
}

#[test]
fn every_image_has_a_version_that_does_not_move() {
    let images = COMPOSE.lines().filter_map(|line| line.trim().strip_prefix("image: "));
    let bases = DOCKERFILE.lines().filter_map(|line| line.strip_prefix("FROM "));
    let bases = bases.map(|from| from.split(' ').next().expect("an image")).filter(|base| base.contains(':'));
    for image in images.chain(bases) {
        let tag = image.split_once(':').map_or("latest", |(_, tag)| tag);
        assert!(tag != "latest", "{image} is another image tomorrow");
    }
}

#[test]
fn what_is_built_has_a_target() {
    let targets: BTreeSet<&str> =
        DOCKERFILE.lines().filter_map(|line| line.split_once(" AS ")).map(|(_, name)| name).collect();
    for (service, lines) in services() {
        for line in lines.iter().filter(|line| line.starts_with("build:")) {
            let target =
                line.split("target: ").nth(1).and_then(|rest| rest.strip_suffix('}')).expect("a target");
            assert!(
                targets.contains(target),
                "{service} is built from `{target}`, which the Dockerfile has not"
            );
            assert!(
                lines.contains(&format!("image: regreen/{target}:{}", env!("CARGO_PKG_VERSION")).as_str()),
                "{service} is named by another version, or another target"
            );
        }
    }
}

#[test]
fn nobody_has_more_than_it_needs() {
    assert!(!COMPOSE.contains("docker.sock"), "the Docker socket is no service's here");
    assert!(!COMPOSE.contains("privileged: true") && !COMPOSE.contains("cap_add"));
    for (service, lines) in services() {
        let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
        // What takes its lines from another service has them checked there.
        let copy = ["<<: *probe", "<<: *alertmanager", "<<: *app", "<<: *search"].into_iter().any(has);
        assert!(copy || has("<<: *hardened") || has("cap_drop: [ALL]"), "{service} keeps its capabilities");
        assert!(copy || has("mem_limit: "), "{service} may take all memory");
        let ends = has("restart: \"no\"");
        assert!(copy || ends || has("healthcheck:"), "{service} is not asked whether it is well");
    }
}
