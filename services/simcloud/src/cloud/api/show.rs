//! How droplets, actions, tags and snapshots look to clients.

use std::net::Ipv4Addr;

use regreen_kit::clock;
use serde_json::{Value, json};

use crate::cloud::state::{Action, Droplet, Progress, REGIONS, Snapshot, State, Status, Wish};

/// What every region offers.
const FEATURES: [&str; 3] = ["metadata", "private_networking", "storage"];
/// Memory and processors of a size that does not say them: `s-4vcpu-8gb` does.
const MEMORY: u64 = 1024;
const VCPUS: u64 = 1;
/// Gigabytes of disk for each gigabyte of memory.
const DISK_FOR_MEMORY: u64 = 25;

/// A time as the API writes it.
pub fn time(millis: i64) -> String {
    written(millis, chrono::SecondsFormat::Secs)
}

/// A time to the millisecond.
pub fn time_exact(millis: i64) -> String {
    written(millis, chrono::SecondsFormat::Millis)
}

fn written(millis: i64, exact: chrono::SecondsFormat) -> String {
    chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default().to_rfc3339_opts(exact, true)
}

/// Now, in milliseconds.
pub fn now() -> i64 {
    clock::wall().0
}

pub fn droplet(state: &State, droplet: &Droplet, netmask: Ipv4Addr) -> Value {
    let (vcpus, memory) = size(&droplet.wish.size);
    let status = match droplet.status {
        Status::New => "new",
        Status::Active => "active",
        Status::Off => "off",
    };
    json!({
        "id": droplet.id,
        "name": droplet.name,
        "memory": memory,
        "vcpus": vcpus,
        "disk": memory / 1024 * DISK_FOR_MEMORY,
        "disk_info": [],
        "locked": state.pending(droplet.id),
        "status": status,
        "kernel": null,
        "created_at": time(droplet.created),
        "features": features(&droplet.wish),
        "backup_ids": [],
        "next_backup_window": null,
        "snapshot_ids": droplet.snapshots,
        "image": image(droplet),
        "volume_ids": droplet.wish.volumes,
        "size": size_of(&droplet.wish.size),
        "size_slug": droplet.wish.size,
        "networks": networks(droplet, netmask),
        "region": region(droplet.region()),
        "tags": droplet.tags,
        "vpc_uuid": droplet.wish.vpc_uuid.clone().unwrap_or_default(),
    })
}

fn features(wish: &Wish) -> Vec<&'static str> {
    let all = [
        ("backups", wish.backups || wish.backup_policy.is_some()),
        ("droplet_agent", wish.with_droplet_agent != Some(false)),
        ("ipv6", wish.ipv6),
        ("monitoring", wish.monitoring),
        ("private_networking", wish.private_networking || wish.vpc_uuid.is_some()),
    ];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}

/// It has an address once it is made.
fn networks(droplet: &Droplet, netmask: Ipv4Addr) -> Value {
    if droplet.status == Status::New {
        return json!({"v4": [], "v6": []});
    }
    let one = |kind: &str| json!({"ip_address": droplet.address, "netmask": netmask, "gateway": "127.0.0.1", "type": kind});
    let mut v4 = vec![one("private")];
    if droplet.wish.public_networking != Some(false) {
        v4.push(one("public"));
    }
    json!({"v4": v4, "v6": []})
}

fn image(droplet: &Droplet) -> Value {
    let slug = droplet.wish.image.as_str();
    json!({
        "id": droplet.wish.image.as_u64().unwrap_or(1),
        "name": slug.unwrap_or("snapshot"),
        "type": if slug.is_some() { "base" } else { "snapshot" },
        "distribution": "Debian",
        "slug": slug,
        "public": slug.is_some(),
        "regions": REGIONS,
        "created_at": time(0),
        "min_disk_size": 15,
        "size_gigabytes": 1.5,
        "description": "",
        "tags": [],
        "status": "available",
        "error_message": "",
    })
}

/// Processors and megabytes of `s-4vcpu-8gb`.
fn size(slug: &str) -> (u64, u64) {
    let part = |unit: &str| slug.split('-').find_map(|part| part.strip_suffix(unit)?.parse::<u64>().ok());
    (part("vcpu").unwrap_or(VCPUS), part("gb").filter(|gb| *gb > 0).map_or(MEMORY, |gb| gb * 1024))
}

fn size_of(slug: &str) -> Value {
    let (vcpus, memory) = size(slug);
    json!({"slug": slug, "memory": memory, "vcpus": vcpus, "disk": memory / 1024 * DISK_FOR_MEMORY, "transfer": 1.0,
        "price_monthly": 5.0, "price_hourly": 0.007, "regions": REGIONS, "available": true, "description": "Basic"})
}

fn region(slug: &str) -> Value {
    json!({"name": slug, "slug": slug, "features": FEATURES, "available": true, "sizes": []})
}

pub fn action(action: &Action) -> Value {
    let status = match action.progress {
        Progress::Pending => "in-progress",
        Progress::Completed => "completed",
        Progress::Errored => "errored",
    };
    json!({
        "id": action.id,
        "status": status,
        "type": action.kind,
        "started_at": time(action.started),
        "completed_at": action.ended.map(time),
        "resource_id": action.droplet,
        "resource_type": "droplet",
        "region": region(&action.region),
        "region_slug": action.region,
    })
}

pub fn tag(state: &State, name: &str, base: &str) -> Value {
    let tagged = state.tagged(name);
    let mut droplets = json!({"count": tagged.len()});
    if let Some(last) = tagged.last() {
        droplets["last_tagged_uri"] = format!("{base}/v2/droplets/{last}").into();
    }
    let mut resources = droplets.clone();
    for kind in ["images", "volumes", "volume_snapshots", "databases"] {
        resources[kind] = json!({"count": 0});
    }
    resources["droplets"] = droplets;
    json!({"name": name, "resources": resources})
}

/// As `/v2/snapshots` shows it; its id is a text there.
pub fn snapshot(snapshot: &Snapshot) -> Value {
    json!({"id": snapshot.id.to_string(), "name": snapshot.name, "created_at": time(snapshot.created),
        "regions": [snapshot.region], "min_disk_size": 15, "size_gigabytes": 1.5,
        "resource_id": snapshot.droplet.to_string(), "resource_type": "droplet", "tags": []})
}

/// As `/v2/droplets/{id}/snapshots` shows it; its id is a number there.
pub fn snapshot_of_droplet(snapshot: &Snapshot) -> Value {
    json!({"id": snapshot.id, "name": snapshot.name, "created_at": time(snapshot.created),
        "regions": [snapshot.region], "min_disk_size": 15, "size_gigabytes": 1.5, "type": "snapshot"})
}
