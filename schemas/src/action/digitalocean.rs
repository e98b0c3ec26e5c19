//! Actions of DigitalOcean. Its API takes no token against a second effect, but lists what was done to a droplet with
//! type and time, and which droplets carry a tag: a lost answer is looked up, so that effects are reconcilable.

use super::{Declaration, Effect, FieldType, Param, ParamType};
use crate::Span;

/// All of them.
pub const ALL: &[&Declaration] = &[
    &DROPLET_GET,
    &DROPLET_REBOOT,
    &DROPLET_POWER_CYCLE,
    &DROPLET_POWER_ON,
    &DROPLET_POWER_OFF,
    &DROPLET_CREATE,
    &DROPLET_DESTROY,
    &DROPLET_SNAPSHOT,
    &DROPLET_TAG,
    &DROPLET_UNTAG,
    &INVENTORY_LIST,
];

/// How long the provider may need for what it does to a droplet.
const ACTION_TIMEOUT: Span = Span::minutes(3);

const NODE: Param = Param::must("node", ParamType::Node, "The node; its `id` is the droplet's.");
const TAG: Param = Param::must("tag", ParamType::Text, "The tag; it is made where it is not there yet.");

/// Says how a droplet is.
pub const DROPLET_GET: Declaration = Declaration {
    result: &[("status", FieldType::Text), ("address", FieldType::Text)],
    ..Declaration::new(
        "digitalocean.droplet.get",
        "Says how a droplet is: `new`, `active`, `off` or `archive`.",
        &[NODE],
    )
};

/// Reboots.
pub const DROPLET_REBOOT: Declaration = Declaration {
    destructive: true,
    ..acts(
        "digitalocean.droplet.reboot",
        "Asks a droplet to restart, and waits until the provider calls that completed.",
    )
};

/// Resets.
pub const DROPLET_POWER_CYCLE: Declaration = Declaration {
    destructive: true,
    ..acts(
        "digitalocean.droplet.power_cycle",
        "Switches a droplet off and on again, as its reset button would.",
    )
};

/// Switches on.
pub const DROPLET_POWER_ON: Declaration =
    acts("digitalocean.droplet.power_on", "Switches a droplet on that is off.");

/// Switches off.
pub const DROPLET_POWER_OFF: Declaration = Declaration {
    destructive: true,
    undo: Some("digitalocean.droplet.power_on"),
    ..acts("digitalocean.droplet.power_off", "Switches a droplet off, without asking what runs on it.")
};

/// Makes one.
pub const DROPLET_CREATE: Declaration = Declaration {
    effect: Effect::Reconcilable,
    result: &[("node", FieldType::Node)],
    timeout: Span::minutes(10),
    adds: Some("node"),
    ..Declaration::new(
        "digitalocean.droplet.create",
        "Makes a droplet for a group, and waits until it has an address. Name and tag come from the run, so that after a lost answer the droplet is found.",
        CREATE,
    )
};

const CREATE: &[Param] = &[
    Param::must("group", ParamType::Group, "The group that it is for."),
    Param::must("image", ParamType::Text, "Slug or number of an image."),
    Param::must("size", ParamType::Text, "Slug of a size."),
    Param::must("region", ParamType::Text, "Slug of a region."),
    Param::may("vpc", ParamType::Text, "UUID of a VPC; the region's default one unless given."),
    Param::may("ssh_keys", ParamType::Json, "List of numbers or fingerprints of keys that root may use."),
    Param::may("tags", ParamType::Json, "List of tags that it gets besides its own."),
    Param::must("user_data", ParamType::Code, "What it runs when it starts for the first time."),
];

/// Destroys one.
pub const DROPLET_DESTROY: Declaration = Declaration {
    effect: Effect::Reconcilable,
    destructive: true,
    irreversible: true,
    timeout: ACTION_TIMEOUT,
    removes: Some("node"),
    ..Declaration::new(
        "digitalocean.droplet.destroy",
        "Destroys one droplet, by its id; never by tag. One that is not found is gone.",
        &[NODE],
    )
};

/// Takes an image of one.
pub const DROPLET_SNAPSHOT: Declaration = Declaration {
    effect: Effect::Reconcilable,
    timeout: Span::minutes(60),
    ..Declaration::new(
        "digitalocean.droplet.snapshot",
        "Takes an image of a droplet.",
        &[NODE, Param::must("name", ParamType::Text, "Its name.")],
    )
};

/// Tags one.
pub const DROPLET_TAG: Declaration = Declaration {
    effect: Effect::Idempotent,
    undo: Some("digitalocean.droplet.untag"),
    ..Declaration::new("digitalocean.droplet.tag", "Gives a droplet a tag.", &[NODE, TAG])
};

/// Takes a tag away.
pub const DROPLET_UNTAG: Declaration = Declaration {
    effect: Effect::Idempotent,
    undo: Some("digitalocean.droplet.tag"),
    ..Declaration::new(
        "digitalocean.droplet.untag",
        "Takes a tag from a droplet; tag and droplet stay.",
        &[NODE, Param::must("tag", ParamType::Text, "The tag.")],
    )
};

/// Lists droplets.
pub const INVENTORY_LIST: Declaration = Declaration {
    result: &[("nodes", FieldType::Json)],
    ..Declaration::new(
        "digitalocean.inventory.list",
        "Lists the droplets that carry a tag: name, id, address and labels of each.",
        &[Param::must("tag", ParamType::Text, "The tag.")],
    )
};

/// Something that the provider does to a droplet, and that its list of actions then has.
const fn acts(name: &'static str, doc: &'static str) -> Declaration {
    Declaration {
        effect: Effect::Reconcilable,
        timeout: ACTION_TIMEOUT,
        ..Declaration::new(name, doc, &[NODE])
    }
}
