//! A query whose answer is one number. Whatever else it answers is unknown: no data is never health.

use regreen_schemas::view::{Access, Check};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Failed, Found,
    access::{self, Door, Reply},
};

/// The answer of `/api/v1/query`.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

pub async fn look(
    door: &Door,
    check: &Check,
    url: &str,
    query: &str,
    access: &Access,
) -> Result<Found, Failed> {
    let url = access::url(url, &["api", "v1", "query"], &[("query", query)])?;
    let reply = access::ask(door.request(Method::GET, url, access)?).await?;
    judge(check, &reply)
}

fn judge(check: &Check, reply: &Reply) -> Result<Found, Failed> {
    let value = number(reply).map_err(Failed::Blind)?;
    Ok(Found::measured(check, value, format!("the query says {value}")))
}

/// The one number of an answer, or why there is none.
fn number(reply: &Reply) -> Result<f64, String> {
    let answer: Answer =
        serde_json::from_slice(&reply.body).map_err(|_| format!("Prometheus answers {}", reply.status))?;
    if let Some(error) = answer.error {
        return Err(error);
    }
    let data = answer.data.ok_or("Prometheus answers without data")?;
    let sample = match data.result_type.as_str() {
        "scalar" => &data.result,
        "vector" => match data.result.as_array().map(Vec::as_slice) {
            Some([sample]) => &sample["value"],
            Some([]) => return Err("the query has no result".into()),
            many => return Err(format!("the query has {} results", many.map_or(0, <[_]>::len))),
        },
        other => return Err(format!("the query's result is a {other}")),
    };
    let text = sample[1].as_str().ok_or("the query's result is no number")?;
    match text.parse::<f64>() {
        Ok(value) if !value.is_nan() => Ok(value),
        _ => Err(format!("the query says {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_number_is_an_answer() {
        let vector = |samples: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{samples}]}}}}"#)
        };
        let sample = |value: &str| format!(r#"{{"metric":{{"job":"a"}},"value":[1762516.7,"{value}"]}}"#);
        let two = format!("{},{}", sample("1"), sample("2"));
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1762516.7,"3.5"]}}"#;
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        let error = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        let table: [(u16, &str, Result<f64, &str>); 10] = [
            (200, &vector(&sample("12")), Ok(12.0)),
            (200, &vector(&sample("1e-3")), Ok(0.001)),
            (200, &vector(&sample("+Inf")), Ok(f64::INFINITY)),
            (200, &vector(&sample("NaN")), Err("the query says NaN")),
            (200, &vector(""), Err("the query has no result")),
            (200, &vector(&two), Err("the query has 2 results")),
            (200, scalar, Ok(3.5)),
            (200, matrix, Err("the query's result is a matrix")),
            (400, error, Err("parse error")),
            (502, "<html>", Err("Prometheus answers 502")),
        ];
        for (status, body, expected) in table {
            let reply = Reply { status, body: body.into() };
            assert_eq!(number(&reply), expected.map_err(str::to_owned), "{body}");
        }
    }
}
