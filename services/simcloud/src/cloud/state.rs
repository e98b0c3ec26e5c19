//! What the cloud holds: droplets, their actions, tags and snapshots. Without clock and network: what is asked of it is
//! refused or recorded, and what becomes of machines is the caller's part.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use serde::Deserialize;
use serde_json::Value;

use super::{api::errors::Refused, network::Network};

/// The first droplet's id, and the first action's; each its own sequence, as there.
const FIRST_DROPLET: u64 = 3_164_444;
const FIRST_ACTION: u64 = 36_804_636;
const FIRST_SNAPSHOT: u64 = 6_372_321;
/// Droplets that are made by one request.
const NAMES_MAX: usize = 10;
/// Longest name of a droplet or tag.
const NAME_MAX: usize = 255;
/// Largest user_data.
const USER_DATA_MAX: usize = 64 << 10;
/// The regions.
pub const REGIONS: [&str; 15] = [
    "ams1", "ams2", "ams3", "blr1", "fra1", "lon1", "nyc1", "nyc2", "nyc3", "sfo1", "sfo2", "sfo3", "sgp1",
    "tor1", "syd1",
];

/// What a droplet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    New,
    Active,
    Off,
}

/// A droplet.
#[derive(Clone, Debug)]
pub struct Droplet {
    pub id: u64,
    pub name: String,
    pub address: Ipv4Addr,
    pub status: Status,
    /// In milliseconds, as all times here.
    pub created: i64,
    pub wish: Wish,
    pub tags: BTreeSet<String>,
    pub snapshots: Vec<u64>,
}

/// The body that asks for droplets. What is not in it does not exist there: a client that sends it is wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    pub name: Option<String>,
    pub names: Option<Vec<String>>,
    pub region: Option<String>,
    pub size: String,
    pub image: Value,
    #[serde(default)]
    pub ssh_keys: Vec<Value>,
    #[serde(default)]
    pub backups: bool,
    pub backup_policy: Option<Value>,
    #[serde(default)]
    pub ipv6: bool,
    #[serde(default)]
    pub monitoring: bool,
    pub tags: Option<Vec<String>>,
    pub user_data: Option<String>,
    #[serde(default)]
    pub private_networking: bool,
    #[serde(default)]
    pub volumes: Vec<String>,
    pub vpc_uuid: Option<String>,
    pub with_droplet_agent: Option<bool>,
    pub public_networking: Option<bool>,
}

/// How far an action is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Pending,
    Completed,
    Errored,
}

/// Something that is done to a droplet, and takes its time.
#[derive(Clone, Debug)]
pub struct Action {
    pub id: u64,
    pub kind: &'static str,
    pub droplet: u64,
    pub region: String,
    pub started: i64,
    pub ended: Option<i64>,
    pub progress: Progress,
}

/// A picture of a droplet's disk.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub id: u64,
    pub name: String,
    pub droplet: u64,
    pub region: String,
    pub created: i64,
}

/// All of it.
#[derive(Debug)]
pub struct State {
    pub droplets: BTreeMap<u64, Droplet>,
    pub actions: BTreeMap<u64, Action>,
    pub tags: BTreeSet<String>,
    pub snapshots: BTreeMap<u64, Snapshot>,
    network: Network,
    next_droplet: u64,
    next_action: u64,
    next_snapshot: u64,
}

impl State {
    pub fn new(network: Network) -> Self {
        Self {
            droplets: BTreeMap::new(),
            actions: BTreeMap::new(),
            tags: BTreeSet::new(),
            snapshots: BTreeMap::new(),
            network,
            next_droplet: FIRST_DROPLET,
            next_action: FIRST_ACTION,
            next_snapshot: FIRST_SNAPSHOT,
        }
    }

    /// Makes droplets, each with its action `create`.
    pub fn create(&mut self, wish: &Wish, now: i64) -> Result<Vec<(u64, u64)>, Refused> {
        let names = names(wish)?;
        check(wish)?;
        let tags: BTreeSet<String> = wish.tags.clone().unwrap_or_default().into_iter().collect();
        for tag in &tags {
            tag_name(tag)?;
        }
        let mut made = Vec::new();
        for name in names {
            let address = self
                .network
                .next()
                .ok_or_else(|| Refused::unprocessable("the network has no address left"))?;
            let id = self.next_droplet;
            self.next_droplet += 1;
            self.tags.extend(tags.iter().cloned());
            let (wish, tags) = (wish.clone(), tags.clone());
            let (status, snapshots) = (Status::New, Vec::new());
            self.droplets
                .insert(id, Droplet { id, name, address, status, created: now, wish, tags, snapshots });
            made.push((id, self.act(id, "create", now)));
        }
        Ok(made)
    }

