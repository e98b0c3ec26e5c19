//! Wrong answers on demand: before the effect, so that nothing happens, or after it, so that it happened all the same.

use std::sync::{Mutex, PoisonError};

use axum::http::Method;
use serde::{Deserialize, Serialize};

/// Faults that may wait.
const FAULTS_MAX: usize = 100;

/// One kind of wrong answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Whom it hits.
    #[serde(rename = "match", default)]
    pub hits: Hits,
    /// The answer's; 0: none, the connection is cut.
    pub status: u16,
    /// How often.
    #[serde(default = "one")]
    pub times: u32,
    #[serde(default)]
    pub when: When,
    /// The body, where it is not the API's own error: a page of some proxy.
    #[serde(default)]
    pub body: Option<String>,
}

/// Requests; all where nothing is said.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hits {
    pub method: Option<String>,
    pub path_prefix: Option<String>,
}

/// Whether it happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Before,
    After,
}

fn one() -> u32 {
    1
}

/// Those that wait.
#[derive(Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds one; false: there are too many.
    pub fn add(&self, fault: Fault) -> bool {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = faults.len() < FAULTS_MAX;
        if room && fault.times > 0 {
            faults.push(fault);
        }
        room
    }

    /// The fault that hits this request, once.
    pub fn take(&self, method: &Method, path: &str) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = faults.iter().position(|fault| fault.hits.request(method, path))?;
        faults[at].times -= 1;
        if faults[at].times == 0 { Some(faults.remove(at)) } else { Some(faults[at].clone()) }
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// For whoever looks.
    pub fn waiting(&self) -> Vec<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Hits {
    fn request(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && self.path_prefix.as_ref().is_none_or(|prefix| path.starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_hits_what_it_names_so_often() {
        let faults = Faults::default();
        let fault = json!({"match": {"method": "post", "path_prefix": "/v2/droplets"}, "status": 500, "times": 2, "when": "after"});
        assert!(faults.add(serde_json::from_value(fault).expect("a fault")));
        assert!(faults.take(&Method::GET, "/v2/droplets").is_none());
        assert!(faults.take(&Method::POST, "/v2/tags").is_none());
        assert_eq!(
            faults.take(&Method::POST, "/v2/droplets/1/actions").map(|fault| fault.when),
            Some(When::After)
        );
        assert!(faults.take(&Method::POST, "/v2/droplets").is_some());
        assert!(faults.take(&Method::POST, "/v2/droplets").is_none());
        let any: Fault = serde_json::from_value(json!({"status": 0})).expect("a fault");
        assert!(any.hits.request(&Method::DELETE, "/v2/x") && any.when == When::Before && any.times == 1);
    }
}
