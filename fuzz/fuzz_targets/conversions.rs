//! Any answer that a component can give in any slot, and any facts of the reader: what passes the checks
//! is finite, names only what is known, and is the same after it was stored. Telemetry becomes a question
//! without a fault.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use prism_domain::attribution::{ArchitectureAction, Candidate, KnownFamily, KnownVariant};
use prism_domain::consult::{Model, Reply, ReviewContext};
use prism_domain::estimate::Estimate;
use prism_domain::ids::{FamilyId, Hotkey, SubmissionId, VariantId};
use prism_domain::improvement::{Assessment, ImprovementOutcome};
use prism_domain::rewards::{FamilyRow, LedgerView, WHOLE_PPM};
use prism_domain::scaling::ScalingInput;
use prism_domain::submission::ProjectKind;
use prism_domain::telemetry::Telemetry;
use prism_domain::time::EpochId;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The same WIT as the host binds, without an engine: records are plain Rust types.
mod bindings {
    #![allow(missing_docs, dead_code, clippy::all, clippy::pedantic, reason = "generated")]
    wit_bindgen::generate!({
        path: "../wit",
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
        additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize, arbitrary::Arbitrary],
        generate_all,
    });
}

// The very files of the host, between those types and the domain's.
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../host/policy/src/convert/mod.rs"]
mod convert;

use bindings::exports::prism as wit;

#[derive(Arbitrary, Debug)]
enum Said<'a> {
    Review(wit::review::review::Verdict),
    Closer(wit::consult::consult::Outcome, bool),
    Scaling(wit::scaling::scaling::Report),
    Thresholds(wit::thresholds::thresholds::Assessment),
    Attribution(wit::attribution::attribution::Attribution, Names),
    Rewards(Vec<wit::rewards::rewards::Weight>, Names),
    Facts(wit::host::python_facts::Facts),
    Compared(wit::host::python_facts::Comparison),
    Telemetry(&'a [u8]),
}

/// Whether names in the answer are replaced by known ones, which chance would never meet.
#[derive(Arbitrary, Debug)]
struct Names {
    known: bool,
    whole: bool,
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(said) = Said::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    match said {
        Said::Review(verdict) => stored(convert::review::answer(verdict)),
        Said::Closer(outcome, asked) => stored(convert::consult::answer(outcome, &context(asked))),
        Said::Scaling(report) => stored(convert::scaling::answer(report)),
        Said::Thresholds(assessment) => {
            let answer = convert::thresholds::answer(assessment);
            if let Ok(answer) = &answer {
                convert::thresholds::assessment(answer);
            }
            stored(answer);
        }
        Said::Attribution(attribution, names) => check_attribution(attribution, &names),
        Said::Rewards(weights, names) => check_weights(weights, &names),
        Said::Facts(facts) => stored(convert::source::facts(facts)),
        Said::Compared(comparison) => stored(convert::source::comparison(comparison)),
        Said::Telemetry(raw) => {
            if let Ok(telemetry) = Telemetry::parse(raw) {
                convert::scaling::question(&ScalingInput { telemetry });
            }
        }
    }
});

/// What is stored as the evidence of a decision must read back as the same decision.
fn stored<T>(answer: Result<T, prism_domain::policy::InvalidAnswer>)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    if let Ok(answer) = answer {
        let text = serde_json::to_string(&answer).expect("JSON");
        assert!(!text.contains("null,\"std_error\""), "a number that JSON cannot hold: {text}");
        let again: T = serde_json::from_str(&text).expect("what was stored can be read");
        assert_eq!(again, answer);
    }
}

