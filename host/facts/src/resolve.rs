//! What a name stands for at a place: the second pass of name resolution, shared by the observer and
//! the normaliser.

use std::rc::Rc;

use ruff_python_ast::{StmtClassDef, StmtFunctionDef};

use crate::flow::Flow;
use crate::key::Key;
use crate::project::{Path, Project, TARGETS_MAX, Target, Targets, bounded, dotted_parts};
use crate::scope::{Binding, Scope, ScopeKind, joined};

/// The scopes round one place in a module.
pub(crate) struct Resolver<'p, 'a> {
    /// All modules.
    pub(crate) project: &'p Project<'a>,
    /// The module.
    pub(crate) module: usize,
    scopes: Vec<Rc<Scope<'a>>>,
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
        Self { project, module, scopes: Vec::new() }
    }

    /// What relative imports start from here.
    pub(crate) fn package(&self) -> &'p str {
        self.project.modules.get(self.module).map_or("", |module| &module.package)
    }

    /// Enters a scope.
    pub(crate) fn push(&mut self, scope: Scope<'a>) {
        self.enter(Rc::new(scope));
    }

    /// Enters the body of a function.
    pub(crate) fn push_function(&mut self, function: &'a StmtFunctionDef) {
        let package = self.package();
        let make = || Scope::of_function(&function.parameters, &function.body, package);
        self.enter(self.project.scope_of(function, make));
    }

    /// Enters the body of a class.
    pub(crate) fn push_class(&mut self, class: &'a StmtClassDef) {
        let package = self.package();
        let make = || Scope::of_body(ScopeKind::Class, &class.body, package);
        self.enter(self.project.scope_of(class, make));
    }

    fn enter(&mut self, scope: Rc<Scope<'a>>) {
        self.scopes.push(scope);
    }

    /// Leaves the innermost scope.
    pub(crate) fn pop(&mut self) {
        self.scopes.pop();
    }

    /// What `name` stands for here. `running_at` is the offset of the place when it runs at import.
    pub(crate) fn meaning(&self, name: &str, running_at: Option<u32>) -> Meaning {
        self.meaning_from(Key::new(name), running_at, self.scopes.len())
    }

    fn meaning_from(&self, name: Key<'_>, running_at: Option<u32>, top: usize) -> Meaning {
        self.meaning_below(name, running_at, top, top)
    }

    /// What a name stands for to the scopes below a level, seen from the scope under `top`.
    fn meaning_below(
        &self,
        name: Key<'_>,
        running_at: Option<u32>,
        below: usize,
        top: usize,
    ) -> Meaning {
        for (level, scope) in self.scopes.iter().enumerate().take(below).rev() {
            if scope.globals.contains(name.text()) {
                return self.global_meaning(level, name, running_at);
            }
            let hidden = scope.kind == ScopeKind::Class && level + 1 != top;
            let Some(binding) = scope.names.get(&name).filter(|_| !hidden) else { continue };
            let is_class = scope.kind == ScopeKind::Class;
            if !is_class && binding.imports.is_empty() && binding.aliases.is_empty() {
                return Meaning::Value;
            }
            let mut targets = self.targets_of(binding, level);
            // A class body may read the outer name before it binds its own.
            if is_class && let Meaning::Known(outer) = self.meaning_from(name, running_at, level) {
                targets = Rc::new(targets.iter().chain(outer.iter()).cloned().collect());
            }
            return if targets.is_empty() { Meaning::Value } else { Meaning::Known(targets) };
        }
        self.module_meaning(name, running_at)
    }

    /// A name declared `global`: what the function itself binds it to, and what the module does.
    fn global_meaning(&self, level: usize, name: Key<'_>, running_at: Option<u32>) -> Meaning {
        let binding = self.scopes.get(level).and_then(|scope| scope.names.get(&name));
        let own = binding.map_or_else(Targets::default, |it| self.targets_of(it, level));
        let module = self.module_meaning(name, running_at);
        match (own.is_empty(), module) {
            (true, module) => module,
            (false, Meaning::Known(targets)) => {
                Meaning::Known(Rc::new(own.iter().chain(targets.iter()).cloned().collect()))
            }
            (false, Meaning::Value | Meaning::Unbound) => Meaning::Known(own),
        }
    }

    fn module_meaning(&self, name: Key<'_>, running_at: Option<u32>) -> Meaning {
        let Some(module) = self.project.modules.get(self.module) else { return Meaning::Unbound };
        let Some(binding) = module.scope.names.get(&name) else {
            return self.unbound_meaning(name);
        };
        let bound = match (binding.definite, running_at) {
            (Some(from), Some(at)) => from < at,
            (definite, _) => definite.is_some(),
        };
        let targets = self.project.member(self.module, name, 0);
        let builtin = if bound { None } else { self.project.builtin(name) };
        match builtin {
            None => Meaning::Known(targets),
            Some(builtin) => {
                Meaning::Known(Rc::new(targets.iter().chain(builtin.iter()).cloned().collect()))
            }
        }
    }

    fn unbound_meaning(&self, name: Key<'_>) -> Meaning {
        if let Some(builtin) = self.project.builtin(name) {
            return Meaning::Known(builtin);
        }
        match self.project.star_member(self.module, name, 0) {
            Some(targets) => Meaning::Known(Rc::new(self.project.follow(targets))),
            None => Meaning::Unbound,
        }
    }

    /// What a name bound in the scope `level` stands for; empty for a plain value. A scope is always entered
    /// through the same others, so what was found once holds.
    fn targets_of(&self, binding: &Binding<'a>, level: usize) -> Targets {
        if binding.found.borrow().is_none() {
            self.find_all(level);
        }
        binding.found.borrow().as_ref().map_or_else(Targets::default, Rc::clone)
    }

    /// Finds what all names stand for that a scope binds.
    fn find_all(&self, level: usize) {
        let Some(scope) = self.scopes.get(level) else { return };
        let mut flow = Flow::new(scope.names.bindings().len());
        for (index, binding) in scope.names.bindings().enumerate() {
            for import in &binding.imports {
                let targets = self.project.canonical(import);
                for target in targets {
                    flow.begin(index, target);
                }
            }
            for alias in &binding.aliases {
                let Some((root, attributes)) = dotted_parts(alias) else { continue };
                let root = Key::new(root);
                let own = scope.names.position(&root);
                if let Some(from) = own {
                    flow.assign(from, index, attributes.join("."));
                }
                let is_global = scope.globals.contains(root.text());
                let outer = if is_global {
                    self.module_meaning(root, None)
                } else if own.is_none() || scope.kind == ScopeKind::Class {
                    self.meaning_below(root, None, level, level + 1)
                } else {
                    Meaning::Value
                };
                if let Meaning::Known(targets) = outer {
                    let targets = self.extend(&targets, &attributes);
                    targets.iter().for_each(|target| flow.begin(index, target.clone()));
                }
            }
        }
        let found = flow.run(|target, attributes| self.project.extend(target, attributes, 0));
        for (binding, targets) in scope.names.bindings().zip(found) {
            *binding.found.borrow_mut() = Some(Rc::new(targets));
        }
    }

    /// Whether all that is assigned to a name of the innermost scope is followed when it is read.
    /// Class bodies are left out: their names are read as attributes, whose origin is unknown.
    pub(crate) fn is_followed(&self, name: &str) -> bool {
        let module = self.project.modules.get(self.module).map(|module| &module.scope);
        let Some(scope) = self.scopes.last().map(|scope| &**scope).or(module) else {
            return false;
        };
        let aliases = scope.names.get(&Key::new(name)).map_or(0, |binding| binding.aliases.len());
        !Self::leaves(scope, name) && (1..=TARGETS_MAX).contains(&aliases)
    }

    /// Whether a name that the innermost scope binds is read elsewhere, where its origin is unknown: as an
    /// attribute of a class, or in the scope that a `global` or `nonlocal` names.
    pub(crate) fn is_read_elsewhere(&self, name: &str) -> bool {
        self.scopes.last().is_some_and(|scope| Self::leaves(scope, name))
    }

    fn leaves(scope: &Scope<'a>, name: &str) -> bool {
        scope.kind == ScopeKind::Class
            || scope.globals.contains(name)
            || scope.nonlocals.contains(name)
    }

    /// Whether a scope inside the outermost one binds a name: a method or a function in it, where the outermost
    /// is a class.
    pub(crate) fn is_bound_in_function(&self, name: Key<'_>) -> bool {
        let mut inner = self.scopes.iter().skip(1);
        inner.any(|it| it.names.contains_key(&name) && !it.globals.contains(name.text()))
    }

    /// Targets and attributes of them.
    pub(crate) fn extend(&self, targets: &Targets, attributes: &[&str]) -> Targets {
        match (&***targets, attributes) {
            ([_], []) => Rc::clone(targets),
            ([target], _) if !target.local => {
                let mut parts = Path::from_slice(&[&target.name]);
                parts.extend_from_slice(attributes);
                Rc::new(vec![Target { name: joined(&parts), local: false }])
            }
            _ => {
                let attributes = attributes.join(".");
                let extend = |target| self.project.extend(target, &attributes, 0);
                Rc::new(bounded(targets.iter().flat_map(extend)))
            }
        }
    }
}
