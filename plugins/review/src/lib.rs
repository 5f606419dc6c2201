//! The default review policy: the component's glue. The rules are in `rules`, pure functions over
//! the records of `wit/deps/review.wit`.

wit_bindgen::generate!({
    path: "../../wit",
    world: "prism:review/reviewer",
    additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
    generate_all,
});