    /// Begins an action on a droplet. One at a time.
    pub fn begin(&mut self, droplet: u64, kind: &str, now: i64) -> Result<u64, Refused> {
        let status = self.droplet(droplet)?.status;
        self.idle(droplet)?;
        let kind = known(kind)?;
        match (kind, status) {
            ("power_on", Status::Active) => Err(Refused::unprocessable("Droplet is already powered on.")),
            ("power_off" | "shutdown", Status::Off) => {
                Err(Refused::unprocessable("Droplet is already powered off."))
            }
            _ => Ok(self.act(droplet, kind, now)),
        }
    }

    fn act(&mut self, droplet: u64, kind: &'static str, now: i64) -> u64 {
        let id = self.next_action;
        self.next_action += 1;
        let region = self.droplets.get(&droplet).map(Droplet::region).unwrap_or_default().to_owned();
        let progress = Progress::Pending;
        self.actions.insert(id, Action { id, kind, droplet, region, started: now, ended: None, progress });
        id
    }

    /// An action is over: what the droplet is from now on.
    pub fn end(&mut self, action: u64, progress: Progress, snapshot: Option<&str>, now: i64) {
        let Some(action) = self.actions.get_mut(&action) else { return };
        (action.progress, action.ended) = (progress, Some(now));
        let Some(droplet) = self.droplets.get_mut(&action.droplet) else { return };
        if progress != Progress::Completed {
            return;
        }
        match action.kind {
            "create" | "reboot" | "power_cycle" | "power_on" => droplet.status = Status::Active,
            "power_off" | "shutdown" => droplet.status = Status::Off,
            "snapshot" => {
                let id = self.next_snapshot;
                self.next_snapshot += 1;
                droplet.snapshots.push(id);
                let name = snapshot.map_or_else(|| format!("{}-{now}", droplet.name), str::to_owned);
                let region = droplet.region().to_owned();
                self.snapshots.insert(id, Snapshot { id, name, droplet: droplet.id, region, created: now });
            }
            _ => {}
        }
    }

    /// A droplet that is there.
    pub fn droplet(&self, id: u64) -> Result<&Droplet, Refused> {
        self.droplets.get(&id).ok_or_else(Refused::not_found)
    }

    /// Refuses while something is done to it.
    pub fn idle(&self, droplet: u64) -> Result<(), Refused> {
        if self.pending(droplet) { Err(Refused::pending_event()) } else { Ok(()) }
    }

    /// Whether something is done to it.
    pub fn pending(&self, droplet: u64) -> bool {
        self.actions.values().any(|action| action.droplet == droplet && action.progress == Progress::Pending)
    }

    /// Those with a tag.
    pub fn tagged(&self, tag: &str) -> Vec<u64> {
        self.droplets
            .values()
            .filter(|droplet| droplet.tags.contains(tag))
            .map(|droplet| droplet.id)
            .collect()
    }

    /// Makes a tag; it may be there.
    pub fn make_tag(&mut self, name: &str) -> Result<(), Refused> {
        tag_name(name)?;
        self.tags.insert(name.to_owned());
        Ok(())
    }

    /// Refuses a tag that is not there.
    pub fn tag(&self, name: &str) -> Result<(), Refused> {
        if self.tags.contains(name) { Ok(()) } else { Err(Refused::not_found()) }
    }

    /// Takes a tag away from everything.
    pub fn drop_tag(&mut self, name: &str) -> Result<(), Refused> {
        self.tag(name)?;
        self.tags.remove(name);
        for droplet in self.droplets.values_mut() {
            droplet.tags.remove(name);
        }
        Ok(())
    }
}

impl Droplet {
    /// Where it is.
    pub fn region(&self) -> &str {
        self.wish.region.as_deref().unwrap_or(REGIONS[4])
    }
}

/// Actions that are done here.
fn known(kind: &str) -> Result<&'static str, Refused> {
    const KINDS: [&str; 6] = ["reboot", "power_cycle", "power_on", "power_off", "shutdown", "snapshot"];
    let found = KINDS.into_iter().find(|known| *known == kind);
    found.ok_or_else(|| Refused::unprocessable(&format!("`{kind}` is no action, or none of this simulation")))
}

