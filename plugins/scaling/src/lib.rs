//! The default scaling policy: the component's glue. The rules are in `rules`, pure functions over
//! the records of `wit/deps/scaling.wit`.

wit_bindgen::generate!({
    path: "../../wit",
    world: "prism:scaling/scaler",
    additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
    generate_all,
});
