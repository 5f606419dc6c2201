//! Looks at a component before it is compiled: its size, its imports, and whether it fits its world.
//! Nothing is run here, and the build script uses the same checks for the embedded components.

use wit_component::DecodedWasm;
use wit_parser::{Resolve, UnresolvedPackageGroup, WorldId, WorldItem};

use crate::versions::{self, ApiVersion};

/// The largest component that is looked at, in bytes.
pub const COMPONENT_MAX_BYTES: usize = 64 << 20;
/// How every component begins: the magic number, the version of the encoding, the layer.
const COMPONENT_HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
/// The only interface whose functions a policy may import.
const LOG_INTERFACE: &str = "prism:plugin/log@1.0.0";

/// What a reviewer exports beside its own interface when it wants to look closer.
const CONSULT_INTERFACE: &str = "prism:consult/consult@1.0.0";
/// How the names of all its versions begin.
const CONSULT_PACKAGE: &str = "prism:consult/";

/// The worlds that a component can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum World {
    /// The review slot.
    Reviewer,
    /// The scaling slot.
    Scaler,
    /// The thresholds slot.
    Assessor,
    /// The attribution slot.
    Attributor,
    /// The rewards slot.
    Rewarder,
    /// The Python reader: mechanism, not a slot.
    PythonReader,
}

impl World {
    /// The package, without its version.
    pub const fn package(self) -> &'static str {
        match self {
            Self::Reviewer => "prism:review",
            Self::Scaler => "prism:scaling",
            Self::Assessor => "prism:thresholds",
            Self::Attributor => "prism:attribution",
            Self::Rewarder => "prism:rewards",
            Self::PythonReader => "prism:host",
        }
    }

    /// The name within the package.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reviewer => "reviewer",
            Self::Scaler => "scaler",
            Self::Assessor => "assessor",
            Self::Attributor => "attributor",
            Self::Rewarder => "rewarder",
            Self::PythonReader => "python-reader",
        }
    }

    /// Whether components of this world may write to the log.
    const fn may_log(self) -> bool {
        !matches!(self, Self::PythonReader)
    }
}

/// Why a component is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are too many to be looked at.
    #[error("{size_bytes} bytes, at most {COMPONENT_MAX_BYTES}")]
    TooLarge {
        /// How many they are.
        size_bytes: usize,
    },
    /// The bytes are no component.
    #[error("not a component: {0}")]
    NotAComponent(String),
    /// There is more in it than in any component that we know.
    #[error("{count} {what}, at most {most}")]
    TooComplex {
        /// Of what.
        what: &'static str,
        /// How much there is, or how much was counted before it was enough.
        count: u64,
        /// How much there may be.
        most: u64,
    },
    /// It imports a function that its world does not grant.
    #[error("imports `{0}`, which is not allowed; the only import is `{LOG_INTERFACE}`")]
    ForbiddenImport(String),
    /// It does not export what the world asks for, or with other types.
    #[error("does not fit the world `{world}`: {why}")]
    WrongWorld {
        /// The world that it was checked against.
        world: &'static str,
        /// The first mismatch.
        why: String,
    },
}

impl Refusal {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "component-too-large",
            Self::NotAComponent(_) => "component-malformed",
            Self::TooComplex { .. } => "component-too-complex",
            Self::ForbiddenImport(_) => "component-forbidden-import",
            Self::WrongWorld { .. } => "component-wrong-world",
        }
    }
}

/// The interfaces of this host: the main package first, then what it and the slots depend on.
pub(crate) const WIT_SOURCES: [(&str, &str); 9] = [
    ("host.wit", include_str!("../../../wit/host.wit")),
    ("types.wit", include_str!("../../../wit/deps/types.wit")),
    ("plugin.wit", include_str!("../../../wit/deps/plugin.wit")),
    ("review.wit", include_str!("../../../wit/deps/review.wit")),
    ("consult.wit", include_str!("../../../wit/deps/consult.wit")),
    ("scaling.wit", include_str!("../../../wit/deps/scaling.wit")),
    ("thresholds.wit", include_str!("../../../wit/deps/thresholds.wit")),
    ("attribution.wit", include_str!("../../../wit/deps/attribution.wit")),
    ("rewards.wit", include_str!("../../../wit/deps/rewards.wit")),
];

/// The interfaces of this host, parsed.
pub(crate) struct Wit {
    resolve: Resolve,
}

