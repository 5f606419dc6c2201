//! Requests whose end two readers could see in different places, and headers without measure.

use prism_tests::{Prism, Settings};

use crate::asking::{answer_until_closed, assert_refused, raw_upload, said, sent};

/// A request that must not be executed, sent behind one that is wrong.
const NEXT: &str = "GET /v1/epochs/current HTTP/1.1\r\nHost: p\r\n\r\n";

/// HTTP-BOD-03
#[tokio::test]
async fn ambiguous_framing_ends_the_connection_and_what_follows_is_never_executed() {
    let prism = Prism::start(&Settings::api_only());
    for (lines, body) in [
        ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "abcde"),
        ("Content-Length: +5\r\n", "abcde"),
        ("Content-Length: 5, 5\r\n", "abcde"),
        ("Content-Length : 5\r\n", "abcde"),
        ("Content-Length: 5\r\n X-Folded: yes\r\n", "abcde"),
        ("Transfer-Encoding: chunked\r\n", "0x\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "11111111111111111\r\n\r\n"),
    ] {
        let text = format!("{}{body}{NEXT}", raw_upload(lines));
        let answer = answer_until_closed(said(&prism, text.as_bytes())).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lines:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lines:?}: {answer}");
        assert!(!answer.contains("epoch_seconds"), "{lines:?}: {answer}");
    }
    // Where both are said the encoding counts, and the connection ends with the answer (RFC 9112, 6.1).
    for lines in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let text = format!("{}1\r\nx\r\n0\r\n\r\n{NEXT}", raw_upload(lines));
        let answer = answer_until_closed(said(&prism, text.as_bytes())).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(!answer.contains("epoch_seconds"), "{answer}");
    }
}

/// A lone line feed ends a line, as RFC 9112 (2.2) allows; where the request ends is not moved by it.
#[tokio::test]
async fn lone_line_feeds_move_no_border() {
    let prism = Prism::start(&Settings::api_only());
    let text = raw_upload("Content-Length: 1\r\nConnection: close\r\n").replace("\r\n", "\n");
    let answer = answer_until_closed(said(&prism, format!("{text}x{NEXT}").as_bytes())).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(!answer.contains("epoch_seconds"), "{answer}");
}

/// HTTP-DOS-05: HTTP/1.1 is all that is spoken.
#[tokio::test]
async fn http_2_is_not_served() {
    let prism = Prism::start(&Settings::api_only());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let answer = answer_until_closed(said(&prism, preface)).await;
    assert!(!answer.contains("HTTP/2") && !answer.contains(" 200 "), "{answer}");
    let upgrade = "GET /livez HTTP/1.1\r\nHost: p\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = answer_until_closed(said(&prism, upgrade.as_bytes())).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "no 101: {answer}");
}

#[tokio::test]
async fn headers_and_targets_have_their_measure() {
    let prism = Prism::start(&Settings::api_only());
    let mut many = prism.request("GET", "/v1/leaderboard");
    for n in 0..70 {
        many = many.header(format!("X-{n}"), "y");
    }
    assert_refused(many, 431, "headers-too-large").await;
    let large = prism.request("GET", "/v1/leaderboard").header("X-Large", "y".repeat(17_000));
    assert_refused(large, 431, "headers-too-large").await;
    let long = prism.request("GET", &format!("/v1/leaderboard?q={}", "y".repeat(9_000)));
    assert_refused(long, 414, "target-too-long").await;
    let usual = prism.request("GET", "/v1/leaderboard").header("X-Large", "y".repeat(8_000));
    assert_eq!(sent(usual).await.status(), 200);
    // Beyond what is read at all the answer is bare, and the connection ends.
    for lines in [format!("X: {}\r\n", "y".repeat(200_000)), "X: y\r\n".repeat(300)] {
        let text = format!("GET /livez HTTP/1.1\r\nHost: p\r\n{lines}\r\n");
        let answer = answer_until_closed(said(&prism, text.as_bytes())).await;
        assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    }
}
