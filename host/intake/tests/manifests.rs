//! Manifests as miners write them, and as attackers do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

use prism_intake::{ArchiveLimits, Project, ProjectKind, Rejection, assemble, unpack_module};

fn project(files: &[(&str, &str)]) -> Result<Project, Rejection> {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    assemble(files, &ArchiveLimits::default())
}

fn full(manifest: &str) -> Result<Project, Rejection> {
    project(&[
        ("prism.yaml", manifest),
        ("src/model.py", ""),
        ("src/layers.py", ""),
        ("src/train.py", ""),
        ("src/losses.py", ""),
    ])
}

/// `kind id architecture[+files] training[+files]`, `-` for what is absent.
fn summary(project: &Project) -> String {
    let manifest = &project.manifest;
    let component = |component: &Option<prism_intake::Component>| {
        component.as_ref().map_or("-".to_owned(), |component| {
            let mut parts = vec![component.entrypoint.as_str()];
            parts.extend(component.files.iter().map(prism_intake::ProjectPath::as_str));
            parts.join("+")
        })
    };
    format!(
        "{} {} {} {}",
        manifest.kind.as_str(),
        manifest.architecture_id.as_deref().unwrap_or("-"),
        component(&manifest.architecture),
        component(&manifest.training)
    )
}

#[test]
fn manifests_of_the_predecessor_keep_their_meaning() {
    let documented = "kind: full\narchitecture:\n  entrypoint: src/model.py\n  files:\n    - src/layers.py\ntraining:\n  entrypoint: src/train.py\n  files:\n    - src/losses.py\n";
    let training = "kind: training_for_arch\narchitecture_id: 7ec2c3a8-example\narchitecture:\n  entrypoint: src/model.py\ntraining:\n  entrypoint: src/train.py\n";
    for (manifest, expected) in [
        (documented, "full - src/model.py+src/layers.py src/train.py+src/losses.py"),
        (training, "training_for_arch 7ec2c3a8-example src/model.py src/train.py"),
        ("", "full - src/model.py src/model.py"),
        ("kind:\narchitecture:\n", "full - src/model.py src/model.py"),
        ("kind: architecture_only", "architecture_only - src/model.py -"),
        (
            "architecture: {entrypoint: ./src/model.py, files: src/layers.py}",
            "full - src/model.py+src/layers.py src/model.py",
        ),
        ("architecture: {entrypoint: layers.py}", "full - src/layers.py src/layers.py"),
        ("entrypoint: src/layers.py", "full - src/layers.py src/layers.py"),
        (
            "kind: training_for_arch\narchitecture_id: 42",
            "training_for_arch 42 src/model.py src/model.py",
        ),
        ("training: {entrypoint: src/model.py}", "full - src/model.py src/model.py"),
        (
            "architecture: &a {entrypoint: src/model.py}\ntraining: *a",
            "full - src/model.py src/model.py",
        ),
    ] {
        let project = full(manifest).unwrap_or_else(|fault| panic!("{manifest}: {fault}"));
        assert_eq!(summary(&project), expected, "{manifest}");
    }
}

#[test]
fn training_alone_needs_no_architecture() {
    let manifest = "kind: training_for_arch\narchitecture_id: a1\ntraining: {entrypoint: train.py}";
    let project = project(&[("prism.yaml", manifest), ("train.py", "")]).unwrap();
    assert_eq!(summary(&project), "training_for_arch a1 - train.py");
    assert_eq!(project.manifest.entrypoint(), "train.py");
    assert_eq!(project.manifest.training_entrypoint(), Some("train.py"));
    assert_eq!(project.manifest.target_family(), Some("a1"));
}

