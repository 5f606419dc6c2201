//! What a name stands for at a place: the second pass of name resolution, shared by the observer and
//! the normaliser.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use ruff_python_ast::Expr;

use crate::known_names::is_builtin;
use crate::project::{Project, TARGETS_MAX, Target, Targets, bounded, dotted_parts};
use crate::scope::{Scope, ScopeKind};

/// The longest chain of aliases that is followed inside functions.
const ALIAS_STEPS_MAX: u32 = 16;

/// A scope on the stack, with what was found in it already.
struct Frame<'a> {
    scope: Scope<'a>,
    found: RefCell<BTreeMap<String, Targets>>,
}

/// The scopes round one place in a module.
pub(crate) struct Resolver<'p, 'a> {
    /// All modules.
    pub(crate) project: &'p Project<'a>,
    /// The module.
    pub(crate) module: usize,
    frames: Vec<Frame<'a>>,
    steps: Cell<u32>,
}

/// What a name is to the scopes round a place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning {
    /// A local value of a function or class, of unknown origin.
    Value,
    /// Nothing binds it, and Python does not bring it.
    Unbound,
    /// Imports, builtins and definitions of the project.
    Known(Targets),
}

impl<'p, 'a> Resolver<'p, 'a> {
    /// At the top of a module.
    pub(crate) fn new(project: &'p Project<'a>, module: usize) -> Self {
        Self { project, module, frames: Vec::new(), steps: Cell::new(0) }
    }

    /// What relative imports start from here.
    pub(crate) fn package(&self) -> &'p str {
        self.project.modules.get(self.module).map_or("", |module| &module.package)
    }

    /// Enters a scope.
    pub(crate) fn push(&mut self, scope: Scope<'a>) {
        self.frames.push(Frame { scope, found: RefCell::default() });
    }

    /// Leaves the innermost scope.
    pub(crate) fn pop(&mut self) {
        self.frames.pop();
    }

    /// What `name` stands for here. `running_at` is the offset of the place when it runs at import.
    pub(crate) fn meaning(&self, name: &str, running_at: Option<u32>) -> Meaning {
        self.meaning_from(name, running_at, self.frames.len())
    }

    fn meaning_from(&self, name: &str, running_at: Option<u32>, top: usize) -> Meaning {
        for (level, frame) in self.frames.iter().enumerate().take(top).rev() {
            let scope = &frame.scope;
            if scope.globals.contains(name) {
                return self.global_meaning(level, name, running_at);
            }
            let hidden = scope.kind == ScopeKind::Class && level + 1 != top;
            let Some(binding) = scope.names.get(name).filter(|_| !hidden) else { continue };
            let is_class = scope.kind == ScopeKind::Class;
            if !is_class && binding.imports.is_empty() && binding.aliases.is_empty() {
                return Meaning::Value;
            }
            let mut targets = self.frame_targets(level, name);
            // A class body may read the outer name before it binds its own.
            if is_class && let Meaning::Known(outer) = self.meaning_from(name, running_at, level) {
                targets = Rc::new(targets.iter().chain(outer.iter()).cloned().collect());
            }
            return if targets.is_empty() { Meaning::Value } else { Meaning::Known(targets) };
        }
        self.module_meaning(name, running_at)
    }

    /// A name declared `global`: what the function itself binds it to, and what the module does.
    fn global_meaning(&self, level: usize, name: &str, running_at: Option<u32>) -> Meaning {
        let own = self.frame_targets(level, name);
        let module = self.module_meaning(name, running_at);
        match (own.is_empty(), module) {
            (true, module) => module,
            (false, Meaning::Known(targets)) => {
                Meaning::Known(Rc::new(own.iter().chain(targets.iter()).cloned().collect()))
            }
            (false, Meaning::Value | Meaning::Unbound) => Meaning::Known(own),
        }
    }

    fn module_meaning(&self, name: &str, running_at: Option<u32>) -> Meaning {
        let Some(module) = self.project.modules.get(self.module) else { return Meaning::Unbound };
        let builtin = || Target { name: name.to_owned(), local: false };
        match module.scope.names.get(name) {
            Some(binding) => {
                let bound = match (binding.definite, running_at) {
                    (Some(from), Some(at)) => from < at,
                    (definite, _) => definite.is_some(),
                };
                let targets = self.project.member(self.module, name, 0);
                if bound || !is_builtin(name) {
                    return Meaning::Known(targets);
                }
                let mut targets = targets.to_vec();
                targets.push(builtin());
                Meaning::Known(Rc::new(targets))
            }
            None if is_builtin(name) => Meaning::Known(Rc::new(vec![builtin()])),
            None => match self.project.star_member(self.module, name, 0) {
                Some(targets) => Meaning::Known(Rc::new(targets)),
                None => Meaning::Unbound,
            },
        }
    }

    /// What a name bound in the frame `level` stands for; empty for a plain value.
    fn frame_targets(&self, level: usize, name: &str) -> Targets {
        let Some(frame) = self.frames.get(level) else { return Targets::default() };
        if let Some(found) = frame.found.borrow().get(name) {
            return Rc::clone(found);
        }
        frame.found.borrow_mut().insert(name.to_owned(), Targets::default());
        let targets = frame.scope.names.get(name).map_or_else(Vec::new, |binding| {
            let imports = binding.imports.iter().flat_map(|it| self.project.canonical(it));
            let aliases = binding.aliases.iter().flat_map(|it| self.alias(it, level + 1));
            bounded(imports.chain(aliases))
        });
        let targets = Rc::new(targets);
        frame.found.borrow_mut().insert(name.to_owned(), Rc::clone(&targets));
        targets
    }

    fn alias(&self, expression: &Expr, top: usize) -> Vec<Target> {
        let Some((root, attributes)) = dotted_parts(expression) else { return Vec::new() };
        let steps = self.steps.get();
        if steps >= ALIAS_STEPS_MAX {
            return Vec::new();
        }
        self.steps.set(steps + 1);
        let meaning = self.meaning_from(root, None, top);
        self.steps.set(steps);
        match meaning {
            Meaning::Known(targets) => self.extend(&targets, &attributes),
            Meaning::Value | Meaning::Unbound => Vec::new(),
        }
    }

    /// Whether all that is assigned to a name of the innermost scope is followed when it is read.
    /// Class bodies are left out: their names are read as attributes, whose origin is unknown.
    pub(crate) fn is_followed(&self, name: &str) -> bool {
        let module = self.project.modules.get(self.module).map(|module| &module.scope);
        let Some(scope) = self.frames.last().map(|frame| &frame.scope).or(module) else {
            return false;
        };
        let aliases = scope.names.get(name).map_or(0, |binding| binding.aliases.len());
        !Self::leaves(scope, name) && (1..=TARGETS_MAX).contains(&aliases)
    }

    /// Whether a name that the innermost scope binds is read elsewhere, where its origin is unknown: as an
    /// attribute of a class, or in the scope that a `global` or `nonlocal` names.
    pub(crate) fn is_read_elsewhere(&self, name: &str) -> bool {
        self.frames.last().is_some_and(|frame| Self::leaves(&frame.scope, name))
    }

    fn leaves(scope: &Scope<'a>, name: &str) -> bool {
        scope.kind == ScopeKind::Class
            || scope.globals.contains(name)
            || scope.nonlocals.contains(name)
    }

    /// Targets and attributes of them.
    pub(crate) fn extend(&self, targets: &[Target], attributes: &str) -> Vec<Target> {
        let extended = targets.iter().flat_map(|target| self.project.extend(target, attributes, 0));
        bounded(extended)
    }
}
