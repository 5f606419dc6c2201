//! Where two projects say the same: what a disguise hides and what it does not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

use std::fmt::Write as _;

use prism_facts::{Comparison, Module, SPAN_TOKENS_MIN, SPANS_MAX, compare};

const ORIGINAL: &str = r#"
import torch
from torch import nn

WIDTH = 64


class Mixer(nn.Module):
    """Mixes positions by a decaying sum."""

    def __init__(self, width):
        super().__init__()
        self.gate = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width, bias=False)
        self.decay = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        a, b, c = self.gate(x).chunk(3, dim=-1)
        state = torch.zeros_like(a[:, 0])
        rows = []
        for step in range(x.shape[1]):
            state = torch.sigmoid(self.decay) * state + a[:, step] * torch.tanh(b[:, step])
            rows.append(state * torch.sigmoid(c[:, step]))
        return x + self.out(torch.stack(rows, dim=1))


def build_model(ctx):
    blocks = [Mixer(WIDTH) for _ in range(ctx.n_layer)]
    return nn.Sequential(nn.Embedding(ctx.vocab_size, WIDTH), *blocks, nn.Linear(WIDTH, ctx.vocab_size))
"#;

const UNRELATED: &str = r"
from torch import nn
import torch.nn.functional as F


class Attention(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h = h
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (y.view(b, t, self.h, d // self.h).transpose(1, 2) for y in self.qkv(x).split(d, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(b, t, d))
";

fn module(path: &str, text: &str) -> Module {
    Module { path: path.to_owned(), source: text.as_bytes().to_vec() }
}

fn compared(own: &str, other: &str) -> Comparison {
    compare(&[module("model.py", own)], &[module("net.py", other)])
}

/// Renamed, reordered, reformatted, other constants, no comments: what a copier does first.
fn disguised() -> String {
    let class = ORIGINAL.find("class Mixer").unwrap();
    let build = ORIGINAL.find("def build_model").unwrap();
    let moved =
        format!("{}{}\n\n{}", &ORIGINAL[..class], &ORIGINAL[build..], &ORIGINAL[class..build]);
    moved
        .replace("Mixer", "Blender")
        .replace("state", "carry")
        .replace("gate", "split_in")
        .replace("rows", "collected")
        .replace("WIDTH", "D")
        .replace("64", "96")
        .replace("    \"\"\"Mixes positions by a decaying sum.\"\"\"\n", "    # mine\n")
}

#[test]
fn a_disguised_copy_is_found_with_its_places() {
    let found = compared(&disguised(), ORIGINAL);
    assert!(found.share_ppm > 900_000 && found.other_share_ppm > 900_000, "{found:?}");
    let longest = &found.spans[0];
    assert_eq!((longest.path.as_str(), longest.other_path.as_str()), ("model.py", "net.py"));
    let line = |text: &str, what: &str| {
        u32::try_from(text[..text.find(what).unwrap()].matches('\n').count()).unwrap() + 1
    };
    let (own, other) = (disguised(), ORIGINAL);
    assert!(
        longest.first_line <= line(&own, "for step") && line(&own, "for step") <= longest.last_line
    );
    assert!(longest.other_first_line <= line(other, "for step"));
    assert!(found.spans.windows(2).all(|pair| pair[0].tokens >= pair[1].tokens));
}

#[test]
fn dead_code_does_not_hide_what_was_taken() {
    let mut padded = disguised();
    for place in 0..40 {
        let _infallible = write!(
            padded,
            "\n\ndef unused_{place}(a, b=({place}, {place})):\n    while a[{place}] < len(b):\n        \
             a = [b.index(x) ** {place} for x in a if x not in b]\n    return {{'{place}': a, **dict(zip(a, b))}}\n"
        );
    }
    let found = compared(&padded, ORIGINAL);
    assert!(found.share_ppm < 500_000, "{}", found.share_ppm);
    assert!(
        found.other_share_ppm > 900_000,
        "all of the original is still in it: {}",
        found.other_share_ppm
    );
}

#[test]
fn other_work_is_other_work() {
    let found = compared(UNRELATED, ORIGINAL);
    assert!(found.share_ppm < 400_000 && found.other_share_ppm < 400_000, "{found:?}");
    for span in &found.spans {
        assert!(span.tokens as usize >= SPAN_TOKENS_MIN);
    }
    assert_eq!(compared("", ORIGINAL).share_ppm, 0);
    assert_eq!(compared("def f(:", ORIGINAL).spans, []);
}

#[test]
fn repetition_is_bounded_and_spans_are_few() {
    let line = "    x = torch.relu(x) + torch.sigmoid(x) * torch.tanh(x)\n";
    let long = format!("import torch\n\n\ndef f(x):\n{}    return x\n", line.repeat(3_000));
    let found = compared(&long, &long);
    assert_eq!((found.share_ppm, found.other_share_ppm), (1_000_000, 1_000_000));
    let many: String =
        (0..200).map(|at| ORIGINAL.replace("build_model", &format!("f{at}"))).collect();
    assert!(compared(&many, ORIGINAL).spans.len() <= SPANS_MAX);
}
