//! Walks a module and reports what it sees: imports, definitions and what runs at import. Names and
//! calls are in `expressions`, strings in `text`, bulk in `literals`.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Arguments, Comprehension, Decorator, ElifElseClause, Expr, InterpolatedStringElement,
    Parameters, Pattern, PatternKeyword, PatternMatchClass, Stmt, StmtClassDef, StmtFunctionDef,
    StmtImport, StmtImportFrom,
};
use ruff_text_size::Ranged;

use crate::ObservationKind as Kind;
use crate::lines::Lines;
use crate::project::{Project, Target};
use crate::report::{Place, Report, Seen};
use crate::resolve::Resolver;
use crate::scope::{NAME_BYTES_MAX, Scope, import_from_module, is_dotted, join, joined};

/// Read as an annotation, or as what something is said to be an instance of.
pub(crate) const AS_TYPE: &str = "type";
/// Read to decorate what follows.
pub(crate) const AS_DECORATOR: &str = "decorator";
/// Read as the metaclass of a class.
const AS_METACLASS: &str = "metaclass";
/// Given a dict with nothing but names as keys.
const NAMES_FIELDS: &str = "names";
/// What stands before the arguments of a call that decorates.
pub(crate) const DECORATES: &str = "@";

/// Walks one module.
pub(crate) struct Observer<'p, 'a> {
    pub(crate) resolver: Resolver<'p, 'a>,
    pub(crate) report: &'p mut Report<'a>,
    pub(crate) lines: &'p Lines<'p>,
    /// Whether the code runs when the module is imported.
    pub(crate) at_import: bool,
    /// Whether the place is inside an annotation, where strings are code.
    pub(crate) in_annotation: bool,
    /// What names are read for, or given, where that matters: [`AS_TYPE`] and its like.
    pub(crate) usage: &'static str,
    /// Whether statements stand directly in the module or in a class of it, conditions included.
    top_level: bool,
    /// Names of the classes and functions round the place.
    qualifier: Vec<&'a str>,
    /// Number literals seen in the module.
    pub(crate) numbers: u32,
}

/// Reports what is in the module `index`.
pub(crate) fn observe<'a>(
    project: &Project<'a>,
    index: usize,
    lines: &Lines<'_>,
    report: &mut Report<'a>,
) {
    let Some(module) = project.modules.get(index) else { return };
    report.begin_file(module.path);
    let mut observer = Observer {
        resolver: Resolver::new(project, index),
        report,
        lines,
        at_import: true,
        in_annotation: false,
        usage: "",
        top_level: true,
        qualifier: Vec::new(),
        numbers: 0,
    };
    observer.visit_body(module.body);
    observer.report_numbers();
}

