//! Other people's APIs as data: what our clients send, and what our doubles answer, is held against the descriptions in
//! `tests/contracts`. `OpenAPI` 3.0, in this process; a request that is not described is wrong.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use url::Url;

/// A description of an API.
pub struct Contract {
    document: Value,
    /// Path under which the API stands.
    prefix: String,
    /// By place in the document: to compile a schema takes longer than to use it.
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Reads a contract by the name of its file.
fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contracts").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A contract that is a plain JSON schema.
///
/// # Panics
/// When it is not there, or no schema.
#[must_use]
pub fn schema(file: &str) -> Validator {
    jsonschema::validator_for(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Whether a value is as a schema wants it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn hold(schema: &Validator, value: &Value) -> Result<(), String> {
    let wrong: Vec<String> =
        schema.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{value:#}", wrong.join("\n"))) }
}

impl Contract {
    /// A contract of `tests/contracts`.
    ///
    /// # Panics
    /// When it is not there, or no description of an API.
    #[must_use]
    pub fn load(file: &str) -> Self {
        let mut document = read(file);
        assert!(document["paths"].is_object(), "{file} describes no paths");
        nullable(&mut document);
        let server = document["servers"][0]["url"].as_str().and_then(|url| Url::parse(url).ok());
        let prefix = server.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        Self { document, prefix, compiled: Mutex::default() }
    }

    /// Whether a request may be sent: its path and method are described, its query's parameters known and of their
    /// types, its body as the schema wants it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn request(&self, method: &str, path_and_query: &str, body: Option<&Value>) -> Result<(), String> {
        let at = |wrong: String| format!("{method} {path_and_query}: {wrong}");
        let url = url(path_and_query).map_err(at)?;
        let operation = self.operation(method, url.path()).map_err(at)?;
        self.parameters(&operation, &url).map_err(at)?;
        self.body(&operation, body).map_err(at)
    }

    /// Whether this may be the answer to a request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn answer(
        &self,
        method: &str,
        path_and_query: &str,
        status: u16,
        body: Option<&Value>,
    ) -> Result<(), String> {
        let at = |wrong: String| format!("{status} to {method} {path_and_query}: {wrong}");
        let url = url(path_and_query).map_err(at)?;
        let operation = self.operation(method, url.path()).map_err(at)?;
        let responses = &operation.value["responses"];
        let class = format!("{}XX", status / 100);
        let known = [status.to_string(), class, "default".into()];
        let found = known.iter().find(|name| responses.get(name.as_str()).is_some());
        let name = found.ok_or_else(|| at("no such status is described".into()))?;
        let place = self.follow(&format!("{}/responses/{name}", operation.place));
        match (self.media(&place), body) {
            (Some(schema), Some(body)) => self.validate(&schema, body).map_err(at),
            (None, Some(body)) if !body.is_null() => {
                Err(at(format!("a body where none is described: {body}")))
            }
            (Some(_), None) => Err(at("a body is missing".into())),
            (None, _) => Ok(()),
        }
    }

    /// The operation that a path and a method name: of several, the one with the fewest words of the caller's own.
    fn operation(&self, method: &str, path: &str) -> Result<Operation<'_>, String> {
        let path = path.strip_prefix(&self.prefix).unwrap_or(path);
        let segments: Vec<&str> = path.split('/').collect();
        let paths = self.document["paths"].as_object().expect("looked at when it was read");
        let fitting = paths.iter().filter_map(|(template, item)| {
            let given = fit(template, &segments)?;
            Some((given.len(), template, item, given))
        });
        let (_, template, item, given) =
            fitting.min_by_key(|(count, ..)| *count).ok_or("no such path is described")?;
        let method = method.to_ascii_lowercase();
        let value = item.get(&method).ok_or("this path knows no such method")?;
        let place = format!("/paths/{}/{method}", escape(template));
        Ok(Operation { item, value, place, given })
    }

    fn parameters(&self, operation: &Operation<'_>, url: &Url) -> Result<(), String> {
        let lists = [&operation.item["parameters"], &operation.value["parameters"]];
        let described: Vec<&Value> = lists
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .map(|value| self.resolve(value))
            .collect();
        let find = |place: &str, name: &str| {
            described.iter().find(|known| known["in"] == place && known["name"] == name).copied()
        };
        let check = |known: &Value, name: &str, text: &str| {
            let schema = self.compile(&known["schema"], &format!("{}?{name}", operation.place));
            let fits = readings(text).iter().any(|value| schema.is_valid(value));
            if fits { Ok(()) } else { Err(format!("`{name}` can't be `{text}`")) }
        };
        for (name, text) in url.query_pairs() {
            let known = find("query", &name).ok_or_else(|| format!("it knows no parameter `{name}`"))?;
            check(known, &name, &text)?;
        }
        for (name, text) in &operation.given {
            let known = find("path", name).ok_or_else(|| format!("`{{{name}}}` is not described"))?;
            check(known, name, text)?;
        }
        let asked = described.iter().filter(|known| known["in"] == "query" && known["required"] == true);
        for name in asked.filter_map(|known| known["name"].as_str()) {
            if !url.query_pairs().any(|(given, _)| given == name) {
                return Err(format!("parameter `{name}` is missing"));
            }
        }
        Ok(())
    }

    fn body(&self, operation: &Operation<'_>, body: Option<&Value>) -> Result<(), String> {
        if operation.value.get("requestBody").is_none() {
            return body.map_or(Ok(()), |_| Err("it takes no body".into()));
        }
        let place = self.follow(&format!("{}/requestBody", operation.place));
        let required = self.at(&place)["required"] == true;
        match (body, self.media(&place)) {
            (None, _) if required => Err("a body is missing".into()),
            (None, _) => Ok(()),
            (Some(body), Some(schema)) => self.validate(&schema, body),
            (Some(_), None) => Err("its body is no JSON".into()),
        }
    }

    /// The place of the schema of a body in JSON.
    fn media(&self, place: &str) -> Option<String> {
        let content = self.at(place).get("content")?.as_object()?;
        let media = content.keys().find(|media| media.contains("json"))?;
        Some(format!("{place}/content/{}/schema", escape(media)))
    }

    fn validate(&self, place: &str, value: &Value) -> Result<(), String> {
        hold(&self.compile(self.at(place), place), value)
    }

    fn compile(&self, schema: &Value, key: &str) -> Arc<Validator> {
        let mut compiled = self.compiled.lock().expect("nobody panics with it in hand");
        let made = compiled.entry(key.to_owned()).or_insert_with(|| {
            let whole = json!({"allOf": [schema], "components": self.document["components"]});
            // Of the drafts the nearest to OpenAPI 3.0: words beside `$ref` mean nothing, bounds exclude by a flag.
            let options = jsonschema::options().with_draft(Draft::Draft4);
            Arc::new(options.build(&whole).unwrap_or_else(|error| panic!("{key}: {error}")))
        });
        made.clone()
    }

    fn at(&self, place: &str) -> &Value {
        self.document.pointer(place).unwrap_or(&Value::Null)
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match reference(value) {
            Some(place) => self.resolve(self.at(place)),
            None => value,
        }
    }

    /// The place that a place refers to.
    fn follow(&self, place: &str) -> String {
        match reference(self.at(place)) {
            Some(there) => self.follow(there),
            None => place.to_owned(),
        }
    }
}

/// A method of a path.
struct Operation<'a> {
    item: &'a Value,
    value: &'a Value,
    place: String,
    /// What stands where the path has names.
    given: Vec<(&'a str, String)>,
}

fn reference(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()?.strip_prefix('#')
}

fn escape(word: &str) -> String {
    word.replace('~', "~0").replace('/', "~1")
}

fn url(path_and_query: &str) -> Result<Url, String> {
    Url::parse(&format!("http://contract{path_and_query}")).map_err(|error| error.to_string())
}

/// What stands where a template has names; `None` when it does not fit.
fn fit<'a>(template: &'a str, segments: &[&str]) -> Option<Vec<(&'a str, String)>> {
    let wanted: Vec<&str> = template.split('/').collect();
    let mut given = Vec::new();
    for (wanted, found) in wanted.iter().zip(segments) {
        match wanted.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            Some(name) if !found.is_empty() => given.push((name, (*found).to_owned())),
            _ if wanted == found => {}
            _ => return None,
        }
    }
    (wanted.len() == segments.len()).then_some(given)
}

