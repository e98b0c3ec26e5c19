//! What a call makes of its credential's rate: how many requests it sends, and what their answers say is left. It is
//! told with the result, so that whoever sends calls can pace them.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use hyper::{StatusCode, header::HeaderMap};
use regreen_schemas::{Span, rate::Told};

use super::pause;

/// Requests that are left.
const REMAINING: &str = "ratelimit-remaining";
/// A refusal that does not say for how long is meant for so long.
const REFUSED: Span = Span::minutes(1);

/// Counts for one call.
#[derive(Clone, Debug)]
pub struct Meter {
    credential: Arc<str>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    spent: u32,
    remaining: Option<u32>,
    /// When the pause was asked for, and how long it is.
    pause: Option<(Instant, Span)>,
}

impl Meter {
    /// For a credential of this name.
    pub fn of(credential: Arc<str>) -> Self {
        Self { credential, seen: Arc::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("invariant: nobody panics with the numbers in hand")
    }

    /// A request leaves.
    pub fn sent(&self) {
        let mut seen = self.seen();
        seen.spent = seen.spent.saturating_add(1);
    }

    /// Its answer is there.
    pub fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        let remaining = super::number(headers, REMAINING).map(|left| u32::try_from(left).unwrap_or(0));
        let refused = status == StatusCode::TOO_MANY_REQUESTS;
        let mut seen = self.seen();
        // What a refusal says is left is nothing, whichever limit it is about; the pause says more.
        seen.remaining = remaining.filter(|_| !refused).or(seen.remaining);
        let span = match (refused, remaining) {
            (true, _) => pause(headers).unwrap_or(REFUSED),
            (false, Some(0)) => pause(headers).unwrap_or(Span::ZERO),
            (false, _) => Span::ZERO,
        };
        seen.pause = Some((Instant::now(), span));
    }

    /// What there is to tell; none when nothing was sent.
    pub fn told(&self) -> Option<Told> {
        let seen = self.seen();
        let left = |(since, span): &(Instant, Span)| {
            let gone = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
            Some(Span(span.0.saturating_sub(gone))).filter(|left| *left > Span::ZERO)
        };
        (seen.spent > 0).then(|| Told {
            credential: self.credential.clone(),
            spent: seen.spent,
            remaining: seen.remaining,
            pause: seen.pause.as_ref().and_then(left),
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use regreen_kit::clock;

    use super::*;

    fn after(answers: &[(u16, &[(&'static str, i64)])]) -> Option<Told> {
        let meter = Meter::of("cloud/key".into());
        for (status, headers) in answers {
            let header = |(name, value): &(&'static str, i64)| {
                (HeaderName::from_static(name), HeaderValue::from(*value))
            };
            meter.sent();
            let status = StatusCode::from_u16(*status).expect("one");
            meter.answered(status, &headers.iter().map(header).collect());
        }
        meter.told()
    }

    /// Requests, what is left, and the pause in seconds, rounded up.
    fn seen(answers: &[(u16, &[(&'static str, i64)])]) -> (u32, Option<u32>, Option<i64>) {
        let told = after(answers).expect("something was sent");
        assert_eq!(&*told.credential, "cloud/key");
        (told.spent, told.remaining, told.pause.map(|pause| (pause.0 + 999) / 1000))
    }

    #[test]
    fn headers_become_what_is_left_and_the_pause() {
        let soon = clock::wall().0 / 1000 + 40;
        assert_eq!(seen(&[(200, &[])]), (1, None, None), "nobody says anything");
        assert_eq!(seen(&[(200, &[(REMAINING, 77)]), (202, &[(REMAINING, 76)])]), (2, Some(76), None));
        assert_eq!(seen(&[(200, &[(REMAINING, -1)])]), (1, Some(0), None));
        assert_eq!(seen(&[(429, &[("retry-after", 7)])]), (1, None, Some(7)));
        assert_eq!(seen(&[(429, &[])]), (1, None, Some(60)), "a refusal always pauses");
        assert_eq!(seen(&[(429, &[("retry-after", 99_999)])]).2, Some(3600), "and not for ever");
        let (_, _, reset) = seen(&[(429, &[("ratelimit-reset", soon), (REMAINING, 0)])]);
        assert!(matches!(reset, Some(38..=40)), "{reset:?}");
        let (_, left, reset) = seen(&[(200, &[("ratelimit-reset", soon), (REMAINING, 0)])]);
        assert!(left == Some(0) && matches!(reset, Some(38..=40)), "{left:?}, {reset:?}");
        assert_eq!(
            seen(&[
                (200, &[(REMAINING, 9)]),
                (429, &[("retry-after", 7), (REMAINING, 0)]),
                (200, &[(REMAINING, 8)])
            ]),
            (3, Some(8), None),
            "what was waited for is over"
        );
        assert_eq!(after(&[]), None, "what sent nothing has nothing to tell");
    }
}