impl<'a> Observer<'_, 'a> {
    /// Reports something at the place of a node.
    pub(crate) fn see(&mut self, node: &impl Ranged, seen: Seen<'_>) {
        let (line, column) = self.lines.position(node.start().to_u32());
        let place = Place { line, column, at_import: self.at_import };
        self.report.add(place, seen);
    }

    /// Reports an attribute of an unknown value, and what is done with it.
    pub(crate) fn see_attribute(&mut self, node: &impl Ranged, name: &'a str, usage: &'a str) {
        if self.report.is_new(name, usage, self.at_import) {
            self.see(node, Seen::new(Kind::Attribute, name).detail(usage));
        }
    }

    /// The offset of a node when it runs at import.
    pub(crate) fn running_at(&self, node: &impl Ranged) -> Option<u32> {
        self.at_import.then_some(node.start().to_u32())
    }

    fn qualified(&self, name: &str) -> String {
        let mut parts = self.qualifier.clone();
        parts.push(name);
        joined(&parts)
    }

    fn see_imports(&mut self, statement: &StmtImport) {
        for alias in &statement.names {
            let bound = alias.asname.as_ref().map_or("", |name| name.as_str());
            let targets = self.resolver.project.canonical(alias.name.as_str());
            let local = targets.iter().all(|target| target.local);
            let seen =
                Seen::new(Kind::ImportModule, alias.name.as_str()).detail(bound).local(local);
            self.see(alias, seen);
            let top_level = alias.name.split('.').next().unwrap_or_default();
            let (name, target) = if bound.is_empty() {
                (top_level, top_level)
            } else {
                (bound, alias.name.as_str())
            };
            self.see_import_elsewhere(alias, name, target);
        }
    }

    fn see_imports_from(&mut self, statement: &StmtImportFrom) {
        let module = import_from_module(statement, self.resolver.package());
        for alias in &statement.names {
            let bound = alias.asname.as_ref().map_or("", |name| name.as_str());
            let dotted = join(&module, alias.name.as_str());
            if alias.name.as_str() == "*" {
                let local =
                    self.resolver.project.canonical(&module).iter().all(|target| target.local);
                self.see(alias, Seen::new(Kind::ImportName, &dotted).local(local));
                continue;
            }
            for target in self.resolver.project.canonical(&dotted) {
                let seen = Seen::new(Kind::ImportName, &target.name).detail(bound);
                self.see(alias, seen.local(target.local));
            }
            let name = if bound.is_empty() { alias.name.as_str() } else { bound };
            self.see_import_elsewhere(alias, name, &dotted);
        }
    }

    /// An import whose name is read where nobody knows that it is one is a value from then on.
    fn see_import_elsewhere(&mut self, node: &impl Ranged, name: &str, dotted: &str) {
        if self.resolver.is_read_elsewhere(name) {
            for target in self.resolver.project.canonical(dotted) {
                self.see_value(node, &target);
            }
        }
    }

    fn visit_function(&mut self, function: &'a StmtFunctionDef) {
        let name = self.qualified(function.name.as_str());
        let parameters = describe_parameters(&function.parameters);
        let local = true;
        self.see(&function.name, Seen::new(Kind::Function, &name).detail(&parameters).local(local));
        for decorator in &function.decorator_list {
            self.visit_decorator(decorator);
        }
        if let Some(parameters) = &function.type_params {
            self.visit_type_params(parameters);
        }
        self.visit_parameters(&function.parameters);
        if let Some(returns) = &function.returns {
            self.visit_annotation(returns);
        }
        let outer = (self.at_import, self.top_level);
        (self.at_import, self.top_level) = (false, false);
        self.resolver.push_function(function);
        self.qualifier.push(function.name.as_str());
        self.visit_body(&function.body);
        self.qualifier.pop();
        self.resolver.pop();
        (self.at_import, self.top_level) = outer;
    }

    fn visit_class(&mut self, class: &'a StmtClassDef) {
        let name = self.qualified(class.name.as_str());
        let bases =
            class.arguments.as_deref().map_or_else(String::new, |it| self.describe_bases(it));
        self.see(&class.name, Seen::new(Kind::Class, &name).detail(&bases).local(true));
        for decorator in &class.decorator_list {
            self.visit_decorator(decorator);
        }
        if let Some(parameters) = &class.type_params {
            self.visit_type_params(parameters);
        }
        if let Some(arguments) = &class.arguments {
            self.visit_class_arguments(arguments);
        }
        self.resolver.push_class(class);
        self.qualifier.push(class.name.as_str());
        self.visit_body(&class.body);
        self.qualifier.pop();
        self.resolver.pop();
    }

    fn visit_class_arguments(&mut self, arguments: &'a Arguments) {
        arguments.args.iter().for_each(|base| self.visit_expr(base));
        for keyword in &arguments.keywords {
            let is_metaclass = keyword.arg.as_ref().is_some_and(|name| name == "metaclass");
            let usage = if is_metaclass && is_dotted(&keyword.value) { AS_METACLASS } else { "" };
            self.visit_for(usage, &keyword.value);
        }
    }

    /// Visits an expression that is read for something.
    pub(crate) fn visit_for(&mut self, usage: &'static str, expression: &'a Expr) {
        let outer = std::mem::replace(&mut self.usage, usage);
        self.visit_expr(expression);
        self.usage = outer;
    }

    /// A positional pattern reads the attributes that `__match_args__` of its class names, whatever they are called.
    fn see_class_pattern(&mut self, class: &'a PatternMatchClass) {
        /// Classes whose instances match as they are.
        const WHOLE: &[&str] = &[
            "bool",
            "bytearray",
            "bytes",
            "dict",
            "float",
            "frozenset",
            "int",
            "list",
            "set",
            "str",
            "tuple",
        ];
        for PatternKeyword { attr, .. } in &class.arguments.keywords {
            self.see_attribute(attr, attr.as_str(), "");
        }
        let targets = self.describe_targets(&class.cls);
        let is_whole = |target: &Target| !target.local && WHOLE.contains(&target.name.as_str());
        let matches_whole = targets.len() == 1 && targets.iter().all(is_whole);
        if !class.arguments.patterns.is_empty() && !matches_whole {
            self.see_attribute(&*class.cls, "__match_args__", "");
        }
    }

    /// Base classes as resolved names, `metaclass=…` and other keywords after them.
    fn describe_bases(&self, arguments: &Arguments) -> String {
        let bases = arguments.args.iter().map(|base| {
            // `Generic[T]` is a subclass of `Generic`.
            base.as_subscript_expr().map_or(base, |subscript| &*subscript.value)
        });
        let keywords = arguments.keywords.iter().map(|keyword| {
            (Some(keyword.arg.as_ref().map_or("**", |name| name.as_str())), &keyword.value)
        });
        let mut text = String::new();
        for (keyword, value) in bases.map(|base| (None, base)).chain(keywords) {
            // What is beyond is not told.
            if text.len() > NAME_BYTES_MAX {
                break;
            }
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.extend(keyword.iter().flat_map(|name| [*name, "="]));
            text.push_str(&self.describe_name(value));
        }
        text
    }

    fn see_module_statement(&mut self, statement: &'a Stmt) {
        let name = match statement {
            Stmt::Expr(expression) => match &*expression.value {
                // Docstrings and the like do nothing.
                value if value.is_literal_expr() => return,
                Expr::Call(call) => {
                    let callee = self.describe_name(&call.func);
                    self.see(statement, Seen::new(Kind::ModuleStatement, "call").detail(&callee));
                    return;
                }
                _ => "expression",
            },
            Stmt::AugAssign(_) => "augmented-assignment",
            Stmt::Assign(assign) if assign.targets.iter().any(Expr::is_attribute_expr) => {
                "attribute-assignment"
            }
            Stmt::Assign(assign) if assign.targets.iter().any(Expr::is_subscript_expr) => {
                "item-assignment"
            }
            Stmt::AnnAssign(assign) if assign.target.is_attribute_expr() => "attribute-assignment",
            Stmt::AnnAssign(assign) if assign.target.is_subscript_expr() => "item-assignment",
            Stmt::Delete(_) => "del",
            Stmt::For(_) => "for",
            Stmt::While(_) => "while",
            Stmt::If(_) => "if",
            Stmt::With(_) => "with",
            Stmt::Match(_) => "match",
            Stmt::Raise(_) => "raise",
            Stmt::Try(_) => "try",
            Stmt::Assert(_) => "assert",
            _ => return,
        };
        self.see(statement, Seen::new(Kind::ModuleStatement, name));
    }

    fn visit_lambda_body(&mut self, parameters: Option<&'a Parameters>, body: &'a Expr) {
        self.resolver.push(Scope::of_lambda(parameters, body));
        let outer = std::mem::replace(&mut self.at_import, false);
        self.visit_expr(body);
        self.at_import = outer;
        self.resolver.pop();
    }

    fn visit_generators(&mut self, elements: &[&'a Expr], generators: &'a [Comprehension]) {
        // The first iterable is evaluated outside.
        if let Some(first) = generators.first() {
            self.visit_expr(&first.iter);
        }
        self.resolver.push(Scope::of_comprehension(generators));
        for (index, generator) in generators.iter().enumerate() {
            if index > 0 {
                self.visit_expr(&generator.iter);
            }
            self.visit_expr(&generator.target);
            generator.ifs.iter().for_each(|condition| self.visit_expr(condition));
        }
        for element in elements {
            self.visit_expr(element);
        }
        self.resolver.pop();
    }

    /// `if __name__ == "__main__":` never runs in an imported module.
    fn visit_main_guard(&mut self, test: &'a Expr, body: &'a [Stmt]) {
        self.visit_expr(test);
        let outer = (self.at_import, self.top_level);
        (self.at_import, self.top_level) = (false, false);
        self.visit_body(body);
        (self.at_import, self.top_level) = outer;
    }
}

