//! Which versions of each interface this host serves: **the one place where a version is chosen**.
//!
//! A component says by what it exports for which version it was made. The newest version that it exports and
//! that is served decides which world it is checked against and how it is bound. There is one version today.
//! When there is another, the older one keeps its arm here for ever, and an adapter of its own (bindings from
//! `wit/frozen/<version>`, total conversions to the newest types) that is chosen once, when a component is
//! loaded, and never asked about again in a call. `wit/README.md` tells the steps.

use crate::inspect::{Refusal, World};

/// A version of the interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ApiVersion {
    /// The first one.
    V1_0_0,
    /// Of the Python reader only, which compares two projects since.
    V1_1_0,
}

impl ApiVersion {
    /// The version as it stands in WIT.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }
}

/// The versions of a world that this host serves, the newest first.
pub(crate) const fn served(world: World) -> &'static [ApiVersion] {
    match world {
        World::Reviewer | World::Scaler | World::Assessor | World::Attributor | World::Rewarder => {
            &[ApiVersion::V1_0_0]
        }
        // Mechanism: it comes with the host, and nobody else has an older one.
        World::PythonReader => &[ApiVersion::V1_1_0],
    }
}

/// The version for which a component was made that exports its world's interface in these versions.
pub(crate) fn chosen(world: World, exported: &[String]) -> Result<ApiVersion, Refusal> {
    let versions = served(world);
    let fitting =
        versions.iter().find(|version| exported.iter().any(|text| text == version.as_str()));
    fitting.copied().ok_or_else(|| {
        let named = |text: &str| format!("`{}@{text}`", world.package());
        let all: Vec<_> = versions.iter().map(|version| named(version.as_str())).collect();
        let own: Vec<_> = exported.iter().map(|text| named(text)).collect();
        let own = match own.as_slice() {
            [] => format!("it exports no interface of `{}`", world.package()),
            own => format!("it is made for {}", own.join(" and ")),
        };
        let why = format!("{own}; this host serves {}", all.join(" and "));
        Refusal::WrongWorld { world: world.name(), why }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_both_versions() {
        let exported = ["2.0.0".to_owned()];
        let refusal = chosen(World::Reviewer, &exported).expect_err("not served").to_string();
        assert!(refusal.contains("prism:review@2.0.0") && refusal.contains("prism:review@1.0.0"));
        let both = ["2.0.0".to_owned(), "1.0.0".to_owned()];
        assert_eq!(chosen(World::Reviewer, &both), Ok(ApiVersion::V1_0_0));
        let none = chosen(World::Reviewer, &[]).expect_err("no export").to_string();
        assert!(none.contains("exports no interface of `prism:review`"), "{none}");
    }
}
