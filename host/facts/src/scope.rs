//! Which names a scope binds, and to what: the first of the two passes of name resolution.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Comprehension, ExceptHandler, Expr, ExprContext, Parameters, Pattern, Stmt, StmtAssign,
    StmtImport, StmtImportFrom,
};
use ruff_text_size::Ranged;

use crate::key::Key;
use crate::project::Targets;

/// What kind of block a scope belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    /// A module: names that are not bound yet fall through to the builtins.
    Module,
    /// A class body: invisible to the functions in it, and unbound names fall through.
    Class,
    /// A function, lambda or comprehension: a name that is bound anywhere in it is its own.
    Function,
}

/// What a name may stand for in one scope. All possibilities are kept.
#[derive(Debug, Default)]
pub(crate) struct Binding<'a> {
    /// Dotted names of imports.
    pub(crate) imports: Vec<String>,
    /// Dotted expressions that are assigned to it.
    pub(crate) aliases: Vec<&'a Expr>,
    /// Whether it may be something else: a definition, a parameter, any other value.
    pub(crate) opaque: bool,
    /// Offset of a binding that no condition can skip; none when there is none or it is deleted.
    pub(crate) definite: Option<u32>,
    /// What it was found to stand for; nothing while nobody has asked.
    pub(crate) found: RefCell<Option<Targets>>,
    /// Whether what was found leads nowhere else.
    pub(crate) settled: Cell<bool>,
    deleted: bool,
}

/// Names and what they are bound to, in order and in no more room than they need: all scopes are kept.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    sorted: Box<[(Key<'a>, Binding<'a>)]>,
}

impl<'a> Names<'a> {
    /// What a name is bound to.
    pub(crate) fn get(&self, name: &Key<'_>) -> Option<&Binding<'a>> {
        self.sorted.get(self.position(name)?).map(|(_, binding)| binding)
    }

    /// Where a name stands in the order.
    pub(crate) fn position(&self, name: &Key<'_>) -> Option<usize> {
        self.sorted.binary_search_by(|(known, _)| known.cmp(name)).ok()
    }

    /// What all names are bound to, in their order.
    pub(crate) fn bindings(&self) -> impl ExactSizeIterator<Item = &Binding<'a>> {
        self.sorted.iter().map(|(_, binding)| binding)
    }

    /// Whether a name is bound.
    pub(crate) fn contains_key(&self, name: &Key<'_>) -> bool {
        self.get(name).is_some()
    }
}

/// The names of one block.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// What kind of block it is.
    pub(crate) kind: ScopeKind,
    /// What it binds.
    pub(crate) names: Names<'a>,
    /// Names declared `global`.
    pub(crate) globals: BTreeSet<&'a str>,
    /// Names declared `nonlocal`.
    pub(crate) nonlocals: BTreeSet<&'a str>,
    /// Modules of which it imports everything.
    pub(crate) stars: Vec<String>,
}

impl<'a> Scope<'a> {
    /// The scope of a module or class body. `package` is what relative imports start from.
    pub(crate) fn of_body(kind: ScopeKind, body: &'a [Stmt], package: &str) -> Self {
        let mut collector = Collector::new(kind, package);
        collector.visit_body(body);
        collector.finish()
    }

    /// The scope of a function.
    pub(crate) fn of_function(parameters: &'a Parameters, body: &'a [Stmt], package: &str) -> Self {
        let mut collector = Collector::new(ScopeKind::Function, package);
        collector.bind_parameters(parameters);
        collector.visit_body(body);
        collector.finish()
    }

    /// The scope of a lambda.
    pub(crate) fn of_lambda(parameters: Option<&'a Parameters>, body: &'a Expr) -> Self {
        let mut collector = Collector::new(ScopeKind::Function, "");
        if let Some(parameters) = parameters {
            collector.bind_parameters(parameters);
        }
        collector.visit_expr(body);
        collector.finish()
    }

    /// The scope of a comprehension: only its targets; a walrus in it binds outside.
    pub(crate) fn of_comprehension(generators: &'a [Comprehension]) -> Self {
        let mut collector = Collector::new(ScopeKind::Function, "");
        for generator in generators {
            collector.visit_expr(&generator.target);
        }
        collector.finish()
    }
}