impl<'a> Visitor<'a> for Observer<'_, 'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if let Stmt::If(branch) = statement
            && self.top_level
            && branch.elif_else_clauses.is_empty()
            && is_main_guard(&branch.test)
        {
            return self.visit_main_guard(&branch.test, &branch.body);
        }
        if self.top_level {
            self.see_module_statement(statement);
        }
        match statement {
            Stmt::Import(import) => self.see_imports(import),
            Stmt::ImportFrom(import) => self.see_imports_from(import),
            Stmt::FunctionDef(function) => self.visit_function(function),
            Stmt::ClassDef(class) => self.visit_class(class),
            Stmt::Assign(assign) => {
                self.visit_value(&assign.value, assign.targets.iter());
                let is_fields = names_fields(&assign.value);
                for target in &assign.targets {
                    let usage = if is_fields && target.is_name_expr() { NAMES_FIELDS } else { "" };
                    self.visit_for(usage, target);
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.visit_value(value, std::iter::once(&*assign.target));
                }
                self.visit_annotation(&assign.annotation);
                self.visit_expr(&assign.target);
            }
            // A docstring names nothing that is used; only its bulk counts.
            Stmt::Expr(expression) if expression.value.is_string_literal_expr() => {
                self.see_docstring(&expression.value);
            }
            _ => visitor::walk_stmt(self, statement),
        }
    }

    fn visit_annotation(&mut self, expression: &'a Expr) {
        self.see_annotation(expression);
    }

    fn visit_decorator(&mut self, decorator: &'a Decorator) {
        let called = decorator.expression.as_call_expr().map(|call| &*call.func);
        let plain = is_dotted(called.unwrap_or(&decorator.expression));
        self.visit_for(if plain { AS_DECORATOR } else { "" }, &decorator.expression);
        self.see_decoration(&decorator.expression);
    }

    fn visit_elif_else_clause(&mut self, clause: &'a ElifElseClause) {
        visitor::walk_elif_else_clause(self, clause);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.visit_parameters(parameters);
                }
                self.visit_lambda_body(lambda.parameters.as_deref(), &lambda.body);
            }
            Expr::ListComp(it) => self.visit_generators(&[&it.elt], &it.generators),
            Expr::SetComp(it) => self.visit_generators(&[&it.elt], &it.generators),
            Expr::Generator(it) => self.visit_generators(&[&it.elt], &it.generators),
            Expr::DictComp(it) => match &it.key {
                Some(key) => self.visit_generators(&[key, &it.value], &it.generators),
                None => self.visit_generators(&[&it.value], &it.generators),
            },
            Expr::Name(_) | Expr::Attribute(_) => self.see_dotted(expression),
            Expr::Call(call) => self.see_call(call),
            Expr::Named(named) => {
                self.visit_value(&named.value, std::iter::once(&*named.target));
                self.visit_expr(&named.target);
            }
            Expr::Subscript(subscript) => self.see_subscript(subscript),
            Expr::StringLiteral(string) if self.in_annotation => {
                self.see_text_annotation(expression, string.value.to_str());
            }
            Expr::StringLiteral(string) => self.see_string(expression, string.value.to_str()),
            _ => {
                self.see_bulk(expression);
                visitor::walk_expr(self, expression);
            }
        }
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        if let Pattern::MatchClass(class) = pattern {
            self.see_class_pattern(class);
        }
        visitor::walk_pattern(self, pattern);
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        if let InterpolatedStringElement::Literal(literal) = element {
            self.see_string(element, &literal.value);
        }
        visitor::walk_interpolated_string_element(self, element);
    }
}

