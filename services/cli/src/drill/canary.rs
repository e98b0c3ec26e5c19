//! Documents that are written all the while: what was acknowledged must be there at the end. The counting is pure.

use regreen_schemas::Timestamp;
use serde::Serialize;

use super::timeline::seconds;

/// A pause between two accepted documents that is worth drawing.
pub const GAP_MIN: f64 = 0.5;
/// Lost documents that are named.
const NAMED_MAX: usize = 20;

/// A stretch in which no document was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// The last accepted before it, or the begin.
    pub from: Timestamp,
    /// The first accepted after it, or the end.
    pub to: Timestamp,
}

impl Gap {
    /// Its length in seconds.
    pub fn length(&self) -> f64 {
        seconds(self.from, self.to)
    }
}

/// What became of the documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// How often one was offered.
    pub tried: u64,
    /// How many were acknowledged.
    pub acknowledged: u64,
    /// Acknowledged and not found at the end: the recovery point, in documents.
    pub lost: u64,
    /// The first of those.
    pub lost_numbers: Vec<u64>,
    /// The longest time without an accepted write, in seconds.
    pub longest_gap: f64,
}

impl Tally {
    /// What was acknowledged, with its time, against what is there.
    pub fn of(
        tried: u64,
        acknowledged: &[(u64, Timestamp)],
        found: impl Fn(u64) -> bool,
        began: Timestamp,
        ended: Timestamp,
    ) -> Self {
        let lost: Vec<u64> =
            acknowledged.iter().map(|(number, _)| *number).filter(|number| !found(*number)).collect();
        let longest = gaps(acknowledged, began, ended, 0.0).iter().map(Gap::length).fold(0.0, f64::max);
        Self {
            tried,
            acknowledged: acknowledged.len() as u64,
            lost: lost.len() as u64,
            lost_numbers: lost.into_iter().take(NAMED_MAX).collect(),
            longest_gap: longest,
        }
    }

    /// In a line.
    pub fn said(&self) -> String {
        format!(
            "canary: {} documents acknowledged of {} offered, {} lost; longest time without an accepted write {:.2} s",
            self.acknowledged, self.tried, self.lost, self.longest_gap
        )
    }
}

/// Stretches of at least this many seconds between `from` and `to` in which nothing was accepted.
pub fn gaps(acknowledged: &[(u64, Timestamp)], from: Timestamp, to: Timestamp, least: f64) -> Vec<Gap> {
    let within = acknowledged.iter().map(|(_, at)| *at).filter(|at| *at > from && *at < to);
    let mut moments: Vec<Timestamp> = within.collect();
    moments.push(to);
    let mut last = from;
    let stretches = moments.into_iter().map(|at| Gap { from: std::mem::replace(&mut last, at), to: at });
    stretches.filter(|gap| gap.length() >= least).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_lost() {
        let acknowledged = [(1, at(1000)), (2, at(1050)), (4, at(4050)), (5, at(4100))];
        let tally = Tally::of(9, &acknowledged, |number| number != 4, at(900), at(4200));
        assert_eq!((tally.tried, tally.acknowledged, tally.lost), (9, 4, 1));
        assert_eq!((tally.lost_numbers, tally.longest_gap), (vec![4], 3.0));
    }

    #[test]
    fn a_gap_reaches_to_the_ends_of_what_is_looked_at() {
        let gap = |from, to| Gap { from: at(from), to: at(to) };
        let acknowledged = [(1, at(1000)), (2, at(1100)), (3, at(2000))];
        assert_eq!(
            gaps(&acknowledged, at(0), at(3000), 0.5),
            [gap(0, 1000), gap(1100, 2000), gap(2000, 3000)]
        );
        assert_eq!(gaps(&acknowledged, at(1050), at(1150), 0.05), [gap(1050, 1100), gap(1100, 1150)]);
        assert_eq!(gaps(&[], at(0), at(1000), 0.5), [gap(0, 1000)]);
    }

    #[test]
    fn nothing_written_is_no_loss_but_one_long_gap() {
        let tally = Tally::of(7, &[], |_| false, at(0), at(5000));
        assert_eq!((tally.lost, tally.longest_gap), (0, 5.0));
    }
}
