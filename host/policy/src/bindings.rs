//! The host's side of `wit/`, generated. One world holds every export of every slot, so that the shared
//! types exist once; a component is bound interface by interface and need not fill them all.

#![allow(missing_docs, unreachable_pub, reason = "generated; the WIT is the documentation")]
#![allow(clippy::all, clippy::pedantic, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package prism:all@1.0.0;
        world all {
            import prism:plugin/log@1.0.0;
            export prism:plugin/meta@1.0.0;
            export prism:review/review@1.0.0;
            export prism:scaling/scaling@1.0.0;
            export prism:thresholds/thresholds@1.0.0;
            export prism:attribution/attribution@1.0.0;
            export prism:rewards/rewards@1.0.0;
            export prism:consult/consult@1.0.0;
            export prism:host/python-facts@1.1.0;
        }
    ",
    world: "prism:all/all",
    additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
});