/// Parameter names in order: `x`, `y=` with a default, `*rest`, `*`, `**options`, `/`.
fn describe_parameters(parameters: &Parameters) -> String {
    let mut text = String::new();
    let mut push = |stars: &str, name: &str, default: Option<&Expr>| {
        let separator = if text.is_empty() { "" } else { ", " };
        let equals = if default.is_some() { "=" } else { "" };
        text.extend([separator, stars, name, equals]);
    };
    for parameter in &parameters.posonlyargs {
        push("", parameter.name(), parameter.default());
    }
    if !parameters.posonlyargs.is_empty() {
        push("", "/", None);
    }
    for parameter in &parameters.args {
        push("", parameter.name(), parameter.default());
    }
    match &parameters.vararg {
        Some(rest) => push("*", rest.name(), None),
        None if !parameters.kwonlyargs.is_empty() => push("*", "", None),
        None => {}
    }
    for parameter in &parameters.kwonlyargs {
        push("", parameter.name(), parameter.default());
    }
    if let Some(options) = &parameters.kwarg {
        push("**", options.name(), None);
    }
    text
}

/// Whether a value is a dict whose keys are written out and could be names.
fn names_fields(value: &Expr) -> bool {
    value.as_dict_expr().is_some_and(|dict| {
        dict.items.iter().all(|item| {
            let key = item.key.as_ref().and_then(Expr::as_string_literal_expr);
            key.is_some_and(|key| is_plain_name(key.value.to_str()))
        })
    })
}

fn is_plain_name(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(letters) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Whether a condition is `__name__ == "__main__"`.
pub(crate) fn is_main_guard(test: &Expr) -> bool {
    let Some(compare) = test.as_compare_expr() else { return false };
    let [right] = &*compare.comparators else { return false };
    let is_name =
        |side: &Expr| side.as_name_expr().is_some_and(|name| name.id.as_str() == "__name__");
    let is_main = |side: &Expr| {
        side.as_string_literal_expr().is_some_and(|text| text.value.to_str() == "__main__")
    };
    let equals = matches!(&*compare.ops, [ruff_python_ast::CmpOp::Eq]);
    equals && (is_name(&compare.left) && is_main(right) || is_main(&compare.left) && is_name(right))
}