fn check_attribution(mut said: wit::attribution::attribution::Attribution, names: &Names) {
    use wit::attribution::attribution as wit;
    if names.known {
        let family = family().to_string();
        said.architecture = match said.architecture {
            wit::ArchitectureAction::Existing(_) => wit::ArchitectureAction::Existing(family),
            wit::ArchitectureAction::Transfer(_) => wit::ArchitectureAction::Transfer(family),
            other => other,
        };
        let variant = variant().to_string();
        said.training = match said.training {
            wit::TrainingAction::Existing(_) => wit::TrainingAction::Existing(variant),
            wit::TrainingAction::Transfer(_) => wit::TrainingAction::Transfer(variant),
            other => other,
        };
    }
    if names.whole {
        said.final_score = said.contributions.iter().map(|bar| bar.value).sum();
    }
    let question = candidate();
    convert::attribution::question(&question);
    let answer = convert::attribution::answer(said, &question);
    if let Ok(answer) = &answer {
        let named = answer.architecture.family();
        assert!(named.is_none_or(|named| named == family()), "an unknown family");
        assert!((0.0..=1.0).contains(&answer.final_score));
        let transfer = matches!(answer.architecture, ArchitectureAction::Transfer(_));
        assert!(!transfer || named.is_some());
    }
    stored(answer);
}

fn check_weights(mut said: Vec<wit::rewards::rewards::Weight>, names: &Names) {
    if names.known {
        for (weight, hotkey) in said.iter_mut().zip(["one", "two"]) {
            weight.hotkey = hotkey.to_owned();
        }
    }
    if names.whole {
        said.truncate(2);
        let parts: &[u32] = if said.len() == 1 { &[1_000_000] } else { &[400_000, 600_000] };
        for (weight, part) in said.iter_mut().zip(parts) {
            weight.ppm = *part;
            weight.sources.truncate(1);
            weight.sources.iter_mut().for_each(|source| source.ppm = *part);
        }
    }
    let ledger = ledger();
    convert::rewards::question(&ledger);
    let answer = convert::rewards::answer(said, &ledger);
    if let Ok(vector) = &answer {
        let total: u64 = vector.as_slice().iter().map(|weight| u64::from(weight.ppm)).sum();
        assert!(vector.as_slice().is_empty() || total == WHOLE_PPM, "{total}");
    }
    stored(answer);
}

/// A review with a model at hand, before or after it was asked.
fn context(asked: bool) -> ReviewContext {
    let model = Model { name: "m".to_owned(), input_max_bytes: 4_096 };
    let reply = asked.then(|| Reply::Answered("{}".to_owned()));
    ReviewContext { model: Some(model), reply, ..ReviewContext::default() }
}

fn family() -> FamilyId {
    FamilyId::new(uuid::Uuid::from_u128(1))
}

fn variant() -> VariantId {
    VariantId::new(uuid::Uuid::from_u128(2))
}

fn candidate() -> Candidate {
    let estimate = Estimate { value: 0.5, std_error: 0.1, samples: 2 };
    let assessment = Assessment {
        outcome: ImprovementOutcome::Meaningful,
        delta: 0.1,
        required_delta: 0.05,
        statistic: 3.0,
        critical_value: 2.0,
        explanation: String::new(),
    };
    Candidate {
        submission_id: SubmissionId::new(uuid::Uuid::nil()),
        kind: ProjectKind::Full,
        q_arch: estimate,
        q_recipe: estimate,
        stability: 1.0,
        quality: 0.5,
        target_family: None,
        families: vec![KnownFamily {
            family_id: family(),
            same_owner: false,
            same_architecture: false,
            similarity_ppm: 900_000,
            targeted: false,
            q_arch_best: 0.4,
            architecture: assessment.clone(),
            training: Some(assessment),
        }],
        variants: vec![KnownVariant {
            variant_id: variant(),
            family_id: family(),
            same_owner: false,
            same_training: false,
            is_current_best: true,
        }],
    }
}

fn ledger() -> LedgerView {
    let row = |id: &str, hotkey: &str| FamilyRow {
        family_id: id.to_owned(),
        hotkey: Hotkey::new(hotkey).expect("a hotkey"),
        q_arch_best_ppm: 500_000,
        age_epochs: 1,
    };
    LedgerView {
        epoch: EpochId(1),
        families: vec![row("a", "one"), row("b", "two")],
        variants: Vec::new(),
        scores: Vec::new(),
    }
}
