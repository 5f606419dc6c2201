//! Sets that are revoked, and sets that give no weights.

use std::time::Duration;

use prism_domain::policy::Slot;
use prism_tests::{Prism, Settings};
use serde_json::{Value, json};

use crate::server::{
    activation, asked, composed, follows, granted, loaded, refused, settings, state,
};

/// The set in force with other settings in the rewards slot.
async fn half_life(prism: &Prism, epochs: u32) -> String {
    let set = loaded(prism).await;
    let known = granted(asked(prism, "rosa", "GET", &format!("/sets/{set}"))).await;
    let mut of_rewards = known["slots"]["rewards"]["settings"].clone();
    of_rewards["half_life_epochs"] = epochs.into();
    composed(prism, Slot::Rewards, json!({"settings": of_rewards})).await
}

/// The set in force whose rewards policy has no fuel to answer with.
async fn starved(prism: &Prism) -> String {
    let set = loaded(prism).await;
    let known = granted(asked(prism, "rosa", "GET", &format!("/sets/{set}"))).await;
    let mut limits = known["slots"]["rewards"]["limits"].clone();
    limits["fuel"] = 1_000.into();
    composed(prism, Slot::Rewards, json!({"limits": limits})).await
}

async fn last_reason(prism: &Prism, event: &str) -> String {
    let log = granted(asked(prism, "rosa", "GET", "/log")).await;
    let entries = log.as_array().expect("a list");
    let last = entries.iter().rev().find(|entry| entry["event"]["event"] == event);
    last.map(|entry| entry["reason"].as_str().expect("text").to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_set_gives_way_everywhere_and_is_never_loaded_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Prism::start_in(folder.path(), &settings(""));
    let two = Prism::start_in(folder.path(), &settings(""));
    let (first, second) = (loaded(&one).await, half_life(&one, 7).await);
    granted(activation(&one, &second)).await;
    follows(&two, &second).await;

    let end = |prism: &Prism, who: &str, set: &str, verb: &str| {
        asked(prism, who, "POST", &format!("/sets/{set}/{verb}")).json(&json!({"reason": "leaks"}))
    };
    refused(end(&two, "rosa", &second, "revoke"), 403, "scope-missing").await;
    refused(end(&two, "olga", &"00".repeat(32), "revoke"), 404, "policy-set-unknown").await;
    let revoked = granted(end(&two, "olga", &second, "revoke")).await;
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(revoked["activation"]["policy_set"], first.as_str(), "{revoked}");
    assert_eq!(loaded(&two).await, first, "at once where it was asked for");
    follows(&one, &first).await;

    for prism in [&one, &two] {
        refused(activation(prism, &second), 409, "policy-set-revoked").await;
        let undo = asked(prism, "olga", "POST", "/rollback").json(&json!({"reason": "back"}));
        refused(undo, 409, "policy-set-revoked").await;
        refused(end(prism, "olga", &second, "shadow"), 409, "policy-set-revoked").await;
    }
    refused(end(&one, "olga", &second, "release"), 409, "illegal-transition").await;
    // Composed again it is the same set, and stays revoked.
    let known = granted(asked(&one, "rosa", "GET", &format!("/sets/{second}"))).await;
    let body = json!({"slots": {"rewards": {"settings": known["slots"]["rewards"]["settings"]}}});
    refused(asked(&one, "rosa", "POST", "/sets").json(&body), 409, "policy-set-revoked").await;
    // There is nothing left to go back to from the first.
    refused(end(&one, "olga", &first, "revoke"), 409, "nothing-to-roll-back-to").await;
    assert_eq!(state(&one, &first).await, "active");

    assert!(one.terminate().success() && two.terminate().success());
    let again = Prism::start_in(folder.path(), &settings(""));
    assert_eq!(loaded(&again).await, first);
    assert_eq!(last_reason(&again, "revoked").await, "leaks");
}

async fn weights(prism: &Prism) -> Value {
    prism.get_internal("/internal/v1/get_weights").await["metadata"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_gives_no_weights_five_times_in_a_row_is_quarantined() {
    let prism = Prism::start(&settings(""));
    let sound = loaded(&prism).await;
    assert_eq!(weights(&prism).await["stale"], false);
    let hungry = starved(&prism).await;
    granted(activation(&prism, &hungry)).await;
    for _ in 0..5 {
        let served = weights(&prism).await;
        assert_eq!((&served["stale"], &served["policy_set"]), (&json!(true), &json!(sound)));
    }
    follows(&prism, &sound).await;
    assert_eq!(state(&prism, &hungry).await, "quarantined");
    let why = last_reason(&prism, "quarantined").await;
    assert!(why.starts_with("it gave no weights 5 times in a row"), "{why}");
    assert_eq!(weights(&prism).await["stale"], false, "the set before answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_gives_no_weights_in_three_epochs_is_quarantined() {
    let epoch = Duration::from_secs(2);
    let prism = Prism::start(&Settings::with(settings(""), "PRISM_EPOCH_SECONDS", "2"));
    let sound = loaded(&prism).await;
    weights(&prism).await;
    let hungry = starved(&prism).await;
    granted(activation(&prism, &hungry)).await;
    for _ in 0..3 {
        assert_eq!(state(&prism, &hungry).await, "active");
        weights(&prism).await;
        tokio::time::sleep(epoch).await;
    }
    follows(&prism, &sound).await;
    assert_eq!(last_reason(&prism, "quarantined").await, "in 3 epochs it gave no weights");
}
