//! The functions that the evaluator calls, as the entry module offers them.

use ruff_python_ast::{Expr, Parameters};
use ruff_text_size::Ranged;

use crate::EntryFunction;
use crate::definitions::{Body, Definitions};
use crate::key::Key;
use crate::project::Project;

/// What decides what the model computes: the function that builds it and the hooks that ask it.
pub(crate) const ARCHITECTURE: &[&str] = &["build_model", "inference_logits", "infer"];
/// What belongs to the training: the recipe and the hooks that train.
pub(crate) const TRAINING: &[&str] =
    &["get_recipe", "configure_optimizer", "compute_loss", "train_step"];
/// Parameters of a function that takes any number.
const ANY_NUMBER: u32 = 255;

/// The modules in which entry functions are looked for; none where the file cannot be read.
#[derive(Clone, Copy)]
pub(crate) struct EntryModules {
    /// Where the functions of the architecture are.
    pub(crate) architecture: Option<usize>,
    /// Where the recipe and the hooks that train are; often the same module.
    pub(crate) training: Option<usize>,
}

impl EntryModules {
    /// The definitions that an entry function of that name stands for. What belongs to the training
    /// may also stand in the architecture's module, where projects of old have all of it. The
    /// evaluation looks in the same places, so that what is reviewed is what runs.
    pub(crate) fn defined(
        self,
        project: &Project<'_>,
        definitions: &Definitions<'_>,
        name: &str,
    ) -> Vec<usize> {
        let find = |module: Option<usize>| {
            module.map_or_else(Vec::new, |module| defined(project, definitions, module, name))
        };
        let found = if TRAINING.contains(&name) { find(self.training) } else { Vec::new() };
        if found.is_empty() { find(self.architecture) } else { found }
    }
}

/// Finds the entry functions that the entry modules offer, also when they import them from another
/// module of the project. `line_of` tells the line of an offset in a module.
pub(crate) fn entry_functions(
    project: &Project<'_>,
    definitions: &Definitions<'_>,
    entry: EntryModules,
    line_of: impl Fn(usize, u32) -> u32,
) -> Vec<EntryFunction> {
    let names = ARCHITECTURE.iter().chain(TRAINING).copied();
    let find = |name: &'static str| {
        let index = *entry.defined(project, definitions, name).last()?;
        let definition = definitions.all.get(index)?;
        Some(EntryFunction {
            name: name.to_owned(),
            path: project.modules.get(definition.module)?.path.to_owned(),
            line: line_of(definition.module, definition.start().to_u32()),
            parameters: match definition.body {
                Body::Function(function) => count(Some(&function.parameters)),
                Body::Value(Expr::Lambda(lambda)) => count(lambda.parameters.as_deref()),
                _ => ANY_NUMBER,
            },
        })
    };
    names.filter_map(find).collect()
}

/// Definitions that a name of a module stands for.
fn defined(
    project: &Project<'_>,
    definitions: &Definitions<'_>,
    module: usize,
    name: &str,
) -> Vec<usize> {
    let name = Key::new(name);
    let bound = project.modules.get(module).is_some_and(|it| it.scope.names.contains_key(&name));
    let targets = if bound {
        project.member(module, name, 0).to_vec()
    } else {
        project.star_member(module, name, 0).unwrap_or_default()
    };
    let local = targets.iter().filter(|target| target.local);
    let exact = local.filter_map(|target| {
        definitions.named(&target.name).filter(|(_, length)| *length == target.name.len())
    });
    exact.flat_map(|(group, _)| definitions.group(group)).collect()
}

fn count(parameters: Option<&Parameters>) -> u32 {
    let Some(parameters) = parameters else { return 0 };
    if parameters.vararg.is_some() {
        return ANY_NUMBER;
    }
    u32::try_from(parameters.posonlyargs.len() + parameters.args.len()).unwrap_or(ANY_NUMBER)
}