#[test]
fn unusable_manifests_are_refused_with_a_reason() {
    let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
    let long = format!("# {}\n", "x".repeat(40_000));
    let many = format!("a: [{}]", "1,".repeat(5_000));
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [{0}]\nc: &c [{1}]\nd: [{2}]",
        "*a,".repeat(9),
        "*b,".repeat(9),
        "*c,".repeat(9)
    );
    for (manifest, reason) in [
        ("- a\n- b\n", "not a mapping"),
        ("just text", "not a mapping"),
        ("kind: full\nkind: full\n", "duplicate"),
        ("kind: full\n---\nkind: full\n", "not a plain YAML mapping"),
        ("kind: [full", "not a plain YAML mapping"),
        ("kind: !!python/object:os.system full", "not a plain YAML mapping"),
        ("<<: {kind: full}", "not a plain YAML mapping"),
        ("kind: partial", "not one of full"),
        ("kind: 3", "is not text"),
        ("architecture: src/model.py", "`architecture` is not a mapping"),
        ("architecture: {entrypoint: [a]}", "is not text"),
        ("architecture: {entrypoint: ../model.py}", "does not stay inside"),
        ("architecture: {entrypoint: /etc/passwd.py}", "does not stay inside"),
        ("architecture: {entrypoint: 'src\\model.py'}", "does not stay inside"),
        ("architecture: {entrypoint: missing.py}", "is not in the project"),
        ("architecture: {entrypoint: prism.yaml}", "is not a `.py` file"),
        ("architecture: {files: [missing.py]}", "is not in the project"),
        ("architecture: {files: [[a]]}", "is not a list of paths"),
        ("training: {entrypoint: missing.py}", "is not in the project"),
        ("kind: training_for_arch", "needs `architecture_id`"),
        ("kind: training_for_arch\narchitecture_id: a b", "is no id"),
        (&deep, "not a plain YAML mapping"),
        (&long, "the limit is"),
        (&many, "not a plain YAML mapping"),
        (&bomb, "not a plain YAML mapping"),
    ] {
        let rejection = full(manifest).expect_err(manifest);
        let first = rejection.first();
        assert_eq!(first.code(), "manifest-invalid", "{manifest:.60}: {first}");
        assert!(first.detail.contains(reason), "{manifest:.60}: {first}");
    }
}

#[test]
fn a_syntax_error_names_its_line() {
    let rejection = full("kind: full\narchitecture: [\n").unwrap_err();
    let first = rejection.first();
    assert_eq!(first.path.as_deref(), Some("prism.yaml"));
    assert!(first.line.is_some_and(|line| line >= 2), "{first}");
}

#[test]
fn unknown_fields_are_reported_and_ignored() {
    let project =
        full("kind: full\nversion: 2\ntraining: {epochs: 3}\narchitecture_id: x").unwrap();
    let fields: Vec<_> = project.manifest.warnings.iter().map(|w| w.field.as_str()).collect();
    assert_eq!(fields, ["architecture_id", "training.epochs", "version"]);
}

#[test]
fn the_manifest_marks_the_root() {
    let nested = project(&[
        ("p/prism.yaml", "architecture: {entrypoint: p/model.py}"),
        ("p/model.py", ""),
        ("p/layers.py", ""),
    ])
    .unwrap();
    assert_eq!(nested.stripped, "p");
    assert_eq!(summary(&nested), "full - model.py model.py");

    let outside = project(&[("p/prism.yaml", ""), ("p/model.py", ""), ("x.py", "")]).unwrap_err();
    assert_eq!(outside.code(), "manifest-invalid");
    let two = project(&[("prism.yaml", ""), ("a/Prism.YML", ""), ("model.py", "")]).unwrap_err();
    assert_eq!(two.code(), "manifest-ambiguous");
}

#[test]
fn without_a_manifest_the_entrypoint_is_found() {
    let kind = |files: &[(&str, &str)]| project(files).map(|project| summary(&project));
    assert_eq!(kind(&[("net.py", "")]).unwrap(), "full - net.py net.py");
    assert_eq!(kind(&[("p/model.py", ""), ("p/x.py", "")]).unwrap(), "full - model.py model.py");
    assert_eq!(
        kind(&[("pkg/__init__.py", ""), ("pkg/model.py", "")]).unwrap(),
        "full - pkg/model.py pkg/model.py"
    );
    assert_eq!(kind(&[("a.py", ""), ("b.py", "")]).unwrap_err().code(), "manifest-invalid");
    assert_eq!(kind(&[("notes.md", "")]).unwrap_err().code(), "archive-empty");
}

#[test]
fn a_single_module_is_a_project() {
    let limits = ArchiveLimits::default();
    let project = unpack_module("my-model.v2.py", b"x = 1\n", &limits).unwrap();
    assert_eq!(project.manifest.kind, ProjectKind::Full);
    assert_eq!(summary(&project), "full - my-model.v2.py my-model.v2.py");
    assert_eq!(project.files[0].text(), "x = 1\n");
    assert_eq!(unpack_module("os.py", b"", &limits).unwrap_err().code(), "archive-reserved-name");
    assert_eq!(unpack_module("m.py", b"\xff", &limits).unwrap_err().code(), "archive-not-text");
}

#[test]
fn modules_inside_packages_may_have_any_name() {
    let files = [("prism.yaml", "entrypoint: model.py"), ("model.py", ""), ("net/types.py", "")];
    assert!(project(&files).is_ok());
    let beside =
        [("prism.yaml", "entrypoint: net/model.py"), ("net/model.py", ""), ("net/types.py", "")];
    assert_eq!(project(&beside).unwrap_err().code(), "archive-reserved-name");
}