/// The dotted name that an import statement refers to: `from ..a import b` in package `x.y` is `x.a.b`.
pub(crate) fn import_from_module(statement: &StmtImportFrom, package: &str) -> String {
    let module = statement.module.as_ref().map_or("", |module| module.as_str());
    if statement.level == 0 {
        return module.to_owned();
    }
    let mut base: Vec<&str> = package.split('.').filter(|part| !part.is_empty()).collect();
    for _ in 1..statement.level {
        if base.pop().is_none() {
            // Beyond the top: Python refuses it, so the name stays one that nothing is called.
            return ".".repeat(statement.level as usize) + module;
        }
    }
    base.extend(module.split('.').filter(|part| !part.is_empty()));
    base.join(".")
}

/// Bytes of a dotted name that are kept. Nothing that is called by more is known to anybody; and where a short
/// alias stands for a long name, each use of it would cost the long one.
pub(crate) const NAME_BYTES_MAX: usize = 512;

/// Joins a module and a name; either may be empty.
pub(crate) fn join(module: &str, name: &str) -> String {
    match (module.is_empty(), name.is_empty()) {
        (true, _) => cut(name).to_owned(),
        (_, true) => cut(module).to_owned(),
        _ => joined(&[module, name]),
    }
}

/// The parts with dots between them.
pub(crate) fn joined(parts: &[&str]) -> String {
    let length = parts.iter().map(|part| part.len() + 1).sum::<usize>();
    let mut whole = String::with_capacity(length.min(NAME_BYTES_MAX));
    for (index, part) in parts.iter().enumerate() {
        if whole.len() >= NAME_BYTES_MAX {
            break;
        }
        if index > 0 {
            whole.push('.');
        }
        whole.push_str(
            part.get(..part.floor_char_boundary(NAME_BYTES_MAX - whole.len())).unwrap_or(part),
        );
    }
    whole
}

/// Whether a name may have been cut.
pub(crate) fn is_cut(name: &str) -> bool {
    /// What a character may need beyond the place of the cut.
    const CHARACTER_REST: usize = 3;
    name.len() + CHARACTER_REST >= NAME_BYTES_MAX
}

/// As much of a name as is kept.
pub(crate) fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or(name)
}

/// Whether `whole` is what `join` makes of the two.
pub(crate) fn is_joined(whole: &str, module: &str, name: &str) -> bool {
    if module.is_empty() || name.is_empty() {
        return whole == if module.is_empty() { name } else { module };
    }
    let rest = whole.strip_prefix(module).and_then(|rest| rest.strip_prefix('.'));
    rest == Some(name)
}

/// Whether an expression is a dotted name.
pub(crate) fn is_dotted(expression: &Expr) -> bool {
    let mut expression = expression;
    while let Expr::Attribute(attribute) = expression {
        expression = &attribute.value;
    }
    expression.is_name_expr()
}

struct Collector<'a, 'p> {
    scope: Scope<'a>,
    names: BTreeMap<Key<'a>, Binding<'a>>,
    package: &'p str,
    conditions: u32,
    statement: u32,
}

impl<'a, 'p> Collector<'a, 'p> {
    fn new(kind: ScopeKind, package: &'p str) -> Self {
        let scope = Scope {
            kind,
            names: Names::default(),
            globals: BTreeSet::new(),
            nonlocals: BTreeSet::new(),
            stars: Vec::new(),
        };
        Self { scope, names: BTreeMap::new(), package, conditions: 0, statement: 0 }
    }

    fn finish(mut self) -> Scope<'a> {
        for binding in self.names.values_mut() {
            if binding.deleted {
                binding.definite = None;
            }
        }
        self.scope.names = Names { sorted: self.names.into_iter().collect() };
        self.scope
    }

    fn bind(&mut self, name: &'a str) -> &mut Binding<'a> {
        let definite = (self.conditions == 0).then_some(self.statement);
        let binding = self.names.entry(Key::new(name)).or_default();
        binding.definite = binding.definite.or(definite);
        binding
    }

    fn bind_opaque(&mut self, name: &'a str) {
        self.bind(name).opaque = true;
    }

    fn bind_parameters(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            self.bind_opaque(parameter.name().as_str());
        }
    }

    fn bind_alias(&mut self, target: &'a Expr, value: &'a Expr) {
        match target {
            Expr::Name(name) if is_dotted(value) => self.bind(name.id.as_str()).aliases.push(value),
            _ => self.visit_expr(target),
        }
    }

    fn visit_defaults(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            if let Some(default) = parameter.default() {
                self.visit_expr(default);
            }
        }
    }

    fn bind_imports(&mut self, statement: &'a StmtImport) {
        for alias in &statement.names {
            let dotted = alias.name.as_str();
            let top_level = dotted.split('.').next().unwrap_or(dotted);
            let (name, target) = match &alias.asname {
                Some(name) => (name.as_str(), dotted),
                None => (top_level, top_level),
            };
            push_new(&mut self.bind(name).imports, cut(target).to_owned());
        }
    }

    fn bind_imports_from(&mut self, statement: &'a StmtImportFrom) {
        let module = import_from_module(statement, self.package);
        for alias in &statement.names {
            if alias.name.as_str() == "*" {
                push_new(&mut self.scope.stars, module.clone());
                continue;
            }
            let name = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
            let target = join(&module, alias.name.as_str());
            push_new(&mut self.bind(name).imports, target);
        }
    }

    fn visit_assign(&mut self, assign: &'a StmtAssign) {
        self.visit_expr(&assign.value);
        for target in &assign.targets {
            self.bind_alias(target, &assign.value);
        }
    }
}

