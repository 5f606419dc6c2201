//! The default rewards policy: the component's glue. The rules are in `rules`, pure functions over
//! the records of `wit/deps/rewards.wit`.

wit_bindgen::generate!({
    path: "../../wit",
    world: "prism:rewards/rewarder",
    additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
    generate_all,
});
