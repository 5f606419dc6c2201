//! Much at once: connections that send nothing, readers that read nothing, uploads without end.

use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use prism_tests::{Prism, Settings};

use crate::asking::{
    answer_until_closed, assert_refused, connected, header, now, raw_upload, said, sent, upload,
};

/// HTTP-DOS-01: more half-sent headers than there is room for keep nobody out. That one is cut off after
/// its time is held by the tests of the API.
#[tokio::test]
async fn slow_headers_make_room_for_whoever_asks() {
    let prism = Prism::start(&Settings::api_only().with("PRISM_CONNECTIONS", "32"));
    let mut slow: Vec<_> =
        (0..200).map(|_| said(&prism, b"GET /livez HTTP/1.1\r\nX-Slow: ")).collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        // A client of its own each time, so that each needs a connection.
        let begin = now();
        let text = b"GET /v1/leaderboard HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n";
        let answer = answer_until_closed(said(&prism, text)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        slowest = slowest.max(begin.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let first = slow.remove(0);
    assert_eq!(answer_until_closed(first).await, "", "it was closed long before its time");
}

/// HTTP-DOS-03
#[tokio::test]
async fn who_does_not_read_is_given_up_on() {
    let prism = Prism::start(&Settings::api_only());
    let before_kb = resident_kb(prism.id());
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut stream = connected(&prism);
        stream.set_nonblocking(true).expect("set");
        // Answers pile up until the server cannot write, and then its reading stops too.
        let ask = "GET /openapi.json HTTP/1.1\r\nHost: p\r\n\r\n".repeat(200);
        let mut full_looks = 0;
        while full_looks < 3 {
            match stream.write(ask.as_bytes()) {
                Ok(_) => full_looks = 0,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    full_looks += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        streams.push(stream);
    }
    let grown_kb = resident_kb(prism.id()).saturating_sub(before_kb);
    assert!(grown_kb < 40 * 256, "{grown_kb} kB for 40 connections");
    let begin = now();
    let mut left = streams;
    while !left.is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(40), "{} still open", left.len());
        tokio::time::sleep(Duration::from_millis(250)).await;
        left.retain_mut(|stream| match stream.write(b"x") {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
    }
    assert_eq!(sent(prism.request("GET", "/livez")).await.status(), 200);
}

fn resident_kb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// HTTP-DOS-09: and that the other's evaluation is next is held by the tests of the store.
#[tokio::test]
async fn a_flood_of_one_hotkey_ends_at_its_quota_and_touches_no_other() {
    let settings = Settings::api_only().with("PRISM_QUOTA_SUBMISSIONS", "3");
    let prism = Prism::start(&settings.with("PRISM_QUOTA_WINDOW_SECONDS", "3600"));
    let mut answers = Vec::new();
    for n in 0..6 {
        answers.push(sent(upload(&prism, "flood", format!("body {n}"))).await);
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429]);
    let refused = answers.remove(3);
    assert_eq!(header(&refused, "ratelimit-policy").as_deref(), Some("\"submissions\";q=3;w=3600"));
    let wait: u64 = header(&refused, "retry-after").expect("a time").parse().expect("seconds");
    assert!((3_590..=3_600).contains(&wait), "{wait}");
    assert_eq!(header(&refused, "ratelimit"), Some(format!("\"submissions\";r=0;t={wait}")));
    let body: serde_json::Value = refused.json().await.expect("a problem");
    assert_eq!((&body["code"], &body["fault"]), (&"quota-exceeded".into(), &"miner".into()));
    assert!(body["reset_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{body}");
    let again = sent(upload(&prism, "flood", "body 1")).await;
    assert_eq!(header(&again, "idempotency-replayed").as_deref(), Some("true"), "it costs nothing");
    assert_eq!(sent(upload(&prism, "other", "body 0")).await.status(), 200);
    assert_refused(upload(&prism, "flood", "body 9"), 429, "quota-exceeded").await;
}

/// As many uploads as there are places are read at once; the next is told to come back, and strangers who
/// dawdle at one door take no place from the other.
#[tokio::test]
async fn a_full_door_says_so_and_the_rest_goes_on() {
    let prism = Prism::start(&Settings::api_only().with("PRISM_UPLOADS", "2"));
    let half = raw_upload("Content-Length: 100\r\n");
    let held: Vec<_> = (0..2).map(|_| said(&prism, half.as_bytes())).collect();
    let response = loop {
        // The two may not have been read yet.
        let response = sent(upload(&prism, "a", uuid::Uuid::new_v4().to_string())).await;
        if response.status() != 200 {
            break response;
        }
    };
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after").as_deref(), Some("1"));
    let signed = crate::asking::signed(&prism, "nonce-1", r#"{"code": "x"}"#);
    assert_eq!(sent(signed).await.status(), 200);
    assert_eq!(prism.get("/health").await["status"], "ok");
    drop(held);
    while sent(upload(&prism, "a", "later")).await.status() != 200 {}
}

#[tokio::test]
async fn who_is_idle_between_requests_is_closed_in_time() {
    let prism = Prism::start(&Settings::api_only());
    let begin = now();
    let stream = said(&prism, b"GET /livez HTTP/1.1\r\nHost: p\r\n\r\n");
    let answer = answer_until_closed(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let took = begin.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(14)).contains(&took), "{took:?}");
}
