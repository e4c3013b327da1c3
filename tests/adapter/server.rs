//! The server itself: routes, token, host, limits.

use gateway::{Adapter, BindError, UpstreamError};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::double::{Double, TOKEN, answer_to, ask, client, config, good, post, start};

async fn raw(adapter: &Adapter, request: &str) -> String {
    let mut socket = tokio::net::TcpStream::connect(adapter.address())
        .await
        .unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn only_the_token_of_this_adapter_opens_it() {
    let double = Double::always(good()).await;
    let adapter = start(config(&double.url)).await;
    let url = format!("{}/v1/messages", adapter.url());
    let ask = || {
        client()
            .post(&url)
            .body(ask(json!({ "stream": true })).to_string())
    };
    for (name, request, status) in [
        ("none", ask(), 401),
        ("a wrong one", ask().header("x-api-key", "job-tokem"), 401),
        ("a longer one", ask().header("x-api-key", "job-token1"), 401),
        (
            "the gateway's key",
            ask().header("authorization", format!("Bearer {}", super::double::KEY)),
            401,
        ),
        (
            "as a bearer",
            ask().header("authorization", format!("bearer {TOKEN}")),
            200,
        ),
        ("as an API key", ask().header("x-api-key", TOKEN), 200),
        (
            "one right, one wrong",
            ask()
                .header("x-api-key", "x")
                .header("authorization", format!("Bearer {TOKEN}")),
            200,
        ),
    ] {
        let got = answer_to(request).await;
        assert_eq!(got.status, status, "{name}: {}", got.text);
        if status == 401 {
            assert_eq!(got.error().0, "authentication_error", "{name}");
        }
    }
    assert_eq!(double.received().len(), 3);
}

#[tokio::test]
async fn a_web_page_by_dns_rebinding_is_kept_out() {
    let double = Double::always(good()).await;
    let adapter = start(config(&double.url)).await;
    for (host, allowed) in [
        ("evil.example", false),
        ("127.0.0.1.evil.example:80", false),
        ("", false),
        ("localhost:1", true),
        ("127.0.0.1", true),
        ("LOCALHOST", true),
    ] {
        let answer = raw(&adapter, &format!("GET /v1/models HTTP/1.1\r\nhost: {host}\r\nx-api-key: {TOKEN}\r\nconnection: close\r\n\r\n")).await;
        let status = if allowed {
            "HTTP/1.1 200"
        } else {
            "HTTP/1.1 403"
        };
        assert!(answer.starts_with(status), "{host}: {answer}");
    }
}

#[tokio::test]
async fn every_route_answers_in_the_apis_shape() {
    let double = Double::always(good()).await;
    let adapter = start(config(&double.url)).await;
    for (method, path, status) in [
        ("HEAD", "/", 200),
        ("GET", "/", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models?limit=1000", 200),
        ("GET", "/v1/models/big", 200),
        ("GET", "/v1/messages", 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/", 405),
        ("POST", "/v1/chat/completions", 404),
        ("POST", "/v1/complete", 404),
        ("GET", "/../etc/passwd", 404),
    ] {
        let request = client()
            .request(method.parse().unwrap(), format!("{}{path}", adapter.url()))
            .header("x-api-key", TOKEN);
        let got = answer_to(request).await;
        assert_eq!(got.status, status, "{method} {path}: {}", got.text);
        if status >= 400 {
            got.error();
        }
    }
    let models = answer_to(
        client()
            .get(format!("{}/v1/models", adapter.url()))
            .header("x-api-key", TOKEN),
    )
    .await
    .json();
    assert_eq!(models["data"][0]["id"], "big");
    let count = post(
        &adapter,
        "/v1/messages/count_tokens?beta=true",
        json!({ "model": "m", "messages": [{ "role": "user", "content": "hello world" }] })
            .to_string(),
    )
    .await;
    assert!(
        (3..20).contains(&count.json()["input_tokens"].as_u64().unwrap()),
        "{}",
        count.text
    );
    assert_eq!(
        post(&adapter, "/v1/messages/count_tokens", "{")
            .await
            .status,
        400
    );
    assert!(double.received().is_empty());
}

#[tokio::test]
async fn large_bodies_pass_and_too_large_ones_are_refused() {
    let double = Double::always(good()).await;
    let adapter = start(config(&double.url)).await;
    let big = "é\n".repeat(4 << 20);
    let got = post(
        &adapter,
        "/v1/messages",
        ask(json!({ "stream": true, "system": big })).to_string(),
    )
    .await;
    assert_eq!(got.status, 200);
    assert_eq!(double.only().body["messages"][0]["content"], big);
    let answer = raw(&adapter, &format!("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\ncontent-length: 33554433\r\nconnection: close\r\n\r\n")).await;
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("request_too_large"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_gateway_url_that_cannot_work_is_refused_at_the_start() {
    for url in ["ftp://h", "https://user:secret@h/v1", "http://a\0.b"] {
        let refused = Adapter::bind("127.0.0.1:0".parse().unwrap(), config(url)).await;
        let Err(BindError::Upstream(error @ UpstreamError::Url { .. })) = refused else {
            panic!("{url} was taken")
        };
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn an_adapter_that_was_shut_down_answers_no_more() {
    let double = Double::always(good()).await;
    let adapter = start(config(&double.url)).await;
    let url = adapter.url();
    adapter.shutdown().await;
    assert!(client().get(url).send().await.is_err());
}
