//! Which versions of what a sandbox is made of have known weaknesses. Pure: texts in, findings out.
//!
//! Only weaknesses that let a container reach its host, or the host's privileges, are listed. A package of
//! a distribution may hold the fix under an older number, so that one is a warning.

use std::cmp::Ordering;

/// Something that a sandbox is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Docker Engine.
    Engine,
    /// containerd.
    Containerd,
    /// runc.
    Runc,
    /// NVIDIA Container Toolkit.
    NvidiaToolkit,
    /// bubblewrap.
    Bubblewrap,
}

/// What is known against a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing that is listed here.
    Fixed,
    /// It is below a fixed version, and built by a distribution.
    PerhapsPatched(String),
    /// It is below a fixed version, or its version cannot be read.
    Vulnerable(String),
}

type Numbers = [u32; 3];

struct Weakness {
    part: Part,
    name: &'static str,
    /// The first fixed version of each line of releases that was fixed, ascending.
    fixed: &'static [Numbers],
}

const WEAKNESSES: [Weakness; 9] = [
    Weakness {
        part: Part::Engine,
        name: "CVE-2024-41110",
        fixed: &[[23, 0, 15], [25, 0, 6], [26, 1, 5], [27, 1, 1]],
    },
    Weakness {
        part: Part::Containerd,
        name: "CVE-2024-40635",
        fixed: &[[1, 6, 38], [1, 7, 27], [2, 0, 4]],
    },
    Weakness { part: Part::Runc, name: "CVE-2024-21626", fixed: &[[1, 1, 12]] },
    Weakness {
        part: Part::Runc,
        name: "CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881",
        fixed: &[[1, 2, 8], [1, 3, 3]],
    },
    Weakness { part: Part::NvidiaToolkit, name: "CVE-2024-0132", fixed: &[[1, 16, 2]] },
    Weakness { part: Part::NvidiaToolkit, name: "CVE-2025-23359", fixed: &[[1, 17, 4]] },
    Weakness { part: Part::NvidiaToolkit, name: "CVE-2025-23266", fixed: &[[1, 17, 8]] },
    // Only where bubblewrap is set-user-id, and only in one version.
    Weakness { part: Part::Bubblewrap, name: "CVE-2020-5291", fixed: &[[0, 4, 1]] },
    Weakness { part: Part::Bubblewrap, name: "CVE-2019-12439", fixed: &[[0, 3, 3]] },
];

/// What is known against the version that a program tells about itself.
pub(super) fn weaknesses(part: Part, told: &str) -> Known {
    let Some(version) = Version::find(told) else {
        return Known::Vulnerable("its version cannot be read".to_owned());
    };
    let open: Vec<&Weakness> = WEAKNESSES
        .iter()
        .filter(|weakness| weakness.part == part && !version.has(weakness.fixed))
        .collect();
    let Some(last) = open.last() else { return Known::Fixed };
    let names: Vec<&str> = open.iter().map(|weakness| weakness.name).collect();
    let fixed: Vec<String> = last.fixed.iter().map(|[a, b, c]| format!("{a}.{b}.{c}")).collect();
    let (version_text, names, fixed) = (version.text, names.join(", "), fixed.join(", "));
    let told = format!("{version_text} is below the fixed upstream version ({fixed}) for {names}");
    if version.of_a_distribution {
        Known::PerhapsPatched(format!("{told}; your distribution may have backported the fix"))
    } else {
        Known::Vulnerable(told)
    }
}

/// A version as it is told.
#[derive(Debug, PartialEq, Eq)]
struct Version<'a> {
    text: &'a str,
    numbers: Numbers,
    before_release: bool,
    of_a_distribution: bool,
}

impl<'a> Version<'a> {
    /// The first word that looks like one.
    fn find(told: &'a str) -> Option<Self> {
        told.split_ascii_whitespace().find_map(Self::parse)
    }

    fn parse(word: &'a str) -> Option<Self> {
        let text = word.trim_start_matches('v').trim_end_matches([',', ';']);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (release, suffix) = text.split_at_checked(end)?;
        let mut parts = release.split('.');
        let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
        let numbers = [number()?, number()?, number().unwrap_or(0)];
        let suffix = suffix.trim_start_matches(['-', '~', '+', '.']);
        let before_release = ["rc", "alpha", "beta"].iter().any(|word| suffix.starts_with(word));
        let of_a_distribution = !suffix.is_empty() && !before_release;
        Some(Self { text, numbers, before_release, of_a_distribution })
    }

    /// Whether it is at or behind a fix: of its own line of releases, or of all lines.
    fn has(&self, fixed: &[Numbers]) -> bool {
        let line = |[major, minor, _]: Numbers| (major, minor);
        let behind = |fix: Numbers| match self.numbers.cmp(&fix) {
            Ordering::Greater => true,
            Ordering::Equal => !self.before_release,
            Ordering::Less => false,
        };
        match fixed.iter().find(|fix| line(**fix) == line(self.numbers)) {
            Some(fix) => behind(*fix),
            None => fixed.last().is_some_and(|newest| line(self.numbers) > line(*newest)),
        }
    }
}

