//! A byte-level BPE: every text has tokens, and each token stands for a number of bytes that is known.
//!
//! Training and encoding are the `tokenizers` crate's: it saves the merge queue, the word cache and
//! the pre-tokenizer's Unicode classes, and its file format is read by everybody. Nothing of it is
//! needed while a submission is measured.

use std::collections::HashSet;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, Model as _, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _,
    Tokenizer, Trainer as _,
};

use super::CorpusError;
use super::lock::DOCUMENT_TOKEN;

/// How the tokenizer's file spells the token that opens a document. It is in the vocabulary and is no
/// merge, so that a text that holds these letters is encoded to other tokens.
const DOCUMENT_TOKEN_TEXT: &str = "<|document|>";
/// The smallest vocabulary: all bytes, the token of documents and one merge.
pub(super) const VOCAB_MIN: u32 = 258;
/// The largest vocabulary that `u16` ids can name.
pub(super) const VOCAB_MAX: u32 = u16::MAX as u32 + 1;
/// The longest token, in bytes: longer ones memorise.
const TOKEN_BYTES_MAX: usize = 64;
/// What the crate calls its own error.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A trained tokenizer with the bytes of each of its tokens.
pub(super) struct ByteBpe {
    tokenizer: Tokenizer,
    token_bytes: Vec<u16>,
}

impl ByteBpe {
    /// Counts merges on `texts` until the vocabulary is full. The same texts give the same tokenizer:
    /// ties between merges are broken by their ids.
    pub(super) fn train(texts: Vec<String>, vocab_size: u32) -> Result<Self, CorpusError> {
        let mut trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocab_size as usize)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect::<HashSet<char>>())
            .special_tokens(vec![AddedToken::from(DOCUMENT_TOKEN_TEXT, true)])
            .max_token_length(Some(TOKEN_BYTES_MAX))
            .build();
        let words = splitter();
        let split = |text: &str| -> Result<Vec<String>, Failure> {
            let mut pieces = PreTokenizedString::from(text);
            words.pre_tokenize(&mut pieces)?;
            let pieces = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
            Ok(pieces.into_iter().map(|(piece, ..)| piece.to_owned()).collect())
        };
        trainer.feed(texts.into_iter(), split).map_err(CorpusError::Tokenizer)?;
        let mut model = BPE::default();
        trainer.train(&mut model).map_err(CorpusError::Tokenizer)?;
        let found = model.get_vocab_size();
        if found != vocab_size as usize {
            return Err(CorpusError::Request(format!(
                "the training text gives a vocabulary of {found} tokens, not {vocab_size}: take more text or a smaller vocabulary"
            )));
        }
        let token_bytes = token_bytes(&model)?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(words)).with_decoder(Some(words));
        Ok(Self { tokenizer, token_bytes })
    }

    /// Bytes of text for each token id.
    pub(super) fn token_bytes(&self) -> &[u16] {
        &self.token_bytes
    }

    /// The tokenizer's file.
    pub(super) fn to_json(&self) -> Result<String, CorpusError> {
        self.tokenizer.to_string(true).map_err(CorpusError::Tokenizer)
    }

    /// Token ids of each text, with the one that opens a document. The bytes are counted again from
    /// the tokens: bits per byte rest on that count.
    pub(super) fn encode(&self, texts: Vec<String>) -> Result<Vec<Vec<u16>>, CorpusError> {
        let sizes: Vec<u64> = texts.iter().map(|text| text.len() as u64).collect();
        let encoded =
            self.tokenizer.encode_batch_fast(texts, false).map_err(CorpusError::Tokenizer)?;
        let mut documents = Vec::with_capacity(encoded.len());
        for (encoding, size) in encoded.iter().zip(sizes) {
            let mut ids = Vec::with_capacity(encoding.len() + 1);
            ids.push(DOCUMENT_TOKEN);
            let mut bytes = 0;
            for id in encoding.get_ids() {
                let count = self.token_bytes.get(*id as usize).copied().unwrap_or(0);
                bytes += u64::from(count);
                ids.push(u16::try_from(*id).map_err(|error| CorpusError::Tokenizer(error.into()))?);
            }
            if bytes != size {
                let message = format!("a document of {size} bytes has tokens of {bytes}");
                return Err(CorpusError::Tokenizer(message.into()));
            }
            documents.push(ids);
        }
        Ok(documents)
    }
}

/// Splits text as GPT-2 does, and writes each byte as one letter.
fn splitter() -> ByteLevel {
    ByteLevel::new(false, false, true)
}

/// In the vocabulary each letter is a byte.
fn token_bytes(model: &BPE) -> Result<Vec<u16>, CorpusError> {
    let count = u32::try_from(model.get_vocab_size())
        .map_err(|error| CorpusError::Tokenizer(error.into()))?;
    (0..count)
        .map(|id| {
            let token = model.id_to_token(id);
            let token = token
                .ok_or_else(|| CorpusError::Tokenizer(format!("id {id} has no token").into()))?;
            let is_document = id == u32::from(DOCUMENT_TOKEN);
            if is_document != (token == DOCUMENT_TOKEN_TEXT) {
                return Err(CorpusError::Tokenizer(
                    "the token of documents is not where it belongs".into(),
                ));
            }
            let bytes = if is_document { 0 } else { token.chars().count() };
            u16::try_from(bytes).map_err(|error| CorpusError::Tokenizer(error.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<String> {
        let text = include_str!("../../corpus/smoke/val.txt");
        text.split("\n\n").map(str::to_owned).collect()
    }

    #[test]
    fn any_text_is_encoded_and_its_bytes_are_counted() {
        let bpe = ByteBpe::train(texts(), 400).expect("trained");
        let awkward = ["<|document|>", "tab\tzero\0 ünïcödé 漢字 🦀", " ", "a\r\n\n\nb"];
        let encoded = bpe.encode(awkward.map(str::to_owned).into()).expect("encoded");
        for (ids, text) in encoded.iter().zip(awkward) {
            assert_eq!(ids[0], DOCUMENT_TOKEN);
            assert!(!ids[1..].contains(&DOCUMENT_TOKEN), "{text}");
            let ids: Vec<u32> = ids[1..].iter().map(|id| u32::from(*id)).collect();
            assert_eq!(bpe.tokenizer.decode(&ids, false).expect("decoded"), text);
        }
    }

    #[test]
    fn the_same_text_gives_the_same_tokenizer() {
        let train = || ByteBpe::train(texts(), 700).expect("trained").to_json().expect("JSON");
        assert_eq!(train(), train());
    }

    #[test]
    fn too_little_text_is_refused() {
        let refused = ByteBpe::train(vec!["abcabc".to_owned()], 4_096);
        assert!(matches!(refused, Err(CorpusError::Request(_))));
    }
}
