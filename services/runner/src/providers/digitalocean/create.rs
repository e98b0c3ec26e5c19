//! `digitalocean.droplet.create`: one droplet for a group. The API takes no token, and any number of droplets of one
//! name: what says whether a lost request was heard is a tag that only this effect's droplets carry.

use regreen_action::{Call, Refusal, params};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::Api,
    ask::{Ask, Tag},
    droplet::{Droplet, Status},
};
use crate::{
    connection::Ready,
    rest::{Class, Deed, Patience, Rest, Said, Wrong, doing},
};

/// Most characters of a name that is one of a host too.
const NAME_MAX: usize = 63;
/// Most bytes that the API takes.
const USER_DATA_BYTES_MAX: usize = 64 * 1024;
/// Before the action key.
const TAG: &str = "regreen-";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    group: Group,
    image: String,
    size: String,
    region: String,
    #[serde(default)]
    vpc: Option<String>,
    #[serde(default)]
    ssh_keys: Vec<Value>,
    #[serde(default)]
    tags: Vec<String>,
    user_data: String,
}

#[derive(Deserialize)]
struct Group {
    name: String,
}

struct Create {
    api: Api,
    group: String,
    tag: Tag,
    body: Value,
}

pub fn prepare(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let params: Params = params(command)?;
    if params.user_data.len() > USER_DATA_BYTES_MAX {
        return Err(Refusal::refused(format!("`user_data` is longer than {USER_DATA_BYTES_MAX} bytes")));
    }
    let tag = Tag::of(&format!("{TAG}{}", command.action_key))?;
    let mut tags = vec![tag.name().to_owned()];
    for given in &params.tags {
        tags.push(Tag::of(given)?.name().to_owned());
    }
    let mut body = json!({
        "name": name(&params.group.name, &command.action_key),
        "region": params.region,
        "size": params.size,
        "image": image(&params.image),
        "tags": tags,
        "user_data": params.user_data,
    });
    if !params.ssh_keys.is_empty() {
        body["ssh_keys"] = params.ssh_keys.into();
    }
    if let Some(vpc) = params.vpc {
        body["vpc_uuid"] = vpc.into();
    }
    Ok(doing(Create { api, group: params.group.name, tag, body }))
}

/// A slug, or the number of an image of one's own.
fn image(image: &str) -> Value {
    image.parse::<u64>().map_or_else(|_| image.into(), Value::from)
}

/// The group and the key: the name of a host, and no other effect's.
fn name(group: &str, key: &str) -> String {
    let plain = |text: &str| -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        text.chars().map(word).collect::<String>().trim_matches('-').to_owned()
    };
    let key = plain(key);
    let room = NAME_MAX.saturating_sub(key.len() + 1);
    let group: String = plain(group).chars().take(room).collect();
    format!("{}-{key}", group.trim_end_matches('-')).trim_matches('-').chars().take(NAME_MAX).collect()
}

/// What the droplets of the tag tell.
enum Made {
    Nothing,
    /// Not yet as it shall be: why.
    Coming(String),
    Ready(Value),
    /// Something that only a person can put right.
    Wrong(String),
}

impl Create {
    fn made(&self, droplets: &[Droplet]) -> Made {
        let droplet = match droplets {
            [] => return Made::Nothing,
            [droplet] => droplet,
            several => {
                let ids: Vec<String> = several.iter().map(|droplet| droplet.id.to_string()).collect();
                let (tag, ids) = (self.tag.name(), ids.join(" and "));
                return Made::Wrong(format!(
                    "droplets {ids} carry the tag {tag}: destroy all but one by hand"
                ));
            }
        };
        let state = format!("droplet {} is `{}`", droplet.id, droplet.status.word());
        match (droplet.status, droplet.address()) {
            (Status::Active, Some(address)) => {
                let id = droplet.id.to_string();
                let node = json!({"name": droplet.name, "id": id, "address": address, "group": self.group});
                Made::Ready(json!({"node": node}))
            }
            (Status::Active, None) => Made::Coming(format!("{state} and has no address")),
            (Status::New, _) => Made::Coming(state),
            (Status::Off | Status::Archive, _) => Made::Wrong(state),
        }
    }

    /// Looks until the droplet is as it shall be. Nothing is an answer only where nobody has said that it was made, and
    /// once it would be seen.
    async fn settled(&self, accepted: bool) -> Result<Made, Wrong> {
        let mut patience = Patience::new(self.api.timeout);
        loop {
            let mut alone = None;
            let state = match self.api.tagged(&self.tag).await.map(|droplets| self.made(&droplets)) {
                Ok(Made::Nothing) if accepted || !patience.would_be_seen() => {
                    format!("no droplet carries the tag {}", self.tag.name())
                }
                Ok(Made::Coming(state)) => state,
                Ok(made) => return Ok(made),
                Err(wrong) if accepted && wrong.class == Class::Transient => {
                    alone = wrong.retry_after;
                    wrong.reason
                }
                Err(wrong) => return Err(wrong),
            };
            if let Err(late) = patience.next(alone).await {
                return Ok(Made::Coming(format!("{state}: {late}")));
            }
        }
    }
}

impl Deed for Create {
    fn rest(&self) -> &Rest {
        &self.api.rest
    }

    fn request(&self) -> Ready {
        self.api.ready(&Ask::Create(self.body.clone()))
    }

    async fn accepted(&self, _: Said) -> Verb {
        match self.settled(true).await {
            Ok(Made::Ready(result)) => Verb::Ok { result },
            Ok(Made::Coming(reason) | Made::Wrong(reason)) => Verb::Unknown { reason: reason.into() },
            Ok(Made::Nothing) => Verb::Unknown { reason: "no droplet was seen".into() },
            Err(wrong) => Verb::Unknown { reason: wrong.reason.into() },
        }
    }

    async fn look(&self, _: Option<Value>) -> Result<Answer, Wrong> {
        Ok(match self.settled(false).await? {
            Made::Nothing => Answer::NotDone,
            Made::Ready(result) => Answer::Done { result },
            Made::Coming(state) => return Err(Wrong::not_yet(state)),
            Made::Wrong(state) => Answer::CannotTell { state: state.into() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hosts() {
        for (group, wanted) in [
            ("es-a", "es-a-00ff00ff00ff00ff"),
            ("Es_A.1", "es-a-1-00ff00ff00ff00ff"),
            ("-", "00ff00ff00ff00ff"),
            ("ä", "00ff00ff00ff00ff"),
        ] {
            assert_eq!(name(group, "00ff00ff00ff00ff"), wanted);
        }
        let long = name(&"x-".repeat(100), "00ff00ff00ff00ff");
        assert!(long.len() <= NAME_MAX && long.ends_with("x-00ff00ff00ff00ff"), "{long}");
        assert_eq!(image("42"), 42);
        assert_eq!(image("es-8"), "es-8");
    }
}
