//! The default attribution policy: the component's glue. The rules are in `rules`, pure functions over
//! the records of `wit/deps/attribution.wit`.

wit_bindgen::generate!({
    path: "../../wit",
    world: "prism:attribution/attributor",
    additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
    generate_all,
});
