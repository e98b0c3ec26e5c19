//! Trims what nobody needs any more, with rights of its own (rule 26): snapshots that are not kept, facts and decisions
//! behind the audit period, tickets of runs that ended long ago. Nothing goes that the two newest snapshots, one proven
//! by folding, could not replace.

use std::{collections::BTreeSet, ops::ControlFlow};

use regreen_bus::{Bus, snapshots, streams};
use regreen_schemas::{Span, Timestamp, event::Streams, snapshot::Manifest};

use crate::recover::{self, Base};

/// Newest snapshots that are always kept.
const NEWEST_KEPT: usize = 3;
/// Tickets stay this long after a command could last have been delivered: an hour beyond COMMANDS' own age.
const TICKETS_KEPT: Span = Span::minutes(120);
/// A day.
const DAY: i64 = 86_400_000;

/// Why nothing was trimmed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Snapshots can't be read or removed.
    #[error(transparent)]
    Snapshots(#[from] snapshots::Error),
    /// A stream can't be trimmed.
    #[error(transparent)]
    Streams(#[from] streams::Error),
    /// The log does not fold from the older snapshot to the newer.
    #[error("the log does not fold from snapshot {from} to snapshot {to}: nothing is trimmed")]
    Unproven {
        /// The older.
        from: u64,
        /// The newer.
        to: u64,
        /// Why.
        #[source]
        source: Option<recover::Error>,
    },
}

/// Lives in the engine's process, and speaks as a user of its own.
#[derive(Debug)]
pub struct Janitor {
    bus: Bus,
}

/// What goes and what stays.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Snapshots to remove.
    remove: Vec<u64>,
    /// Index of the snapshot from which on facts and decisions stay.
    trim: Option<usize>,
    /// Tickets up to this one go.
    tickets: Option<u64>,
}

/// Decides by the manifests, newest first. What a snapshot says of other streams, before they were made anew and
/// reconciled, says nothing about where these may be cut.
fn plan(
    manifests: &[Manifest],
    now: Timestamp,
    audit: Span,
    oldest_run: Option<Timestamp>,
    streams: Option<Streams>,
) -> Plan {
    let same = |manifest: &Manifest| manifest.streams == streams;
    let past = |manifest: &Manifest, span: Span| now - manifest.at >= span;
    // The newest that is older than the audit period: everything younger can be explained from it.
    let base = manifests.iter().position(|manifest| past(manifest, audit));
    let trim = base.map(|base| base.max(1)).filter(|trim| manifests.get(*trim).is_some_and(same));
    let mut days = BTreeSet::new();
    let mut kept: BTreeSet<u64> =
        manifests.iter().take(NEWEST_KEPT).map(|manifest| manifest.decision_seq).collect();
    kept.extend(trim.map(|trim| manifests[trim].decision_seq));
    for (index, manifest) in manifests.iter().enumerate().rev() {
        if trim.is_none_or(|trim| index <= trim) && days.insert(manifest.at.0.div_euclid(DAY)) {
            kept.insert(manifest.decision_seq);
        }
    }
    let closed = |manifest: &&Manifest| {
        same(manifest)
            && past(manifest, TICKETS_KEPT)
            && oldest_run.is_none_or(|started| started > manifest.at)
    };
    Plan {
        remove: manifests.iter().map(|m| m.decision_seq).filter(|seq| !kept.contains(seq)).collect(),
        trim,
        tickets: manifests.iter().find(closed).map(|manifest| manifest.tickets),
    }
}

/// Those of another log, and those of this one.
fn foreign(manifests: Vec<Manifest>, streams: Option<Streams>) -> (Vec<Manifest>, Vec<Manifest>) {
    manifests.into_iter().partition(|manifest| {
        manifest.streams.zip(streams).is_some_and(|(theirs, ours)| theirs.decisions != ours.decisions)
    })
}