/// What the kernel says about namespaces of ordinary users; none where it has no such switch.
#[derive(Debug, Default)]
pub(super) struct NamespaceSwitches {
    /// `user.max_user_namespaces`.
    pub(super) most: Option<String>,
    /// `kernel.unprivileged_userns_clone`, of Debian's kernels.
    pub(super) unprivileged: Option<String>,
    /// `kernel.apparmor_restrict_unprivileged_userns`, of Ubuntu's.
    pub(super) apparmor: Option<String>,
}

impl NamespaceSwitches {
    /// Why an ordinary user cannot make one; none where nothing speaks against it.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        let is = |switch: &Option<String>, value: &str| {
            switch.as_deref().is_some_and(|text| text.trim() == value)
        };
        if is(&self.most, "0") {
            return Some("user.max_user_namespaces is 0");
        }
        if is(&self.unprivileged, "0") {
            return Some("kernel.unprivileged_userns_clone is 0");
        }
        is(&self.apparmor, "1").then_some("AppArmor restricts them to programs with a profile")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(part: Part, told: &str, expected: &str) {
        let (kind, detail) = match weaknesses(part, told) {
            Known::Fixed => ("fixed", String::new()),
            Known::PerhapsPatched(detail) => ("perhaps", detail),
            Known::Vulnerable(detail) => ("vulnerable", detail),
        };
        let (wanted, names) = expected.split_once(' ').unwrap_or((expected, ""));
        assert_eq!(kind, wanted, "{part:?} {told}: {detail}");
        for name in names.split(' ') {
            assert!(detail.contains(name), "{part:?} {told}: {detail}");
        }
    }

    #[test]
    fn versions_are_held_against_their_own_line_of_releases() {
        check(Part::Runc, "version 1.3.3", "fixed");
        check(Part::Runc, "1.2.8", "fixed");
        check(Part::Runc, "1.4.0", "fixed");
        check(Part::Runc, "1.3.2", "vulnerable CVE-2025-31133");
        check(Part::Runc, "1.2.7", "vulnerable 1.2.8,");
        check(Part::Runc, "1.1.12", "vulnerable CVE-2025-52881");
        check(Part::Runc, "1.1.11", "vulnerable CVE-2024-21626 CVE-2025-52565");
        check(Part::Runc, "1.3.3-rc.1", "vulnerable CVE-2025-31133");
        check(Part::Engine, "28.2.2", "fixed");
        check(Part::Engine, "26.1.4", "vulnerable CVE-2024-41110");
        check(Part::Engine, "24.0.9", "vulnerable CVE-2024-41110");
        check(Part::Containerd, "v1.7.27", "fixed");
        check(Part::Containerd, "2.1.0", "fixed");
        check(Part::Containerd, "2.0.3", "vulnerable CVE-2024-40635");
        check(Part::Bubblewrap, "bubblewrap 0.8.0\n", "fixed");
        check(Part::Bubblewrap, "bubblewrap 0.4.0", "vulnerable CVE-2020-5291");
        check(Part::Bubblewrap, "bubblewrap 0.3.1", "vulnerable CVE-2019-12439");
    }

    #[test]
    fn the_toolkit_tells_its_version_among_other_words() {
        let told = |version: &str| {
            format!("NVIDIA Container Toolkit CLI version {version}\ncommit: 5f2be4e")
        };
        check(Part::NvidiaToolkit, &told("1.17.8"), "fixed");
        check(Part::NvidiaToolkit, &told("1.18.0"), "fixed");
        check(Part::NvidiaToolkit, &told("1.17.7"), "vulnerable CVE-2025-23266");
        check(Part::NvidiaToolkit, &told("1.17.3"), "vulnerable CVE-2025-23359");
        check(Part::NvidiaToolkit, &told("1.16.1"), "vulnerable CVE-2024-0132");
    }

    #[test]
    fn a_distribution_may_have_put_the_fix_into_an_older_version() {
        check(Part::Runc, "1.1.5+ds1-1+deb12u1", "perhaps CVE-2024-21626 backported");
        check(Part::Runc, "1.1.12-0ubuntu3.1", "perhaps CVE-2025-31133");
        check(Part::Containerd, "1.6.20~ds1-1+deb12u3", "perhaps CVE-2024-40635");
        check(Part::Engine, "20.10.24+dfsg1", "perhaps CVE-2024-41110");
        check(Part::Runc, "1.3.4-1.fc42", "fixed");
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_good() {
        for text in ["", "unknown", "version", "1", "1.x.2", "v..1", "\u{661}.\u{661}.\u{661}"] {
            check(Part::Runc, text, "vulnerable");
        }
        check(Part::Runc, "99999999999999999999.1.1", "vulnerable");
    }

    #[test]
    fn each_switch_against_namespaces_is_named() {
        let with = |most: &str, unprivileged: &str, apparmor: &str| NamespaceSwitches {
            most: Some(format!("{most}\n")),
            unprivileged: Some(unprivileged.to_owned()),
            apparmor: Some(apparmor.to_owned()),
        };
        assert_eq!(NamespaceSwitches::default().refusal(), None);
        assert_eq!(with("100", "1", "0").refusal(), None);
        assert!(with("0", "1", "0").refusal().is_some_and(|why| why.contains("max_user")));
        assert!(with("100", "0", "0").refusal().is_some_and(|why| why.contains("userns_clone")));
        assert!(with("100", "1", "1").refusal().is_some_and(|why| why.contains("AppArmor")));
    }
}
