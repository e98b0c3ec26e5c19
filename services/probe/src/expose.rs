//! `GET /health/{check}` and `GET /v1/endpoints/{service}`: from memory, for load balancers that ask every second.
//! A verdict counts while the engine stands by it; then this vantage's own newest look does, and says so (wire.md).

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use regreen_bus::{Bus, port, tick, tick::Heard, view};
use regreen_schemas::{
    CheckName, Timestamp,
    check::Status,
    view::{Checks, Endpoint, OnUnknown, Services, Side, Verdict},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

/// What this vantage saw last, by check.
pub type Own = BTreeMap<CheckName, (Status, Arc<str>)>;

/// What is known here, each part followed in the background.
#[derive(Clone)]
struct Known {
    heard: watch::Receiver<Option<Heard>>,
    checks: watch::Receiver<Option<Checks>>,
    verdicts: watch::Receiver<BTreeMap<CheckName, Verdict>>,
    services: watch::Receiver<Option<Services>>,
    own: watch::Receiver<Own>,
}

/// Who says how a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The verdict, joined by quorum.
    Verdict,
    /// The newest look from here: nobody stands by a verdict.
    Own,
    /// Nobody.
    None,
}

/// How a check is, by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Said {
    status: Status,
    source: Source,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<Timestamp>,
}

/// The routes, over what `own` sees.
///
/// # Errors
/// When the tick can't be followed.
pub async fn router(bus: &Bus, own: watch::Receiver<Own>) -> Result<Router, port::Error> {
    let known = Known {
        heard: tick::follow(bus).await?,
        checks: view::follow_checks(bus),
        verdicts: view::follow_verdicts(bus),
        services: view::follow_services(bus),
        own,
    };
    Ok(Router::new()
        .route("/health/{*check}", get(health))
        .route("/v1/endpoints/{service}", get(endpoints))
        .with_state(known))
}

/// The verdict while it is fresh by the engine's time; else the own look; else nobody can say.
fn said(verdict: Option<&Verdict>, own: Option<&(Status, Arc<str>)>, now: Option<Timestamp>) -> Said {
    if let (Some(verdict), Some(now)) = (verdict, now)
        && verdict.expires >= now
    {
        let Verdict { status, reason, since, as_of, .. } = verdict.clone();
        return Said { status, source: Source::Verdict, reason, since: Some(since), as_of: Some(as_of) };
    }
    let (status, reason) = own.cloned().unwrap_or((Status::Unknown, "".into()));
    let source = if status == Status::Unknown { Source::None } else { Source::Own };
    Said { status, source, reason, since: None, as_of: None }
}

/// Whether traffic may go there.
fn passes(status: Status, on_unknown: OnUnknown) -> bool {
    match status {
        Status::Up | Status::Degraded => true,
        Status::Down => false,
        Status::Unknown => on_unknown == OnUnknown::Pass,
    }
}

impl Known {
    fn said(&self, check: &CheckName) -> Said {
        // An engine that decides nothing says what was, not what is.
        let now = self.heard.borrow().as_ref().filter(|heard| !heard.tick.idle).and_then(Heard::now);
        said(self.verdicts.borrow().get(check), self.own.borrow().get(check), now)
    }

    /// What unknown answers for a check; `None` while no list of checks has come.
    fn exposed(&self, check: &CheckName) -> Option<Option<OnUnknown>> {
        let checks = self.checks.borrow();
        let found = checks.as_ref()?.checks.iter().find(|known| known.name == *check);
        Some(found.and_then(|check| check.expose))
    }
}

async fn health(State(known): State<Known>, Path(check): Path<String>) -> Response {
    let check = CheckName::from(check);
    let on_unknown = match known.exposed(&check) {
        Some(Some(on_unknown)) => on_unknown,
        Some(None) => {
            return answer(StatusCode::NOT_FOUND, json!({"error": format!("no check `{check}` is exposed")}));
        }
        None => {
            let error = "the list of checks has not come yet: is NATS there?";
            return answer(StatusCode::SERVICE_UNAVAILABLE, json!({"error": error}));
        }
    };
    let said = known.said(&check);
    let code = if passes(said.status, on_unknown) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = serde_json::to_value(said).unwrap_or_default();
    body["check"] = check.as_str().into();
    answer(code, body)
}

async fn endpoints(State(known): State<Known>, Path(service): Path<String>) -> Response {
    let services = known.services.borrow().clone().unwrap_or_default();
    let Some(sides) = services.services.get(service.as_str()) else {
        return answer(StatusCode::NOT_FOUND, json!({"error": format!("there is no service `{service}`")}));
    };
    let node = |Endpoint { node, address, health }: &Endpoint| {
        let said = health.as_ref().map(|check| known.said(check));
        json!({"node": node, "address": address, "health": said})
    };
    let side = |Side { group, nodes }: &Side| json!({"group": group, "nodes": nodes.iter().map(node).collect::<Vec<_>>()});
    let standby: Vec<_> = sides.iter().skip(1).map(side).collect();
    answer(StatusCode::OK, json!({"service": service, "active": sides.first().map(side), "standby": standby}))
}

fn answer(code: StatusCode, body: serde_json::Value) -> Response {
    (code, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: Status, expires: i64) -> Verdict {
        Verdict {
            v: 1,
            genesis: Default::default(),
            seq: 1,
            status,
            reason: "503".into(),
            since: Timestamp(10),
            as_of: Timestamp(20),
            expires: Timestamp(expires),
        }
    }

    #[test]
    fn a_stale_verdict_is_never_an_answer() {
        let down = verdict(Status::Down, 100);
        let up = (Status::Up, Arc::from(""));
        let source = |verdict: Option<&Verdict>, own: Option<&(Status, Arc<str>)>, now: Option<i64>| {
            let said = said(verdict, own, now.map(Timestamp));
            (said.status, said.source)
        };
        assert_eq!(source(Some(&down), Some(&up), Some(100)), (Status::Down, Source::Verdict));
        assert_eq!(source(Some(&down), Some(&up), Some(101)), (Status::Up, Source::Own), "it has expired");
        assert_eq!(source(Some(&down), Some(&up), None), (Status::Up, Source::Own), "the engine is silent");
        assert_eq!(source(Some(&down), None, None), (Status::Unknown, Source::None));
        assert_eq!(
            source(None, Some(&(Status::Unknown, "".into())), Some(1)),
            (Status::Unknown, Source::None)
        );
    }

    #[test]
    fn only_its_owner_says_what_unknown_answers() {
        use OnUnknown::{Fail, Pass};
        let answers = |status| [Pass, Fail].map(|on_unknown| passes(status, on_unknown));
        assert_eq!(answers(Status::Up), [true, true]);
        assert_eq!(answers(Status::Degraded), [true, true]);
        assert_eq!(answers(Status::Down), [false, false]);
        assert_eq!(answers(Status::Unknown), [true, false]);
    }
}
