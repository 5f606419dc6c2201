//! The default thresholds policy: the component's glue. The rules are in `rules`, pure functions over
//! the records of `wit/deps/thresholds.wit`.

wit_bindgen::generate!({
    path: "../../wit",
    world: "prism:thresholds/assessor",
    additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
    generate_all,
});
