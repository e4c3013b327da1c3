//! Which models a gateway says it has.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::endpoint::{endpoint_url, messages_url};
use super::error::ApiError;
use super::upstream::Gateway;
use super::{GatewayError, Mode, Upstream};
use crate::facts::Auth;
use redact::Redactor;

/// The longest list that is read, in bytes; the largest aggregators' lists have about one megabyte.
const LIST_MAX: usize = 8 << 20;

/// The models of a gateway, in its own order: `GET models` beside where it takes completions. `model` stands in for the
/// name where the address hangs on it.
///
/// # Errors
/// The gateway cannot be used, does not answer in `patience`, or answers with anything but a list: many have none.
pub async fn list_models(
    upstream: &Upstream,
    mode: Mode,
    model: &str,
    redactor: &Redactor,
    patience: Duration,
) -> Result<Vec<String>, GatewayError> {
    let refused = |error: ApiError| GatewayError::Refused {
        status: error.status,
        kind: error.kind.word(),
        message: redactor.text(&error.message).to_string(),
    };
    let gateway = Gateway::new(upstream, None).map_err(super::BindError::Upstream)?;
    let (mut url, auth) = match mode {
        Mode::Translate => {
            let facts = gateway.dialect.facts(model).map_err(refused)?;
            let endpoint = &facts.usual().endpoint;
            let url = endpoint_url(
                &gateway.base,
                &endpoint.path,
                endpoint,
                gateway.at_home,
                model,
            )
            .map_err(refused)?;
            (url, endpoint.auth.clone())
        }
        Mode::Relay => (
            messages_url(&gateway.base, None),
            Auth::Header("x-api-key".to_owned()),
        ),
    };
    let beside = ["/chat/completions", "/messages"]
        .iter()
        .find_map(|end| url.path().strip_suffix(end))
        .unwrap_or_else(|| url.path().trim_end_matches('/'))
        .to_owned();
    url.set_path(&format!("{beside}/models"));
    let mut response = gateway.get(url, &auth, patience).await.map_err(refused)?;
    let status = response.status().as_u16();
    let headers: HeaderMap = response.headers().clone();
    let mut body = Vec::new();
    loop {
        let piece = response.chunk().await;
        let piece = piece
            .map_err(|error| refused(ApiError::connection(&gateway.host, &error.without_url())))?;
        match piece {
            Some(piece) if body.len() + piece.len() <= LIST_MAX => body.extend_from_slice(&piece),
            Some(_) => return Err(refused(ApiError::bad_gateway("The list is too long"))),
            None => break,
        }
    }
    if status != 200 {
        return Err(refused(ApiError::of_reply(status, &headers, &body)));
    }
    names(&body).ok_or_else(|| {
        refused(ApiError::bad_gateway(
            "The gateway's answer is no list of models",
        ))
    })
}

/// The names in a list of OpenAI's form, or in one of those that others give.
fn names(body: &[u8]) -> Option<Vec<String>> {
    let list: Value = serde_json::from_slice(body).ok()?;
    let items = [&list["data"], &list["models"], &list]
        .into_iter()
        .find_map(Value::as_array)?;
    let name = |item: &Value| {
        [item, &item["id"], &item["name"]]
            .into_iter()
            .find_map(Value::as_str)
            .map(str::to_owned)
    };
    Some(items.iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_several_forms() {
        let rows = [
            (
                r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#,
                Some(2),
            ),
            (r#"{"models":[{"name":"a"},{"name":"b"}]}"#, Some(2)),
            (r#"["a","b"]"#, Some(2)),
            (r#"{"data":[{"no":"name"}]}"#, Some(0)),
            (r#"{"error":"no"}"#, None),
            ("<html>", None),
        ];
        for (body, count) in rows {
            assert_eq!(
                names(body.as_bytes()).map(|names| names.len()),
                count,
                "{body}"
            );
        }
    }
}