fn names(wish: &Wish) -> Result<Vec<String>, Refused> {
    let names = match (&wish.name, &wish.names) {
        (Some(name), None) => vec![name.clone()],
        (None, Some(names)) if (1..=NAMES_MAX).contains(&names.len()) => names.clone(),
        (None, Some(_)) => return Err(Refused::unprocessable("names: from one to ten are wanted")),
        _ => return Err(Refused::unprocessable("either name or names is wanted")),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    for name in &names {
        let ends = name.ends_with(|c: char| c.is_ascii_alphanumeric());
        if name.len() > NAME_MAX || !name.chars().all(legal) || !ends {
            return Err(Refused::unprocessable(
                "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)",
            ));
        }
    }
    Ok(names)
}

fn check(wish: &Wish) -> Result<(), Refused> {
    let image = match &wish.image {
        Value::String(slug) => !slug.is_empty(),
        Value::Number(id) => id.is_u64(),
        _ => false,
    };
    let size = !wish.size.is_empty() && wish.size.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let wrong = if !image {
        "You specified an invalid image for Droplet creation."
    } else if !size {
        "You specified an invalid size for Droplet creation."
    } else if wish.region.as_deref().is_some_and(|region| !REGIONS.contains(&region)) {
        "You specified an invalid region for Droplet creation."
    } else if !wish.ssh_keys.iter().all(|key| key.is_string() || key.is_u64()) {
        "ssh_keys: ids or fingerprints are wanted."
    } else if wish.user_data.as_ref().is_some_and(|text| text.len() > USER_DATA_MAX) {
        "User data is too large."
    } else {
        return Ok(());
    };
    Err(Refused::unprocessable(wrong))
}

fn tag_name(name: &str) -> Result<(), Refused> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-:".contains(c);
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(legal) {
        return Err(Refused::unprocessable(
            "Tag name may only contain letters, numbers, dashes, underscores and colons",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state() -> State {
        State::new("127.83.7.0/29".parse().expect("a network"))
    }

    fn wish(more: &Value) -> Wish {
        let mut all = json!({"name": "a", "size": "s-1vcpu-1gb", "image": "es-8", "tags": ["es-a"]});
        for (key, value) in more.as_object().expect("an object") {
            all[key] = value.clone();
        }
        serde_json::from_value(all).expect("a wish")
    }

    #[test]
    fn one_action_at_a_time() {
        let mut state = state();
        let (id, create) = state.create(&wish(&json!({})), 1).expect("made")[0];
        assert_eq!(state.droplets[&id].status, Status::New);
        let pending = state.begin(id, "reboot", 2).expect_err("it is being made");
        assert_eq!((pending.status, pending.message.contains("pending event")), (422, true));
        state.end(create, Progress::Completed, None, 3);
        assert_eq!(state.droplets[&id].status, Status::Active);
        let off = state.begin(id, "power_off", 4).expect("it is idle");
        assert!(state.idle(id).is_err());
        state.end(off, Progress::Errored, None, 5);
        assert_eq!(state.droplets[&id].status, Status::Active, "what failed changes nothing");
        let off = state.begin(id, "power_off", 6).expect("it is idle");
        state.end(off, Progress::Completed, None, 7);
        assert_eq!(state.begin(id, "power_off", 8).expect_err("it is off").status, 422);
        let snapshot = state.begin(id, "snapshot", 9).expect("it is idle");
        state.end(snapshot, Progress::Completed, Some("s"), 10);
        assert_eq!(state.snapshots.values().next().map(|one| one.name.as_str()), Some("s"));
        assert_eq!(state.begin(1, "reboot", 11).expect_err("no such one").status, 404);
        assert_eq!(state.begin(id, "rebuild", 11).expect_err("not here").status, 422);
    }

    #[test]
    fn what_the_cloud_would_not_make_is_refused() {
        let table = [
            json!({"name": "a_b"}),
            json!({"name": "a-"}),
            json!({"name": null}),
            json!({"names": ["b"]}),
            json!({"name": null, "names": []}),
            json!({"image": ""}),
            json!({"image": true}),
            json!({"size": "big one"}),
            json!({"region": "fra9"}),
            json!({"tags": ["a.b"]}),
        ];
        for more in table {
            assert_eq!(state().create(&wish(&more), 1).expect_err("wrong").status, 422, "{more}");
        }
        let mut full = state();
        let names = json!({"name": null, "names": ["a", "b", "c", "d", "e", "f"]});
        assert_eq!(full.create(&wish(&names), 1).expect("made").len(), 6);
        assert!(full.create(&wish(&json!({})), 1).is_err(), "six addresses, not seven");
    }

    #[test]
    fn tags_are_of_droplets_and_go_from_all_of_them() {
        let mut state = state();
        let (id, _) = state.create(&wish(&json!({})), 1).expect("made")[0];
        assert_eq!(state.tagged("es-a"), [id]);
        state.drop_tag("es-a").expect("it was there");
        assert!(state.tagged("es-a").is_empty() && state.drop_tag("es-a").is_err());
    }
}
