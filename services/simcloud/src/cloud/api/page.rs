//! Lists come in pages, with links to the others and the number of all.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::errors::Refused;

const PER_PAGE: usize = 20;
const PER_PAGE_MAX: usize = 200;

/// What follows the question mark.
pub type Params = BTreeMap<String, String>;

/// One page of `all` under `key`. `url`: where the list is, without what follows the question mark.
pub fn page(key: &str, all: &[Value], url: &str, params: &Params) -> Result<Value, Refused> {
    let number = |name: &str, default: usize, max: usize| match params.get(name).map(|text| text.parse()) {
        None => Ok(default),
        Some(Ok(number)) if (1..=max).contains(&number) => Ok(number),
        Some(_) => Err(Refused::unprocessable(&format!("{name}: a number from 1 to {max} is wanted"))),
    };
    let (page, size) = (number("page", 1, usize::MAX)?, number("per_page", PER_PAGE, PER_PAGE_MAX)?);
    let last = all.len().div_ceil(size).max(1);
    let shown: Vec<&Value> = all.iter().skip((page - 1).saturating_mul(size)).take(size).collect();
    Ok(json!({key: shown, "links": links(page, last, url, params), "meta": {"total": all.len()}}))
}

fn links(page: usize, last: usize, url: &str, params: &Params) -> Value {
    let link = |page: usize| {
        let mut params = params.clone();
        params.insert("page".into(), page.to_string());
        let pairs: Vec<String> =
            params.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        Value::from(format!("{url}?{}", pairs.join("&")))
    };
    let mut pages = Map::new();
    if page > 1 {
        pages.insert("first".into(), link(1));
        pages.insert("prev".into(), link((page - 1).min(last)));
    }
    if page < last {
        pages.insert("next".into(), link(page + 1));
        pages.insert("last".into(), link(last));
    }
    if pages.is_empty() { json!({}) } else { json!({"pages": pages}) }
}

/// Names and tags have no other letters that mean something in a query.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('&', "%26").replace(':', "%3A").replace(' ', "%20").replace('#', "%23")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_leads_to_the_others() {
        let all: Vec<Value> = (0..5).map(Value::from).collect();
        let of = |pairs: &[(&str, &str)]| {
            let params = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            page("n", &all, "http://h/v2/n", &params)
        };
        let first = of(&[("per_page", "2"), ("tag_name", "a:b")]).expect("a page");
        assert_eq!(first["n"], json!([0, 1]));
        assert_eq!(first["meta"]["total"], 5);
        assert_eq!(first["links"]["pages"]["next"], "http://h/v2/n?page=2&per_page=2&tag_name=a%3Ab");
        assert!(first["links"]["pages"].get("prev").is_none());
        let last = of(&[("per_page", "2"), ("page", "3")]).expect("a page");
        assert_eq!(
            (&last["n"], &last["links"]["pages"]["prev"]),
            (&json!([4]), &json!("http://h/v2/n?page=2&per_page=2"))
        );
        assert!(last["links"]["pages"].get("next").is_none());
        let beyond = of(&[("page", "9")]).expect("a page");
        assert_eq!(
            (&beyond["n"], &beyond["links"]["pages"]["prev"]),
            (&json!([]), &json!("http://h/v2/n?page=1"))
        );
        assert_eq!(of(&[]).expect("a page")["links"], json!({}));
        for wrong in [("page", "0"), ("page", "x"), ("per_page", "201")] {
            assert_eq!(of(&[wrong]).expect_err("wrong").status, 422);
        }
    }
}