impl<'a> Visitor<'a> for Collector<'a, '_> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if self.conditions == 0 {
            self.statement = statement.start().to_u32();
        }
        match statement {
            Stmt::FunctionDef(function) => {
                self.bind_opaque(function.name.as_str());
                for decorator in &function.decorator_list {
                    self.visit_expr(&decorator.expression);
                }
                self.visit_defaults(&function.parameters);
            }
            Stmt::ClassDef(class) => {
                self.bind_opaque(class.name.as_str());
                for decorator in &class.decorator_list {
                    self.visit_expr(&decorator.expression);
                }
                if let Some(arguments) = &class.arguments {
                    self.visit_arguments(arguments);
                }
            }
            Stmt::Import(import) => self.bind_imports(import),
            Stmt::ImportFrom(import) => self.bind_imports_from(import),
            Stmt::Assign(assign) => self.visit_assign(assign),
            Stmt::AnnAssign(assign) => match &assign.value {
                Some(value) => {
                    self.visit_expr(value);
                    self.bind_alias(&assign.target, value);
                }
                // `x: int` alone binds nothing at run time in a module; in a function it makes `x` local.
                None if self.scope.kind == ScopeKind::Function => self.visit_expr(&assign.target),
                None => {}
            },
            Stmt::Global(global) => {
                self.scope
                    .globals
                    .extend(global.names.iter().map(ruff_python_ast::Identifier::as_str));
            }
            Stmt::Nonlocal(nonlocal) => {
                self.scope
                    .nonlocals
                    .extend(nonlocal.names.iter().map(ruff_python_ast::Identifier::as_str));
            }
            _ => {
                let conditional = !matches!(
                    statement,
                    Stmt::Expr(_) | Stmt::AugAssign(_) | Stmt::Delete(_) | Stmt::TypeAlias(_)
                );
                self.conditions += u32::from(conditional);
                visitor::walk_stmt(self, statement);
                self.conditions -= u32::from(conditional);
            }
        }
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) => match name.ctx {
                ExprContext::Store => self.bind_opaque(name.id.as_str()),
                ExprContext::Del => self.bind(name.id.as_str()).deleted = true,
                ExprContext::Load | ExprContext::Invalid => {}
            },
            Expr::Named(named) => {
                self.visit_expr(&named.value);
                self.bind_alias(&named.target, &named.value);
            }
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.visit_defaults(parameters);
                }
            }
            _ => visitor::walk_expr(self, expression),
        }
    }

    fn visit_comprehension(&mut self, comprehension: &'a Comprehension) {
        self.visit_expr(&comprehension.iter);
        for condition in &comprehension.ifs {
            self.visit_expr(condition);
        }
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        if let Some(name) = &inner.name {
            self.bind_opaque(name.as_str());
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchAs(capture) => capture.name.as_ref(),
            Pattern::MatchStar(capture) => capture.name.as_ref(),
            Pattern::MatchMapping(capture) => capture.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.bind_opaque(name.as_str());
        }
        visitor::walk_pattern(self, pattern);
    }
}

/// Adds a name unless it is there; a long list is not searched, so that the cost stays linear.
fn push_new(names: &mut Vec<String>, name: String) {
    const SEARCHED_MAX: usize = 16;
    if names.len() >= SEARCHED_MAX || !names.contains(&name) {
        names.push(name);
    }
}