impl Janitor {
    /// A janitor with its own connection.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Trims after a snapshot was made.
    ///
    /// # Errors
    /// [`Error`]; what was trimmed before it stays so.
    pub async fn tidy(
        &self,
        now: Timestamp,
        audit: Span,
        oldest_run: Option<Timestamp>,
        streams: Option<Streams>,
    ) -> Result<(), Error> {
        // What is known of the streams may be over: a sequence of one that is gone means nothing in its successor.
        if streams != Some(streams::created(&self.bus).await?) {
            return Ok(());
        }
        let mut manifests = Vec::new();
        for seq in snapshots::list(&self.bus).await? {
            match snapshots::manifest(&self.bus, seq).await {
                Ok(manifest) => manifests.push(manifest),
                // What this build can't read another may: it stays.
                Err(snapshots::Error::Unreadable { seq, why }) => {
                    tracing::warn!(seq, why, "a snapshot can't be read");
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Those of a log that is gone are nobody's base any more, and would stand before ours.
        let (foreign, manifests) = foreign(manifests, streams);
        for manifest in foreign {
            snapshots::remove(&self.bus, manifest.decision_seq).await?;
        }
        let plan = plan(&manifests, now, audit, oldest_run, streams);
        if let Some(trim) = plan.trim {
            self.trim(&manifests, trim).await?;
        }
        let names = &self.bus.names;
        if let Some(tickets) = plan.tickets {
            // The stop switch stands in the same stream, under another form of subject, and is never purged (rule 16).
            streams::trim(&self.bus, names.tickets(), tickets, Some(names.attempt_tickets())).await?;
        }
        for seq in plan.remove {
            snapshots::remove(&self.bus, seq).await?;
        }
        Ok(snapshots::sweep(&self.bus).await?)
    }

    /// Trims facts and decisions behind a snapshot, once the log is proven to fold from the second-newest to the
    /// newest.
    async fn trim(&self, manifests: &[Manifest], trim: usize) -> Result<(), Error> {
        let first = streams::extent(&self.bus, self.bus.names.decisions()).await?.first;
        let oldest = &manifests[trim];
        if first >= oldest.decision_seq {
            return Ok(());
        }
        let facts = streams::extent(&self.bus, self.bus.names.facts()).await?;
        if facts.last < manifests[0].cursor.seq {
            // Restored from a backup: the engine freezes on it, and people will want what is left.
            return Ok(());
        }
        self.prove(&manifests[1], &manifests[0]).await?;
        let decisions =
            streams::trim(&self.bus, self.bus.names.decisions(), oldest.decision_seq, None).await?;
        // The fact at the cursor is what rule 4 compares. The cursor goes back when an older FACTS is reconciled: what
        // is not decided stays.
        let before = oldest.cursor.seq.min(manifests[0].cursor.seq);
        let facts = streams::trim(&self.bus, self.bus.names.facts(), before, None).await?;
        tracing::info!(decisions, facts, "what is behind the audit period is trimmed");
        Ok(())
    }

    async fn prove(&self, from: &Manifest, to: &Manifest) -> Result<(), Error> {
        let unproven = |source| Error::Unproven { from: from.decision_seq, to: to.decision_seq, source };
        let base = Base::Snapshot(Box::new(from.clone()));
        let mut recovered = recover::start(&self.bus, &base).await.map_err(|error| unproven(Some(error)))?;
        let beyond =
            |seq: u64| if seq > to.decision_seq { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        recovered.fold_on(&self.bus, |_, _, seq| beyond(seq)).await.map_err(|error| unproven(Some(error)))?;
        let same = *recovered.state.hash() == *to.state_hash && recovered.tail.hash == *to.chain_hash;
        if same { Ok(()) } else { Err(unproven(None)) }
    }
}

#[cfg(test)]
mod tests {
    use regreen_schemas::record::Cursor;

    use super::*;

    fn manifest(seq: u64, hours_ago: i64) -> Manifest {
        Manifest {
            v: 1,
            format: 1,
            decision_seq: seq,
            chain_hash: "".into(),
            cursor: Cursor::after(seq),
            state_hash: "".into(),
            sha256: "".into(),
            at: Timestamp(NOW.0 - hours_ago * 3_600_000),
            tickets: seq * 10,
            streams: None,
        }
    }

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn planned(ages: &[(u64, i64)], audit_hours: i64, run_hours: Option<i64>) -> Plan {
        let manifests: Vec<Manifest> = ages.iter().map(|(seq, hours)| manifest(*seq, *hours)).collect();
        let oldest = run_hours.map(|hours| Timestamp(NOW.0 - hours * 3_600_000));
        plan(&manifests, NOW, Span::minutes(audit_hours * 60), oldest, None)
    }

    #[test]
    fn a_young_domain_loses_nothing() {
        assert_eq!(planned(&[(3, 0), (2, 0), (1, 1)], 720, None), Plan::default());
        assert_eq!(planned(&[], 720, None), Plan::default());
    }

    #[test]
    fn three_and_one_a_day_are_kept() {
        let ages = [(90, 0), (89, 1), (88, 2), (87, 3), (60, 26), (59, 27), (30, 50), (29, 51)];
        let plan = planned(&ages, 720, None);
        let kept: Vec<u64> =
            ages.iter().map(|(seq, _)| *seq).filter(|seq| !plan.remove.contains(seq)).collect();
        assert!(kept.starts_with(&[90, 89, 88]) && kept.len() < ages.len() && kept.contains(&29), "{kept:?}");
        assert_eq!(plan.trim, None);
    }

    #[test]
    fn the_log_is_trimmed_behind_the_audit_period_and_never_behind_the_newest() {
        let plan = planned(&[(9, 0), (8, 1), (7, 30), (6, 50), (5, 80)], 24, None);
        assert_eq!(plan.trim, Some(2), "everything of the last day can be explained from 7");
        assert!(plan.remove.contains(&5) && !plan.remove.contains(&7), "{plan:?}");
        assert_eq!(planned(&[(9, 0), (8, 1)], 0, None).trim, Some(1), "the second-newest at most");
        assert_eq!(planned(&[(9, 0)], 0, None).trim, None);
    }

    #[test]
    fn streams_that_were_made_anew_are_not_cut_by_what_was_before() {
        let streams = |facts: i64| {
            let (decisions, tickets) = (Timestamp(1), Timestamp(1));
            Some(Streams { facts: Timestamp(facts), decisions, tickets })
        };
        let manifests = [(9, 0, 2), (8, 1, 2), (7, 30, 1)]
            .map(|(seq, hours, facts)| Manifest { streams: streams(facts), ..manifest(seq, hours) });
        let plan = plan(&manifests, NOW, Span::minutes(24 * 60), None, streams(2));
        assert_eq!((plan.trim, plan.tickets), (None, None), "7 counts the facts of a stream that is gone");
    }

    #[test]
    fn snapshots_of_a_log_that_is_gone_stand_before_nobody() {
        let of = |decisions: i64| {
            Some(Streams { facts: Timestamp(1), decisions: Timestamp(decisions), tickets: Timestamp(1) })
        };
        let manifests = [(90, 1), (3, 2), (2, 2)]
            .map(|(seq, log)| Manifest { streams: of(log), ..manifest(seq, 0) })
            .to_vec();
        let (gone, ours) = foreign(manifests, of(2));
        let seqs = |list: &[Manifest]| list.iter().map(|manifest| manifest.decision_seq).collect::<Vec<_>>();
        assert_eq!((seqs(&gone), seqs(&ours)), (vec![90], vec![3, 2]));
    }

    #[test]
    fn tickets_of_open_runs_stay() {
        assert_eq!(planned(&[(9, 0), (8, 1), (7, 3), (6, 5)], 720, None).tickets, Some(70));
        assert_eq!(planned(&[(9, 0), (8, 1), (7, 3), (6, 5)], 720, Some(4)).tickets, Some(60));
        assert_eq!(planned(&[(9, 0), (8, 1), (7, 3), (6, 5)], 720, Some(6)).tickets, None);
    }
}
