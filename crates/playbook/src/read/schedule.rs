//! Times, as triggers and windows of maintenance write them.

use crate::{
    diagnostic::nearest,
    schedule::{Schedule, Unreadable},
    walk::{Fields, Walk},
};

/// `cron` and `zone`.
pub(super) fn schedule(walk: &mut Walk<'_>, fields: Fields<'_>, once: bool) -> Option<Schedule> {
    let cron_node = fields.get("cron")?;
    let cron = walk.plain(cron_node, "cron")?;
    let zone = fields.get("zone").map_or(Some("UTC"), |node| walk.plain(node, "zone"))?;
    let unreadable = match Schedule::parse(cron, zone, once) {
        Ok(schedule) => return Some(schedule),
        Err(unreadable) => unreadable,
    };
    match unreadable {
        Unreadable::Cron(why) => {
            let hint = format!("minute, hour, day, month, weekday, as in `30 4 * * 1`: {why}");
            walk.wrong(cron_node, "cron", "five fields", &hint);
        }
        Unreadable::Never => {
            let hint = "a day that exists in that month";
            walk.error(203, cron_node, "this time never comes", format!("`{cron}`"), hint);
        }
        Unreadable::Zone => {
            let hint = nearest(zone, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())).map_or_else(
                || "a zone of the IANA database, as `Europe/Berlin`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let at = fields.get("zone").unwrap_or(cron_node);
            walk.error(205, at, format!("unknown time zone `{zone}`"), "not in the database", hint);
        }
    }
    None
}
