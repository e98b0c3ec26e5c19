//! Every request that is ever made, one variant each. This is the only place that builds a URL, and why nothing is ever
//! destroyed by tag: the API does that at `DELETE /v2/droplets?tag_name=…`, and here only [`Ask::Destroy`] deletes a
//! droplet. It holds nothing but a [`DropletId`], which is a number that is not zero; its path ends with that number;
//! and no request but a GET has a query.

use std::num::NonZeroU64;

use hyper::Method;
use regreen_action::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

/// Entries of a page; the API gives 200 at most.
const PER_PAGE: u32 = 100;
/// Most characters of a tag.
const TAG_MAX: usize = 255;

/// A droplet, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(transparent)]
pub struct DropletId(NonZeroU64);

/// Something that was done to a droplet, by its number. Later ones have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(transparent)]
pub struct ActionId(u64);

/// The name of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

/// A request.
#[derive(Clone, Debug)]
pub enum Ask {
    /// How a droplet is.
    Droplet(DropletId),
    /// Which droplets carry a tag.
    Tagged(Tag, u32),
    /// What was done to a droplet.
    Actions(DropletId, u32),
    /// How something that is done to a droplet stands.
    Action(DropletId, ActionId),
    /// Do something to a droplet.
    Act(DropletId, Value),
    /// Make a droplet.
    Create(Value),
    /// Destroy a droplet.
    Destroy(DropletId),
    /// Make a tag.
    NewTag(Tag),
    /// Give a droplet a tag.
    Tag(Tag, DropletId),
    /// Take a tag from a droplet.
    Untag(Tag, DropletId),
}

impl DropletId {
    /// From the inventory's `id`.
    ///
    /// # Errors
    /// When it is not the number of a droplet.
    pub fn of(node: &str, id: &str) -> Result<Self, Refusal> {
        let remedy = "write the droplet's number as its `id` in `inventory:`";
        if id.is_empty() {
            return Err(Refusal::refused(format!("node `{node}` has no `id`: {remedy}")));
        }
        let digits = id.bytes().all(|byte| byte.is_ascii_digit());
        let number = id.parse().ok().filter(|_| digits);
        number.map(Self).ok_or_else(|| {
            Refusal::refused(format!("node `{node}` has the `id` `{id}`, which is no droplet's: {remedy}"))
        })
    }
}

impl ActionId {
    /// Before all of them.
    pub const NONE: Self = Self(0);
}

impl std::fmt::Display for DropletId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

impl std::fmt::Display for ActionId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

impl Tag {
    /// A tag that the API takes.
    ///
    /// # Errors
    /// When it does not.
    pub fn of(name: &str) -> Result<Self, Refusal> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":-_".contains(&byte);
        if name.is_empty() || name.len() > TAG_MAX || !name.bytes().all(fits) {
            return Err(Refusal::refused(format!(
                "`{name}` is no tag: 1 to {TAG_MAX} letters, digits, `:`, `-` and `_`"
            )));
        }
        Ok(Self(name.to_owned()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Ask {
    /// How it is asked.
    pub fn method(&self) -> Method {
        match self {
            Self::Droplet(_) | Self::Tagged(..) | Self::Actions(..) | Self::Action(..) => Method::GET,
            Self::Act(..) | Self::Create(_) | Self::NewTag(_) | Self::Tag(..) => Method::POST,
            Self::Destroy(_) | Self::Untag(..) => Method::DELETE,
        }
    }

    /// Where, at an API that stands here.
    pub fn url(&self, base: &Url) -> Url {
        let path = match self {
            Self::Droplet(id) | Self::Destroy(id) => format!("droplets/{id}"),
            Self::Tagged(..) | Self::Create(_) => "droplets".to_owned(),
            Self::Actions(id, _) | Self::Act(id, _) => format!("droplets/{id}/actions"),
            Self::Action(id, action) => format!("droplets/{id}/actions/{action}"),
            Self::NewTag(_) => "tags".to_owned(),
            Self::Tag(tag, _) | Self::Untag(tag, _) => format!("tags/{}/resources", tag.0),
        };
        let mut url = base.clone();
        url.set_path(&format!("{}/v2/{path}", base.path().trim_end_matches('/')));
        url.set_fragment(None);
        url.set_query(None);
        match self {
            Self::Tagged(tag, page) => {
                page_of(&mut url, *page);
                url.query_pairs_mut().append_pair("tag_name", &tag.0);
            }
            Self::Actions(_, page) => page_of(&mut url, *page),
            _ => {}
        }
        url
    }

    /// What goes along.
    pub fn body(&self) -> Option<Value> {
        match self {
            Self::Act(_, body) | Self::Create(body) => Some(body.clone()),
            Self::NewTag(tag) => Some(json!({"name": tag.0})),
            Self::Tag(_, id) | Self::Untag(_, id) => {
                Some(json!({"resources": [{"resource_id": id.to_string(), "resource_type": "droplet"}]}))
            }
            _ => None,
        }
    }
}

fn page_of(url: &mut Url, page: u32) {
    let (page, per_page) = (page.to_string(), PER_PAGE.to_string());
    url.query_pairs_mut().append_pair("page", &page).append_pair("per_page", &per_page);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(id: DropletId, tag: &Tag) -> Vec<Ask> {
        vec![
            Ask::Droplet(id),
            Ask::Tagged(tag.clone(), 1),
            Ask::Actions(id, 1),
            Ask::Action(id, ActionId(7)),
            Ask::Act(id, json!({})),
            Ask::Create(json!({})),
            Ask::Destroy(id),
            Ask::NewTag(tag.clone()),
            Ask::Tag(tag.clone(), id),
            Ask::Untag(tag.clone(), id),
        ]
    }

    /// Whatever stands in the configuration, in an id or in a tag: one droplet is deleted, or a tag of one.
    #[test]
    fn nothing_is_destroyed_by_tag() {
        for base in ["http://h", "http://h/x/", "http://h?tag_name=all", "http://h/v2/droplets?tag_name=a#b"]
        {
            let base = Url::parse(base).expect("a URL");
            for id in ["1", "3164444", "18446744073709551615"] {
                let (id, tag) = (DropletId::of("n", id).expect("one"), Tag::of("droplets").expect("one"));
                for ask in all(id, &tag) {
                    let url = ask.url(&base);
                    let last = url.path_segments().and_then(Iterator::last).expect("a path").to_owned();
                    assert_eq!(
                        url.query().is_some(),
                        matches!(ask, Ask::Tagged(..) | Ask::Actions(..)),
                        "{url}"
                    );
                    if ask.method() == Method::DELETE {
                        assert!(last == id.to_string() || last == "resources", "{url}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_numbers_are_droplets() {
        for wrong in ["", "0", "-1", "+1", " 1", "1?tag_name=a", "a", "1/../2", "18446744073709551616"] {
            let refused = DropletId::of("a2", wrong).expect_err(wrong).detail;
            assert!(refused.contains("`a2`") && refused.contains("inventory"), "{refused}");
        }
        for wrong in ["", "a b", "a/b", "a?b", "ä", "..", &"x".repeat(256)] {
            assert!(Tag::of(wrong).is_err(), "{wrong}");
        }
    }
}
