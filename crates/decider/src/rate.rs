//! The rate of a credential, as a bucket for each of its limits. Nothing runs on by itself: a bucket is the moment at
//! which it is full again, in whole numbers, so that it comes to the same wherever the log is folded.

use imbl::OrdMap;
use regreen_schemas::{Instance, RunId, Timestamp, rate::Limit};
use serde::{Deserialize, Serialize};

use crate::{bounds, state::pairs};

/// Microseconds of a millisecond: what one request costs is counted in these.
const MICROS: i64 = 1000;

/// A limit, and how much of it is spent. It holds half of the limit and is refilled with the other half in its time, so
/// that no window of that time, wherever it begins, sees more than the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The limit.
    pub limit: Limit,
    /// When it is full again, in microseconds; past: it is.
    full: i64,
}

/// What is known of a credential's rate, and who waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// By our own count, the shortest time first.
    limits: Vec<Bucket>,
    /// By the provider's newest word on its longest limit, where that is less than a bucket holds.
    said: Option<Bucket>,
    /// Nothing is sent before.
    pub paused: Timestamp,
    /// Steps that wait, those of the oldest run first, each with the requests that it is reckoned with.
    #[serde(with = "pairs")]
    pub line: OrdMap<Place, (RunId, u32)>,
}

/// A place in line: the run's own place among all runs, and the step instance.
pub type Place = (u64, Instance);

impl Bucket {
    fn of(limit: Limit) -> Self {
        Self { limit, full: 0 }
    }

    /// What it holds.
    fn size(&self) -> i64 {
        (i64::from(self.limit.requests.get()) / 2).max(1)
    }

    /// Microseconds in which one request comes back.
    fn each(&self) -> i64 {
        let back = (i64::from(self.limit.requests.get()) - self.size()).max(1);
        let per = self.limit.per.0.clamp(1, bounds::RATE_PER_MAX.0) * MICROS;
        (per + back - 1) / back
    }

    /// When there is room for so many requests beside those that are kept for others. What it never holds at once goes
    /// when it is full, and is paid for afterwards.
    fn ready(&self, requests: u32, keeps: bool) -> Timestamp {
        let kept = if keeps { (self.size() + bounds::RATE_KEPT - 1) / bounds::RATE_KEPT } else { 0 };
        let room = (self.size() - kept).max(1);
        let micros = self.full - (room - i64::from(requests).min(room)) * self.each();
        Timestamp((micros + MICROS - 1).div_euclid(MICROS))
    }

    fn draw(&mut self, requests: u32, now: Timestamp) {
        self.full = self.full.max(now.0 * MICROS) + i64::from(requests) * self.each();
    }

    /// Leaves it so much at most.
    fn leave(&mut self, requests: u32, now: Timestamp) {
        let spent = (self.size() - i64::from(requests)).max(0);
        self.full = self.full.max(now.0 * MICROS + spent * self.each());
    }

    /// Whole requests that there is room for.
    fn left(&self, now: Timestamp) -> i64 {
        let spent = (self.full - now.0 * MICROS).max(0);
        (self.size() - (spent + self.each() - 1) / self.each()).max(0)
    }
}

impl Rate {
    /// No limit at all, for those who still stand in line.
    pub(crate) fn unlimited(line: OrdMap<Place, (RunId, u32)>) -> Self {
        Self { line, ..Self::default() }
    }

    /// Takes these limits; of those that stay, what is spent stays too.
    pub(crate) fn limit(&mut self, mut limits: Vec<Limit>) {
        limits.sort_by_key(|limit| (limit.per, limit.requests));
        // Where two speak of the same time, the stricter one holds.
        limits.dedup_by_key(|limit| limit.per);
        let before = std::mem::take(&mut self.limits);
        let full =
            |limit: &Limit| before.iter().find(|known| known.limit.per == limit.per).map(|known| known.full);
        let bucket = |limit: Limit| Bucket { full: full(&limit).unwrap_or_default(), ..Bucket::of(limit) };
        self.limits = limits.into_iter().map(bucket).collect();
        self.said =
            self.said.take().filter(|said| self.limits.last().is_some_and(|last| last.limit == said.limit));
    }

    fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.limits.iter().chain(&self.said)
    }

    /// When there is room for so many requests; a call that leaves something to others keeps away from the last of it.
    pub(crate) fn ready(&self, requests: u32, keeps: bool) -> Timestamp {
        self.buckets().map(|bucket| bucket.ready(requests, keeps)).fold(self.paused, Timestamp::max)
    }

    /// Requests that go out.
    pub(crate) fn draw(&mut self, requests: u32, now: Timestamp) {
        self.limits.iter_mut().chain(&mut self.said).for_each(|bucket| bucket.draw(requests, now));
    }

    /// What the provider said, and what went out unreckoned. Its word never gives more than our own count does; its
    /// refusal empties the limit of the shortest time, so that what follows begins slowly.
    pub(crate) fn told(
        &mut self,
        more: u32,
        remaining: Option<u32>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) {
        if more > 0 {
            self.draw(more, now);
        }
        if let (Some(remaining), Some(longest)) = (remaining, self.limits.last()) {
            let less = i64::from(remaining) < longest.size();
            self.said = less.then(|| Bucket::of(longest.limit));
            self.said.iter_mut().for_each(|said| said.leave(remaining, now));
        }
        if let Some(until) = until {
            self.paused = self.paused.max(until.min(now + bounds::RATE_PAUSE_MAX));
            self.limits.iter_mut().take(1).for_each(|shortest| shortest.leave(0, now));
        }
    }

    /// Requests that there is room for; none where nobody has said how many are allowed.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Option<i64> {
        let left = self.buckets().map(|bucket| bucket.left(now)).min()?;
        Some(if now < self.paused { 0 } else { left })
    }

    /// Whether somebody stands in line before a place.
    pub(crate) fn before(&self, place: &Place) -> bool {
        self.line.get_min().is_some_and(|(first, _)| first < place)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use regreen_schemas::Span;

    use super::*;

    fn limit(requests: u32, per: Span) -> Limit {
        Limit { requests: NonZeroU32::new(requests).expect("some"), per }
    }

    fn rate(limits: &[(u32, Span)]) -> Rate {
        let mut rate = Rate::default();
        rate.limit(limits.iter().map(|(requests, per)| limit(*requests, *per)).collect());
        rate
    }

    /// DigitalOcean's.
    fn cloud() -> Rate {
        rate(&[(5000, Span::minutes(60)), (250, Span::minutes(1))])
    }

    const NOW: Timestamp = Timestamp(1_000_000);

    /// When so many requests may go, counted from now.
    fn waits(rate: &Rate, requests: u32) -> i64 {
        (rate.ready(requests, false).0 - NOW.0).max(0)
    }

    #[test]
    fn half_a_limit_goes_at_once_and_the_other_half_in_its_time() {
        // Limit, drawn before, wanted, waits for.
        for (requests, per, drawn, wanted, waited) in [
            (250, Span::minutes(1), 0, 125, 0),
            (250, Span::minutes(1), 125, 1, 480),
            (250, Span::minutes(1), 125, 10, 4800),
            (250, Span::minutes(1), 120, 5, 0),
            (250, Span::minutes(1), 120, 6, 480),
            // Rounded up, never down: a third of a second is 334 ms.
            (6, Span::seconds(1), 3, 1, 334),
            (6, Span::seconds(1), 3, 3, 1001),
            // More than it ever holds: when it is full; paid for by whoever comes next.
            (6, Span::seconds(1), 0, 50, 0),
            (6, Span::seconds(1), 1, 50, 334),
            (6, Span::seconds(1), 9, 1, 2334),
            (1, Span::seconds(1), 0, 1, 0),
            (1, Span::seconds(1), 1, 1, 1000),
        ] {
            let mut rate = rate(&[(requests, per)]);
            rate.draw(drawn, NOW);
            assert_eq!(waits(&rate, wanted), waited, "{wanted} after {drawn} of {requests} per {per}");
        }
    }

    #[test]
    fn every_limit_counts_and_the_strictest_word_on_one_holds() {
        let mut hour = cloud();
        for minute in 0..40 {
            hour.draw(125, NOW + Span::minutes(minute));
        }
        let later = NOW + Span::minutes(39);
        assert!(hour.ready(1, false) > later + Span::minutes(1), "the hour's is spent, the minute's is not");
        let two = rate(&[(250, Span::minutes(1)), (100, Span::minutes(1))]);
        assert_eq!(two.left(NOW), Some(50));
        assert_eq!((rate(&[]).left(NOW), rate(&[]).ready(1000, true)), (None, Timestamp(0)));
    }

    #[test]
    fn the_provider_s_word_takes_and_never_gives() {
        // Drawn before, what is said to be left, what is left then.
        for (drawn, remaining, left) in
            [(0, 4000, 125), (0, 100, 100), (0, 7, 7), (0, 0, 0), (120, 4000, 5), (120, 3, 3), (125, 2600, 0)]
        {
            let mut rate = cloud();
            rate.draw(drawn, NOW);
            rate.told(0, Some(remaining), None, NOW);
            assert_eq!(rate.left(NOW), Some(left), "{remaining} after {drawn}");
        }
        let (mut rate, untouched) = (cloud(), cloud());
        rate.told(0, Some(4999), None, NOW);
        assert_eq!(rate, untouched, "plenty is no news");
        rate.told(0, Some(3), None, NOW);
        rate.told(0, Some(90), None, NOW);
        assert_eq!(rate.left(NOW), Some(90), "the newest word holds, not the worst");
        rate.told(20, None, None, NOW);
        assert_eq!(rate.left(NOW), Some(70), "what nobody reckoned with is taken");
    }

    #[test]
    fn a_refusal_stops_all_and_what_follows_begins_slowly() {
        let mut rate = cloud();
        rate.told(0, None, Some(NOW + Span::seconds(3)), NOW);
        assert_eq!((waits(&rate, 1), waits(&rate, 10), rate.left(NOW)), (3000, 4800, Some(0)));
        rate.told(0, None, Some(NOW + Span::seconds(1)), NOW);
        assert_eq!(waits(&rate, 1), 3000, "a shorter pause does not end a longer one");
        rate.told(0, None, Some(NOW + Span::minutes(600)), NOW);
        assert_eq!(waits(&rate, 1), bounds::RATE_PAUSE_MAX.0, "nobody stops it for longer");
    }

    #[test]
    fn a_tenth_is_kept_from_what_can_wait() {
        // Drawn, and when a look of one request may go that leaves the tenth (13 of 125) to others.
        for (drawn, waited) in [(0, 0), (111, 0), (112, 480), (125, 14 * 480)] {
            let mut rate = rate(&[(250, Span::minutes(1))]);
            rate.draw(drawn, NOW);
            assert_eq!((rate.ready(1, true).0 - NOW.0).max(0), waited, "{drawn}");
        }
        assert_eq!(
            rate(&[(1, Span::seconds(1))]).ready(1, true),
            Timestamp(0),
            "the least is not kept from anybody"
        );
    }

    #[test]
    fn limits_that_stay_keep_what_is_spent() {
        let mut rate = rate(&[(250, Span::minutes(1))]);
        rate.draw(100, NOW);
        rate.limit(vec![limit(250, Span::minutes(1)), limit(50, Span::minutes(60))]);
        assert_eq!((waits(&rate, 25), waits(&rate, 26)), (0, 480));
        rate.draw(25, NOW);
        assert_eq!((rate.left(NOW), rate.left(NOW + Span::minutes(60))), (Some(0), Some(25)));
    }

    #[test]
    fn numbers_of_any_size_are_no_trouble() {
        let mut rate = rate(&[(u32::MAX, Span(i64::MAX)), (1, Span(i64::MIN)), (1, Span::ZERO)]);
        for _ in 0..3 {
            rate.draw(bounds::RATE_SPENT_MAX, Timestamp(4_000_000_000_000));
            rate.told(bounds::RATE_SPENT_MAX, Some(u32::MAX), Some(Timestamp(i64::MAX)), NOW);
        }
        assert!(rate.ready(u32::MAX, true) < Timestamp(i64::MAX));
    }
}
