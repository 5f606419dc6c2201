//! One case or more for every rule of the archive reader, and proof that whatever it accepts reads
//! the same elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

mod support;

use std::collections::BTreeSet;

use prism_intake::{ArchiveLimits, Rule, unpack_archive};
use support::{
    Descriptor, Item, build, end_record, file, project, read_with_prism, read_with_zip_crate,
};

fn code(bytes: &[u8]) -> &'static str {
    unpack_archive(bytes, &ArchiveLimits::default()).map_or_else(|fault| fault.code(), |_| "accept")
}

fn with(item: Item) -> Vec<u8> {
    build(&project([item]))
}

/// Noise that does not compress, as text.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b' ' + u8::try_from((state >> 33) % 94).unwrap()
    };
    (0..bytes).map(|_| next()).collect()
}

fn extra(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    [&kind.to_le_bytes()[..], &length.to_le_bytes()[..], payload].concat()
}

/// A good archive whose directory and end record are moved or followed by other bytes.
fn restructured(rule: Rule) -> Vec<u8> {
    let good = build(&project([]));
    match rule {
        Rule::TrailingData => [&good[..], b"x"].concat(),
        Rule::LeadingData => [b"#!/bin/sh\n", &good[..]].concat(),
        Rule::Empty => {
            let mut out = Vec::new();
            end_record(&mut out, 0, 0, 0, b"");
            out
        }
        _ => good[..good.len() - 30].to_vec(),
    }
}

/// An entry that is longer than its place.
fn overlapping() -> Vec<u8> {
    let long = Item {
        stored: true,
        compressed_bytes: Some(9),
        file_bytes: Some(9),
        ..file("a.txt", "four")
    };
    build(&[vec![long], project([])].concat())
}

/// An entry whose data is another entry, listed as well.
fn quoted() -> Vec<u8> {
    let inner = file("b.txt", "quoted");
    let whole = build(std::slice::from_ref(&inner));
    let local = whole[..whole.windows(4).position(|four| four == b"PK\x01\x02").unwrap()].to_vec();
    let outer_only = build(&[Item { stored: true, ..file("a.txt", &local) }]);
    let directory_at = outer_only.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    let end_at = outer_only.len() - 22;
    let inner_at = u32::try_from(directory_at - local.len()).unwrap();
    let listed = build(&[Item { local_at: Some(inner_at), ..inner }]);
    let inner_record = &listed[local.len()..listed.len() - 22];
    let mut out = outer_only[..end_at].to_vec();
    out.extend(inner_record);
    let directory_bytes = u32::try_from(out.len() - directory_at).unwrap();
    end_record(&mut out, 2, directory_bytes, u32::try_from(directory_at).unwrap(), b"");
    out
}

