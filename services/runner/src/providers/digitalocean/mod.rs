//! DigitalOcean: droplets, by their ids. To add an action, copy `destroy.rs`, name it below, and declare it in
//! `schemas/src/action/digitalocean.rs`.

mod act;
mod api;
mod ask;
mod create;
mod destroy;
mod droplet;
mod get;
mod inventory;
mod tag;

use regreen_action::{Action, Call, Refusal};
use regreen_kit::secrets::Secrets;
use regreen_schemas::{
    action::{Declaration, digitalocean as declared},
    command::Command,
};
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use self::api::Api;
use super::{SecretName, Served};
use crate::{connection::Client, rest::Rest};

/// `providers.digitalocean` of the runner's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where the API is.
    #[serde(default = "home", deserialize_with = "base")]
    pub url: Url,
    /// The token; it needs the scopes droplet, tag, and actions.
    pub token: SecretName,
}

fn home() -> Url {
    Url::parse("https://api.digitalocean.com").expect("invariant: it is one")
}

fn base<'de, D: Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    let text = String::deserialize(from)?;
    let url = Url::parse(&text).map_err(|error| D::Error::custom(format!("that is no URL: {error}")))?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
        return Err(D::Error::custom("a URL of http or https, without credentials and query, is wanted"));
    }
    if url.path().trim_end_matches('/').ends_with("/v2") {
        return Err(D::Error::custom("`/v2` is added by itself: take it out"));
    }
    Ok(url)
}

/// What makes a command a call.
type Prepare = fn(Api, &Command) -> Result<Box<dyn Call>, Refusal>;

const SERVED: [(&Declaration, Prepare); 11] = [
    (&declared::DROPLET_GET, get::prepare),
    (&declared::DROPLET_REBOOT, act::reboot),
    (&declared::DROPLET_POWER_CYCLE, act::power_cycle),
    (&declared::DROPLET_POWER_ON, act::power_on),
    (&declared::DROPLET_POWER_OFF, act::power_off),
    (&declared::DROPLET_SNAPSHOT, act::snapshot),
    (&declared::DROPLET_CREATE, create::prepare),
    (&declared::DROPLET_DESTROY, destroy::prepare),
    (&declared::DROPLET_TAG, tag::tag),
    (&declared::DROPLET_UNTAG, tag::untag),
    (&declared::INVENTORY_LIST, inventory::prepare),
];

/// All actions.
pub fn actions(client: &Client, options: &Options, secrets: &Secrets) -> Vec<Box<dyn Action>> {
    let served = SERVED.map(|(declaration, make)| {
        let (client, options, secrets) = (client.clone(), options.clone(), secrets.clone());
        let prepare = move |command: &Command| {
            let rest = Rest::bearer(&client, &secrets, &options.token.secret)?;
            make(Api::new(rest, options.url.clone(), command.task.timeout), command)
        };
        Box::new(Served { declaration, prepare }) as Box<dyn Action>
    });
    served.into()
}
