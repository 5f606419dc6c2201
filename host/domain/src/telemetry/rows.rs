//! Rows beside the columns of a run: what was seen of its layers, and the weights at some steps.

use serde::{Deserialize, Serialize};

/// Who vouches for a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// The scorer measured it.
    #[serde(rename = "T")]
    Scorer,
    /// The scorer computed it from what the worker handed over and cannot forge.
    #[serde(rename = "A")]
    Attested,
    /// The worker said so; it may only lower a score.
    #[serde(rename = "U")]
    Reported,
}

/// What a row of layers is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerKind {
    /// The output of a repeated block.
    #[serde(rename = "block")]
    Block,
    /// An attention.
    #[serde(rename = "attn")]
    Attention,
    /// A router of experts.
    #[serde(rename = "router")]
    Router,
    /// The embedding.
    #[serde(rename = "embed")]
    Embedding,
    /// What makes logits.
    #[serde(rename = "head")]
    Head,
    /// The weights of a repeated block, first against last snapshot; the last row is all that is in no
    /// block.
    #[serde(rename = "weights")]
    Weights,
    /// The operands of matrix products, wherever in the model.
    #[serde(rename = "product")]
    Product,
}

/// What was seen of one layer at one step. What was not measured is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRow {
    /// The step, from 0.
    pub step: u32,
    /// The layer, from 0 within its kind.
    pub layer: u32,
    /// What it is.
    pub kind: LayerKind,
    /// Who says so.
    pub trust: Trust,
    /// Root mean square of the activations.
    #[serde(default)]
    pub act_rms: Option<f64>,
    /// Largest absolute activation.
    #[serde(default)]
    pub act_absmax: Option<f64>,
    /// How unequal the channels are: kurtosis of their root mean squares, near 1 where they are alike.
    #[serde(default)]
    pub act_chan_kurt: Option<f64>,
    /// Activations that are not finite.
    #[serde(default)]
    pub act_nonfinite: Option<u64>,
    /// Root mean square of the gradient.
    #[serde(default)]
    pub grad_rms: Option<f64>,
    /// Largest absolute attention logit.
    #[serde(default)]
    pub attn_logit_absmax: Option<f64>,
    /// Mean entropy of the attention over that of an even one, 0 to 1.
    #[serde(default)]
    pub attn_entropy_frac: Option<f64>,
    /// Root mean square of the weights.
    #[serde(default)]
    pub weight_rms: Option<f64>,
    /// Norm of the change of the weights over their norm at the start.
    #[serde(default)]
    pub update_ratio: Option<f64>,
    /// Share of the weights that did not change, 0 to 1.
    #[serde(default)]
    pub dead_param_frac: Option<f64>,
    /// Share of the tokens that each expert got, 0 to 1 each; empty when it is no router.
    #[serde(default)]
    pub router_load: Vec<f64>,
}

/// The weights at one step, as the scorer read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightSnapshot {
    /// The step after which it was taken; 0 is the untrained model.
    pub step: u32,
    /// Numbers that are not finite.
    #[serde(default)]
    pub nonfinite: u64,
    /// Norm of the change since step 0 over the norm then.
    #[serde(default)]
    pub update_ratio: Option<f64>,
    /// Share of the numbers that did not change since step 0, 0 to 1.
    #[serde(default)]
    pub dead_param_frac: Option<f64>,
}

/// Noise of the gradient against its size, from batches of two sizes. The worker's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoiseScale {
    /// Sequences in the small batch.
    pub b_small: u32,
    /// Sequences in the large batch.
    pub b_big: u32,
    /// Pairs of batches that were compared.
    pub pairs: u32,
    /// Estimate of the squared norm of the true gradient; chance may make it negative.
    #[serde(default)]
    pub g2: Option<f64>,
    /// Estimate of the trace of the covariance of one sequence's gradient.
    #[serde(default)]
    pub tr_sigma: Option<f64>,
    /// Their ratio: sequences beyond which a larger batch gains little.
    #[serde(default)]
    pub b_simple_seqs: Option<f64>,
}

/// What a probe changed in the model, seen from weight snapshots.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbeEffect {
    /// `update_ratio` at three times the learning rate over that of the base run at equal step counts.
    #[serde(default)]
    pub lr_x3_update_ratio: Option<f64>,
}