fn structure_cases() -> Vec<(Rule, Vec<u8>)> {
    let item = |edit: fn(&mut Item)| {
        let mut item = file("x.txt", "hello hello hello");
        edit(&mut item);
        with(item)
    };
    vec![
        (Rule::ArchiveTooLarge, with(file("x.txt", noise(2_600_000)))),
        (Rule::Malformed, restructured(Rule::Malformed)),
        (Rule::Malformed, b"PK".to_vec()),
        (Rule::Malformed, Vec::new()),
        (Rule::Malformed, item(|i| i.local_at = Some(1_000_000))),
        (Rule::Malformed, item(|i| i.compressed_bytes = Some(9_999))),
        (Rule::Malformed, item(|i| i.central_extra = vec![1, 2, 3])),
        (
            Rule::Malformed,
            item(|i| {
                i.stored = true;
                i.method = Some(8);
                i.data = vec![0xff; 9];
            }),
        ),
        (Rule::Empty, restructured(Rule::Empty)),
        (Rule::Empty, build(&[Item { stored: true, external: 0o040_755 << 16, ..file("p/", "") }])),
        (Rule::Empty, build(&[file("README.md", "no code")])),
        (Rule::LeadingData, restructured(Rule::LeadingData)),
        (Rule::TrailingData, restructured(Rule::TrailingData)),
        (Rule::UnlistedData, item(|i| i.after_data = b"hidden".to_vec())),
        (Rule::UnlistedData, item(|i| i.inside_data = b"hidden".to_vec())),
        // A second deflate stream behind the first, a descriptor where none is announced.
        (Rule::UnlistedData, item(|i| i.inside_data = support::deflate(b"more"))),
        (Rule::UnlistedData, item(|i| i.after_data = [&b"PK\x07\x08"[..], &[0; 12]].concat())),
        (Rule::Overlap, overlapping()),
        (Rule::Overlap, quoted()),
        (Rule::Zip64, item(|i| i.central_extra = extra(1, &[0; 8]))),
        (Rule::Zip64, item(|i| i.local_extra = extra(1, &[0; 8]))),
        (Rule::Zip64, item(|i| i.file_bytes = Some(u32::MAX))),
        (Rule::Zip64, item(|i| i.local_at = Some(u32::MAX))),
        (Rule::BadName, item(|i| i.local_extra = extra(0x7075, &[1; 9]))),
        (Rule::Encrypted, item(|i| i.local_extra = extra(0x0017, &[0; 8]))),
        (Rule::HeaderMismatch, item(|i| i.central_extra = extra(0x5455, &[0; 5]).repeat(2))),
        (Rule::HeaderMismatch, item(|i| i.local_name = Some(b"y.txt".to_vec()))),
        (Rule::HeaderMismatch, item(|i| i.local_time = Some(7))),
        (Rule::HeaderMismatch, item(|i| i.local_method = Some(0))),
        (Rule::HeaderMismatch, item(|i| i.local_crc = Some(0))),
        (Rule::HeaderMismatch, item(|i| i.descriptor = Some(Descriptor::Wrong))),
        (Rule::TooManyEntries, build(&project((0..600).map(|n| file(&format!("{n}.txt"), ""))))),
        (Rule::Encrypted, item(|i| i.flags = 1)),
        (Rule::Encrypted, item(|i| i.method = Some(99))),
        (Rule::Encrypted, item(|i| i.central_extra = extra(0x9901, &[0; 7]))),
        (Rule::UnsupportedMethod, item(|i| i.method = Some(12))),
        (Rule::UnsupportedMethod, item(|i| i.flags = 1 << 5)),
        (Rule::Symlink, item(|i| i.external = 0o120_777 << 16)),
        (Rule::SpecialFile, item(|i| i.external = 0o010_644 << 16)),
        (Rule::SpecialFile, item(|i| i.external = 0o020_644 << 16)),
        (Rule::SpecialFile, item(|i| i.external = 0o140_755 << 16)),
        (Rule::SpecialFile, item(|i| i.external = 0x10)),
        (Rule::SpecialFile, item(|i| i.external = 0x08)),
        (Rule::SpecialFile, item(|i| i.external = 0o040_755 << 16)),
        (Rule::SizeMismatch, item(|i| i.file_bytes = Some(3))),
        (Rule::SizeMismatch, item(|i| i.file_bytes = Some(30))),
        (
            Rule::SizeMismatch,
            item(|i| {
                i.stored = true;
                i.file_bytes = Some(3);
            }),
        ),
        (Rule::Crc, item(|i| i.crc = Some(1))),
    ]
}

