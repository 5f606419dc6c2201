//! How much there is in a component, counted in one pass over its bytes before anything else reads them: what
//! decodes, checks or compiles it may take time and memory that grow faster than the bytes do.
//!
//! The limits lie far above what the Python and JavaScript runtimes need.

use wasmparser::{Parser, Payload};

use crate::inspect::Refusal;

/// Components and modules within each other.
const NESTING_MAX: u64 = 16;
/// Modules and components in all.
const PARTS_MAX: u64 = 500;
/// Instances in all, of modules and of components.
const INSTANCES_MAX: u64 = 500;
/// Functions with a body, in all modules.
const FUNCTIONS_MAX: u64 = 100_000;
/// Bytes of the largest function.
const FUNCTION_BYTES_MAX: u64 = 1 << 20;
/// Bytes of all type sections: what is checked against them is compared type by type.
const TYPE_BYTES_MAX: u64 = 4 << 20;
/// Imports, exports and aliases in all.
const NAMES_MAX: u64 = 200_000;
/// Bytes of the documentation that a component carries, which is read as JSON.
const DOCS_BYTES_MAX: u64 = 1 << 20;
/// The custom section with that documentation.
const DOCS_SECTION: &str = "package-docs";

#[derive(Debug, Default)]
struct Counted {
    depth: u64,
    parts: u64,
    instances: u64,
    functions: u64,
    type_bytes: u64,
    names: u64,
}

/// Refuses what is larger in some way than any component that we know.
pub(crate) fn check(component: &[u8]) -> Result<(), Refusal> {
    let mut counted = Counted::default();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|why| Refusal::NotAComponent(why.to_string()))?;
        counted.count(&payload)?;
    }
    Ok(())
}

impl Counted {
    fn count(&mut self, payload: &Payload<'_>) -> Result<(), Refusal> {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.depth += 1;
                self.parts += 1;
                within("levels of nesting", self.depth, NESTING_MAX)?;
                within("modules and components", self.parts, PARTS_MAX)
            }
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Payload::InstanceSection(section) => self.instances(section.count()),
            Payload::ComponentInstanceSection(section) => self.instances(section.count()),
            Payload::CodeSectionStart { count, .. } => {
                self.functions += u64::from(*count);
                within("functions", self.functions, FUNCTIONS_MAX)
            }
            Payload::CodeSectionEntry(body) => {
                within("bytes in one function", body.range().len() as u64, FUNCTION_BYTES_MAX)
            }
            Payload::TypeSection(section) => self.types(section.range().len()),
            Payload::CoreTypeSection(section) => self.types(section.range().len()),
            Payload::ComponentTypeSection(section) => self.types(section.range().len()),
            Payload::ImportSection(section) => self.names(section.count()),
            Payload::ExportSection(section) => self.names(section.count()),
            Payload::ComponentImportSection(section) => self.names(section.count()),
            Payload::ComponentExportSection(section) => self.names(section.count()),
            Payload::ComponentAliasSection(section) => self.names(section.count()),
            Payload::CustomSection(section) if section.name() == DOCS_SECTION => {
                within("bytes of documentation", section.data().len() as u64, DOCS_BYTES_MAX)
            }
            _ => Ok(()),
        }
    }

    fn instances(&mut self, count: u32) -> Result<(), Refusal> {
        self.instances += u64::from(count);
        within("instances", self.instances, INSTANCES_MAX)
    }

    fn types(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.type_bytes += bytes as u64;
        within("bytes of types", self.type_bytes, TYPE_BYTES_MAX)
    }

    fn names(&mut self, count: u32) -> Result<(), Refusal> {
        self.names += u64::from(count);
        within("imports, exports and aliases", self.names, NAMES_MAX)
    }
}

fn within(what: &'static str, count: u64, most: u64) -> Result<(), Refusal> {
    if count > most { Err(Refusal::TooComplex { what, count, most }) } else { Ok(()) }
}