impl Wit {
    /// Parses the interfaces that were compiled into the program. It fails only when they are broken,
    /// which the build would have shown.
    pub(crate) fn embedded() -> Result<Self, Refusal> {
        let broken = |why: String| Refusal::WrongWorld { world: "host", why };
        let mut groups = Vec::with_capacity(WIT_SOURCES.len());
        for (path, text) in WIT_SOURCES {
            let group = UnresolvedPackageGroup::parse(path, text)
                .map_err(|why| broken(format!("{path}: {why:?}")))?;
            groups.push(group);
        }
        let mut groups = groups.into_iter();
        let main = groups.next().ok_or_else(|| broken("no interface".to_owned()))?;
        let mut resolve = Resolve::default();
        resolve.push_groups(main, groups.collect()).map_err(|why| broken(format!("{why:?}")))?;
        Ok(Self { resolve })
    }

    /// Checks size, imports and the shape of every export, without compiling anything.
    pub(crate) fn check(&self, world: World, component: &[u8]) -> Result<(), Refusal> {
        if component.len() > COMPONENT_MAX_BYTES {
            return Err(Refusal::TooLarge { size_bytes: component.len() });
        }
        if !component.starts_with(COMPONENT_HEADER) {
            return Err(Refusal::NotAComponent("it does not begin like one".to_owned()));
        }
        crate::shape::check(component)?;
        let (resolve, id) = decoded(component)?;
        let Some(described) = resolve.worlds.get(id) else { return Ok(()) };
        check_imports(world, &resolve, described)?;
        let version = versions::chosen(world, &exported_versions(world, &resolve, described))?;
        let world_id = match world {
            World::Reviewer if looks_closer(&resolve, described)? => self.consulting()?,
            _ => self.find(world, version)?,
        };
        wit_component::targets(&self.resolve, world_id, component)
            .map_err(|why| Refusal::WrongWorld { world: world.name(), why: format!("{why:#}") })
    }

    fn find(&self, world: World, version: ApiVersion) -> Result<WorldId, Refusal> {
        self.world(&format!("{}@{}", world.package(), version.as_str()), world.name())
    }

    /// The world of a reviewer that looks closer.
    fn consulting(&self) -> Result<WorldId, Refusal> {
        self.world("prism:consult@1.0.0", "consulting-reviewer")
    }

    fn world(&self, package_name: &str, name: &'static str) -> Result<WorldId, Refusal> {
        self.resolve
            .packages
            .iter()
            .find(|(_, package)| package.name.to_string() == package_name)
            .and_then(|(_, package)| package.worlds.get(name).copied())
            .ok_or_else(|| Refusal::WrongWorld {
                world: name,
                why: "this host does not know the world".to_owned(),
            })
    }
}

/// What the component says of itself.
fn decoded(component: &[u8]) -> Result<(Resolve, WorldId), Refusal> {
    match wit_component::decode(component) {
        Ok(DecodedWasm::Component(resolve, id)) => Ok((resolve, id)),
        Ok(DecodedWasm::WitPackage(..)) => {
            Err(Refusal::NotAComponent("the bytes are a WIT package".to_owned()))
        }
        Err(why) => Err(Refusal::NotAComponent(format!("{why:#}"))),
    }
}

/// The versions in which the component exports an interface of the world's package.
fn exported_versions(
    world: World,
    resolve: &Resolve,
    described: &wit_parser::World,
) -> Vec<String> {
    let names = described.exports.keys().map(|key| resolve.name_world_key(key));
    let versions = names.filter_map(|name| {
        let (interface, version) = name.split_once('@')?;
        let (package, _) = interface.split_once('/')?;
        (package == world.package()).then(|| version.to_owned())
    });
    versions.collect()
}

/// Whether a reviewer looks closer. One that does so in a version that this host does not know is refused: it would
/// never be asked.
fn looks_closer(resolve: &Resolve, described: &wit_parser::World) -> Result<bool, Refusal> {
    let names = described.exports.keys().map(|key| resolve.name_world_key(key));
    let mut closer = names.filter(|name| name.starts_with(CONSULT_PACKAGE));
    match closer.next() {
        None => Ok(false),
        Some(name) if name == CONSULT_INTERFACE => Ok(true),
        Some(name) => Err(Refusal::WrongWorld {
            world: "consulting-reviewer",
            why: format!("it exports `{name}`; this host serves `{CONSULT_INTERFACE}`"),
        }),
    }
}

/// Types may be imported, they are only names; functions may not, the log apart.
fn check_imports(
    world: World,
    resolve: &Resolve,
    described: &wit_parser::World,
) -> Result<(), Refusal> {
    for (key, item) in &described.imports {
        let name = resolve.name_world_key(key);
        let forbidden = match item {
            WorldItem::Interface { id, .. } => {
                let functions =
                    resolve.interfaces.get(*id).is_some_and(|found| !found.functions.is_empty());
                functions && !(world.may_log() && name == LOG_INTERFACE)
            }
            WorldItem::Function(_) => true,
            WorldItem::Type { .. } => false,
        };
        if forbidden {
            return Err(Refusal::ForbiddenImport(name));
        }
    }
    Ok(())
}