fn content_cases() -> Vec<(Rule, Vec<u8>)> {
    let named = |name: &str| with(file(name, "x = 1\n"));
    let raw = |name: &[u8]| with(Item { name: name.to_vec(), ..file("x", "") });
    let manifest = |text: &str| build(&[file("prism.yaml", text), file("model.py", "")]);
    // Repeats within deflate's window: nine megabytes fit into a small archive, below the ratio.
    let large = noise(20_000).repeat(50);
    let total = build(&project((0..9).map(|n| file(&format!("{n}.txt"), &large))));
    vec![
        (Rule::BadName, raw(b"")),
        (Rule::BadName, raw(b"a\0.txt")),
        (Rule::BadName, raw("é.py".as_bytes())),
        (Rule::BadName, raw(b"\xff.py")),
        (Rule::BadName, named("e\u{301}.py")),
        (Rule::BadName, named("a\u{202e}yp.txt")),
        (Rule::BadName, named("trailing.txt ")),
        (Rule::BadName, named("AUX.py")),
        (Rule::BadName, named("com1/x.py")),
        (Rule::BadName, named("\u{200d}x.py")),
        (Rule::BadName, named("\u{2215}x.py")),
        (Rule::BadName, named(&format!("{}x.txt", "d/".repeat(17)))),
        (Rule::BadName, named(&format!("{}.txt", "x".repeat(300)))),
        (Rule::BadName, with(Item { central_extra: extra(0x7075, &[0; 9]), ..file("x.txt", "") })),
        (Rule::UnsafePath, named("../x.py")),
        (Rule::UnsafePath, named("a//x.py")),
        (Rule::UnsafePath, named("a/./x.py")),
        (Rule::UnsafePath, named("a\\x.py")),
        (Rule::UnsafePath, named("C:x.py")),
        (Rule::UnsafePath, named("/x.py")),
        (Rule::DuplicateName, named("MODEL.py")),
        (Rule::DuplicateName, named("model.py/x.py")),
        (Rule::DuplicateName, build(&project([file("a/x.py", ""), file("A/y.py", "")]))),
        (Rule::DuplicateName, build(&project([file("straße.py", ""), file("STRASSE.py", "")]))),
        (Rule::UnsupportedType, named("x.so")),
        (Rule::UnsupportedType, named("X.PY")),
        (Rule::UnsupportedType, named("weights.bin")),
        (Rule::UnsupportedType, named("inner.zip")),
        (Rule::UnsupportedType, named("__MACOSX/._model.py.bin")),
        (Rule::Ratio, with(file("z.txt", vec![b'a'; 1_000_000]))),
        (Rule::FileTooLarge, with(file("z.txt", noise(1_100_000)))),
        (Rule::TotalTooLarge, total),
        (Rule::NotText, with(file("x.py", b"x = '\xff'"))),
        (Rule::NotText, with(file("x.py", b"x = '\0'"))),
        (Rule::ReservedName, named("os.py")),
        (Rule::ReservedName, named("torch/__init__.py")),
        (Rule::ReservedName, named("sitecustomize.py")),
        (Rule::AmbiguousModule, named("model/__init__.py")),
        (Rule::AmbiguousModule, named("model/parts.py")),
        (Rule::ManifestInvalid, manifest("kind: fulll\n")),
        (Rule::ManifestAmbiguous, named("prism.yml")),
    ]
}

#[test]
fn each_rule_refuses_its_cases() {
    let mut seen = BTreeSet::new();
    for (at, (rule, bytes)) in structure_cases().into_iter().chain(content_cases()).enumerate() {
        assert_eq!(code(&bytes), rule.code(), "case {at}");
        seen.insert(rule);
    }
    let missing: Vec<Rule> = Rule::ALL.into_iter().filter(|rule| !seen.contains(rule)).collect();
    assert!(missing.is_empty(), "rules without a case: {missing:?}");
}

#[test]
fn codes_are_distinct() {
    let codes: BTreeSet<&str> = Rule::ALL.into_iter().map(Rule::code).collect();
    assert_eq!(codes.len(), Rule::ALL.len());
}