/// What a text in a URL may mean.
fn readings(text: &str) -> Vec<Value> {
    let list: Value = text.split(',').collect();
    let bare =
        serde_json::from_str(text).ok().filter(|value: &Value| value.is_number() || value.is_boolean());
    [Some(text.into()), bare, Some(list)].into_iter().flatten().collect()
}

/// `nullable: true`, which JSON schema does not know.
fn nullable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(nullable);
            if map.remove("nullable") == Some(Value::Bool(true)) {
                let schema = Value::Object(std::mem::take(map));
                *value = json!({"anyOf": [{"type": "null"}, schema]});
            }
        }
        Value::Array(items) => items.iter_mut().for_each(nullable),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_held_against_the_description() {
        let contract = Contract::load("digitalocean.strict.openapi.json");
        let reboot = json!({"type": "reboot"});
        for (method, path, body, wrong) in [
            ("POST", "/v2/droplets/5/actions", Some(&reboot), ""),
            ("GET", "/v2/droplets?tag_name=a&page=2&per_page=200", None, ""),
            ("DELETE", "/v2/droplets/5", None, ""),
            ("GET", "/v2/dropplets", None, "no such path"),
            ("PATCH", "/v2/droplets/5", None, "no such method"),
            ("GET", "/v2/droplets?tag=a", None, "no parameter `tag`"),
            ("GET", "/v2/droplets?per_page=many", None, "`per_page` can't be `many`"),
            ("GET", "/v2/droplets/abc", None, "`droplet_id` can't be `abc`"),
            ("DELETE", "/v2/droplets", None, "parameter `tag_name` is missing"),
            ("POST", "/v2/tags/t/resources", None, "a body is missing"),
            ("POST", "/v2/droplets/5/actions", Some(&json!({"type": "explode"})), "explode"),
            ("POST", "/v2/droplets/actions?tag_name=a", Some(&reboot), "reboot"),
            ("GET", "/v2/droplets/5", Some(&reboot), "takes no body"),
        ] {
            let held = contract.request(method, path, body);
            match wrong {
                "" => assert_eq!(held, Ok(()), "{method} {path}"),
                wrong => {
                    let told = held.expect_err(path);
                    assert!(told.contains(wrong) && told.contains(path), "{method} {path}: {told}");
                }
            }
        }
    }

    #[test]
    fn answers_are_held_against_the_description() {
        let contract = Contract::load("digitalocean.strict.openapi.json");
        let path = "/v2/droplets/5/actions";
        let action = |status: &str| json!({"action": {"id": 7, "status": status, "completed_at": null}});
        assert_eq!(contract.answer("POST", path, 201, Some(&action("completed"))), Ok(()));
        assert!(contract.answer("POST", path, 201, Some(&action("gone"))).is_err());
        assert!(contract.answer("POST", path, 201, None).is_err(), "no body");
        assert_eq!(contract.answer("DELETE", "/v2/droplets/5", 204, None), Ok(()));
        assert!(contract.answer("GET", "/v2/droplets/5", 404, Some(&json!({"id": "not_found"}))).is_err());
        let gone = json!({"id": "not_found", "message": "gone"});
        assert_eq!(contract.answer("GET", "/v2/droplets/5", 404, Some(&gone)), Ok(()));
    }

    #[test]
    fn every_contract_is_one() {
        let contract = Contract::load("elasticsearch-8.17.strict.openapi.json");
        let persistent = json!({"persistent": {"cluster.routing.allocation.exclude._name": null}});
        assert_eq!(contract.request("PUT", "/_cluster/settings", Some(&persistent)), Ok(()));
        assert_eq!(
            contract.request("GET", "/_cluster/health?wait_for_status=green&timeout=5s", None),
            Ok(())
        );
        assert!(contract.request("PUT", "/_cluster/settings", Some(&json!({"volatile": {}}))).is_err());
        assert!(contract.request("GET", "/_cluster/health?wait_for_status=blue", None).is_err());
        // The path of its server is part of it.
        let slack = Contract::load("slack.openapi.json");
        assert!(slack.request("POST", "/api/chat.postMessage", Some(&json!({}))).is_err());
        assert!(
            slack.request("GET", "/api/chat.delete", None).expect_err("unknown").contains("no such path")
        );
    }
}
