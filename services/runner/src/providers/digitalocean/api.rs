//! Asking DigitalOcean: single things, lists over their pages, and what takes its time.

use regreen_schemas::Span;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{
    ask::{ActionId, Ask, DropletId, Tag},
    droplet::{Act, Droplet, OneAct, OneDroplet, Stand},
};
use crate::{
    connection::Ready,
    rest::{Class, Patience, Rest, Wrong},
};

/// Pages of a list that are read at most: two thousand entries.
const PAGES_MAX: u32 = 20;

/// The API, for one call.
#[derive(Clone)]
pub struct Api {
    pub rest: Rest,
    base: Url,
    /// Longest time that the call may take.
    pub timeout: Span,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(alias = "droplets", alias = "actions")]
    entries: Vec<T>,
    #[serde(default)]
    links: Links,
}

#[derive(Default, Deserialize)]
struct Links {
    #[serde(default)]
    pages: Pages,
}

#[derive(Default, Deserialize)]
struct Pages {
    next: Option<String>,
}

/// How something came out that was accepted.
pub enum Came {
    /// It is done.
    Completed,
    /// The provider has given it up.
    Errored,
    /// Nobody knows, and why.
    Unsure(String),
}

impl Api {
    pub fn new(rest: Rest, base: Url, timeout: Span) -> Self {
        Self { rest, base, timeout }
    }

    /// A request.
    pub fn ready(&self, ask: &Ask) -> Ready {
        self.rest.ready(ask.method(), ask.url(&self.base), ask.body().as_ref())
    }

    async fn read<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, Wrong> {
        self.rest.read(ask.url(&self.base)).await
    }

    /// A droplet; none when there is none of this number.
    pub async fn droplet(&self, id: DropletId) -> Result<Option<Droplet>, Wrong> {
        match self.read::<OneDroplet>(&Ask::Droplet(id)).await {
            Ok(found) => Ok(Some(found.droplet)),
            Err(wrong) if wrong.not_found => Ok(None),
            Err(wrong) => Err(wrong),
        }
    }

    /// All droplets that carry a tag.
    pub async fn tagged(&self, tag: &Tag) -> Result<Vec<Droplet>, Wrong> {
        self.list(|page| Ask::Tagged(tag.clone(), page)).await
    }

    /// Everything that was done to a droplet.
    pub async fn acts(&self, on: DropletId) -> Result<Vec<Act>, Wrong> {
        self.list(|page| Ask::Actions(on, page)).await
    }

    /// Pages are counted, and not followed: a link might lead anywhere, and the token would go along.
    async fn list<T: DeserializeOwned>(&self, ask: impl Fn(u32) -> Ask) -> Result<Vec<T>, Wrong> {
        let mut all = Vec::new();
        for page in 1..=PAGES_MAX {
            let read: Page<T> = self.read(&ask(page)).await?;
            all.extend(read.entries);
            if read.links.pages.next.is_none() {
                return Ok(all);
            }
        }
        Err(Wrong::permanent(format!("the list has more than {PAGES_MAX} pages: not all of it was read")))
    }

    /// Waits until something is over that is done to a droplet.
    pub async fn follow(&self, on: DropletId, action: ActionId) -> Came {
        let mut patience = Patience::new(self.timeout);
        let mut alone = None;
        loop {
            if let Err(late) = patience.next(alone.take()).await {
                return Came::Unsure(format!("action {action} on droplet {on} is not over: {late}"));
            }
            match self.read::<OneAct>(&Ask::Action(on, action)).await.map(|one| one.action.status) {
                Ok(Stand::Completed) => return Came::Completed,
                Ok(Stand::Errored) => return Came::Errored,
                Ok(Stand::InProgress) => {}
                Err(wrong) if wrong.class == Class::Transient => alone = wrong.retry_after,
                Err(wrong) => {
                    return Came::Unsure(format!("action {action} on droplet {on}: {}", wrong.reason));
                }
            }
        }
    }
}