fn accepted() -> Vec<Vec<u8>> {
    let directory = Item { stored: true, external: 0o040_755 << 16 | 0x10, ..file("p/", "") };
    let descriptor = |kind| Item { descriptor: Some(kind), ..file("notes.md", "some text") };
    let mut commented = build(&project([]));
    let length = commented.len();
    commented[length - 2..].copy_from_slice(&40_u16.to_le_bytes());
    commented.extend([b'c'; 40]);
    vec![
        build(&project([])),
        build(&[
            directory,
            file("p/prism.yaml", support::MANIFEST),
            file("p/model.py", support::MODEL),
        ]),
        with(Item { stored: true, ..file("x.txt", "stored") }),
        with(descriptor(Descriptor::Signed)),
        with(descriptor(Descriptor::Bare)),
        with(file("größe.py", "x = 1\n")),
        with(file("a dir/LICENSE", "free")),
        with(Item {
            local_extra: extra(0x5455, &[0; 9]),
            central_extra: extra(0x5455, &[0; 5]),
            ..file("x.md", "")
        }),
        with(file("lookup.json", format!("[{}]", "0, ".repeat(20_000)))),
        commented,
    ]
}

#[test]
fn honest_archives_are_accepted_and_read_the_same_elsewhere() {
    for (at, bytes) in accepted().iter().enumerate() {
        assert_eq!(code(bytes), "accept", "archive {at}");
        assert_eq!(read_with_prism(bytes), read_with_zip_crate(bytes), "archive {at}");
    }
}

#[test]
fn archives_of_the_zip_crate_are_accepted() {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.add_directory("src", options).unwrap();
    for name in ["src/model.py", "src/layers.py"] {
        writer.start_file(name, options).unwrap();
        writer.write_all(support::MODEL.as_bytes()).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(code(&bytes), "accept");
    assert_eq!(read_with_prism(&bytes), read_with_zip_crate(&bytes));
}

/// Damages a copy: bytes set, inserted, removed, or a run copied from elsewhere.
fn mutate(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    let mut next = |below: usize| {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*state >> 33).unwrap() % below.max(1)
    };
    let mut out = bytes.to_vec();
    for _ in 0..=next(3) {
        let at = next(out.len());
        match next(5) {
            0 => out[at] ^= 1 << next(8),
            1 => out[at] = [0, 1, 0xff, b'/', b'.'][next(5)],
            2 => out.insert(at, u8::try_from(next(256)).unwrap()),
            3 => drop(out.remove(at)),
            _ => {
                let (from, length) = (next(out.len()), next(46));
                let run = out[from..(from + length).min(out.len())].to_vec();
                let end = (at + run.len()).min(out.len());
                out.splice(at..end, run);
            }
        }
    }
    out
}

#[test]
fn damaged_archives_never_panic_and_what_is_accepted_reads_the_same_elsewhere() {
    let seeds = accepted();
    let mut state = 42;
    let mut accepted_count = 0;
    for round in 0..20_000 {
        let bytes = mutate(&seeds[round % seeds.len()], &mut state);
        let _ = unpack_archive(&bytes, &ArchiveLimits::default());
        if let Some(files) = read_with_prism(&bytes) {
            accepted_count += 1;
            assert_eq!(Some(files), read_with_zip_crate(&bytes), "round {round}: {bytes:02x?}");
        }
    }
    // Damage to comments, times and attributes is harmless, so some must get through.
    assert!(accepted_count > 20, "only {accepted_count} got through");
}

#[test]
fn a_bomb_costs_no_more_than_it_declares() {
    let bomb = Item { file_bytes: Some(1_000_000), ..file("z.txt", vec![b'a'; 64 << 20]) };
    assert_eq!(code(&with(bomb)), "archive-size-mismatch");
}

#[test]
fn all_bad_names_are_reported_together() {
    let bytes = build(&project([file("x.so", ""), file("y.pkl", ""), file("z.pth", "")]));
    let rejection = unpack_archive(&bytes, &ArchiveLimits::default()).unwrap_err();
    let paths: Vec<_> = rejection.reasons().filter_map(|reason| reason.path.as_deref()).collect();
    assert_eq!(paths, ["x.so", "y.pkl", "z.pth"]);
}
