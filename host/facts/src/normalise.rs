//! The normal form of a definition: a stream of tokens in which names of locals and of members are
//! numbers, references to the project are links, and comments, docstrings, annotations and the order
//! of methods are gone.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    BoolOp, CmpOp, Comprehension, ExceptHandler, Expr, ExprCall, InterpolatedStringElement,
    Keyword, Number, Operator, Parameters, Pattern, Stmt, StmtClassDef, StmtFunctionDef, UnaryOp,
};

use ruff_text_size::Ranged;

use crate::definitions::{Body, Definitions};
use crate::fingerprint::is_alias;
use crate::project::{Project, dotted_parts};
use crate::resolve::{Meaning, Resolver};
use crate::scope::{Scope, ScopeKind};
use crate::sketch::mix;

/// A definition in normal form.
#[derive(Default)]
pub(crate) struct Stream {
    /// Every token, with constants and numbered names.
    pub(crate) exact: Vec<u8>,
    /// The tokens without constants and without names of the project.
    pub(crate) loose: Vec<u64>,
    /// Where each of the loose tokens stands: the byte where the expression or statement around it begins.
    pub(crate) places: Vec<u32>,
    /// Definitions referred to, in order.
    pub(crate) references: Vec<usize>,
}

/// The normal form of the definition `index`.
pub(crate) fn normalise<'a>(
    project: &Project<'a>,
    definitions: &Definitions<'a>,
    members: &BTreeSet<&'a str>,
    index: usize,
) -> Stream {
    let Some(definition) = definitions.all.get(index) else { return Stream::default() };
    if is_alias(definition.body) {
        // What it stands for is followed wherever it is used.
        return Stream::default();
    }
    let mut normaliser = Normaliser {
        resolver: Resolver::new(project, definition.module),
        definitions,
        members,
        locals: BTreeMap::new(),
        attributes: BTreeMap::new(),
        stream: Stream::default(),
        place: definition.range().start().to_u32(),
    };
    match definition.body {
        Body::Function(function) => normaliser.visit_function(function),
        Body::Class(class) => normaliser.visit_top_level_class(class),
        Body::Value(value) => normaliser.visit_expr(value),
        Body::Statement(statement) => normaliser.visit_stmt(statement),
    }
    normaliser.stream
}

struct Normaliser<'p, 'a> {
    resolver: Resolver<'p, 'a>,
    definitions: &'p Definitions<'a>,
    members: &'p BTreeSet<&'a str>,
    locals: BTreeMap<&'a str, u64>,
    attributes: BTreeMap<&'a str, u64>,
    stream: Stream,
    /// Where what is being read begins.
    place: u32,
}

impl<'a> Normaliser<'_, 'a> {
    /// A token that both streams hold.
    fn token(&mut self, text: &str) {
        let hash = hash(text.as_bytes());
        self.exact(hash);
        self.loose(hash);
    }

    /// A token of which the loose stream holds only the kind.
    fn detail(&mut self, kind: &str, value: u64) {
        let kind = hash(kind.as_bytes());
        self.exact(mix(kind ^ mix(value)));
        self.loose(kind);
    }

    fn loose(&mut self, token: u64) {
        self.stream.loose.push(token);
        self.stream.places.push(self.place);
    }

    fn exact(&mut self, token: u64) {
        self.stream.exact.extend_from_slice(&token.to_le_bytes());
    }

    /// The end of a construct.
    fn close(&mut self) {
        self.exact(1);
    }

    fn local(&mut self, name: &'a str) {
        let next = self.locals.len() as u64;
        let number = *self.locals.entry(name).or_insert(next);
        self.detail("local", number);
    }

    fn member(&mut self, name: &'a str) {
        if !self.members.contains(name) {
            self.token(name);
            return;
        }
        let next = self.attributes.len() as u64;
        let number = *self.attributes.entry(name).or_insert(next);
        self.detail("member", number);
    }

    fn visit_dotted(&mut self, expression: &'a Expr) {
        let mut attributes = Vec::new();
        let mut base = expression;
        while let Expr::Attribute(attribute) = base {
            attributes.push(attribute.attr.as_str());
            base = &attribute.value;
        }
        attributes.reverse();
        let Expr::Name(name) = base else {
            self.visit_expr(base);
            return attributes.into_iter().for_each(|attribute| self.member(attribute));
        };
        let Meaning::Known(roots) = self.resolver.meaning(name.id.as_str(), None) else {
            self.local(name.id.as_str());
            return attributes.into_iter().for_each(|attribute| self.member(attribute));
        };
        for target in self.resolver.extend(&roots, &attributes.join(".")) {
            if !target.local {
                self.token(&target.name);
                continue;
            }
            self.token("project");
            let Some((found, length)) = self.definitions.named(&target.name) else { continue };
            self.stream.references.extend_from_slice(found);
            let beyond = target.name.get(length..).unwrap_or_default().matches('.').count();
            let kept = attributes.len().saturating_sub(beyond);
            attributes.iter().skip(kept).for_each(|attribute| self.member(attribute));
        }
    }

    fn visit_function(&mut self, function: &'a StmtFunctionDef) {
        self.token(if function.is_async { "async def" } else { "def" });
        for decorator in &function.decorator_list {
            self.visit_expr(&decorator.expression);
        }
        self.defaults(&function.parameters);
        let package = self.resolver.package();
        self.resolver.push(Scope::of_function(&function.parameters, &function.body, package));
        self.parameters(&function.parameters);
        self.visit_body(&function.body);
        self.resolver.pop();
        self.close();
    }

    fn defaults(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            if let Some(default) = parameter.default() {
                self.visit_expr(default);
            }
        }
    }

    fn parameters(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            let kind = match (parameter.is_variadic(), parameter.default().is_some()) {
                (true, _) => "variadic",
                (false, true) => "optional",
                (false, false) => "parameter",
            };
            self.token(kind);
            self.local(parameter.name().as_str());
        }
    }

    fn class_head(&mut self, class: &'a StmtClassDef) {
        self.token("class");
        for decorator in &class.decorator_list {
            self.visit_expr(&decorator.expression);
        }
        if let Some(arguments) = &class.arguments {
            self.visit_arguments(arguments);
        }
        let scope = Scope::of_body(ScopeKind::Class, &class.body, self.resolver.package());
        self.resolver.push(scope);
    }

    /// Methods in an order of their own: the constructor first, which names the members, then by what
    /// they do.
    fn visit_top_level_class(&mut self, class: &'a StmtClassDef) {
        self.class_head(class);
        let mut methods = Vec::new();
        for statement in &class.body {
            match statement {
                Stmt::FunctionDef(function) => methods.push((self.alone(function), function)),
                _ => self.visit_stmt(statement),
            }
        }
        methods.sort_by(|(left, _), (right, _)| left.cmp(right));
        for (_, function) in methods {
            self.member(function.name.as_str());
            self.visit_function(function);
        }
        self.resolver.pop();
        self.close();
    }

    /// What a method is by itself, and whether it is not the constructor.
    fn alone(&mut self, function: &'a StmtFunctionDef) -> (bool, Vec<u8>) {
        let outer = (
            std::mem::take(&mut self.stream),
            std::mem::take(&mut self.locals),
            std::mem::take(&mut self.attributes),
        );
        self.visit_function(function);
        let stream = std::mem::replace(&mut self.stream, outer.0);
        (self.locals, self.attributes) = (outer.1, outer.2);
        (function.name.as_str() != "__init__", stream.exact)
    }

    fn visit_nested_class(&mut self, class: &'a StmtClassDef) {
        self.class_head(class);
        self.visit_body(&class.body);
        self.resolver.pop();
        self.close();
    }

    fn visit_generators(&mut self, elements: &[&'a Expr], generators: &'a [Comprehension]) {
        self.token("comprehension");
        self.resolver.push(Scope::of_comprehension(generators));
        for generator in generators {
            self.token("for");
            self.visit_expr(&generator.iter);
            self.visit_expr(&generator.target);
            generator.ifs.iter().for_each(|condition| self.visit_expr(condition));
        }
        for element in elements {
            self.visit_expr(element);
        }
        self.resolver.pop();
        self.close();
    }

    fn visit_call(&mut self, call: &'a ExprCall) {
        self.token("call");
        self.visit_expr(&call.func);
        call.arguments.args.iter().for_each(|argument| self.visit_expr(argument));
        let named_by_others = self.is_from_outside(&call.func);
        for Keyword { arg, value, .. } in &call.arguments.keywords {
            match arg {
                // Only who defines a function names its parameters.
                Some(name) if named_by_others => self.token(name.as_str()),
                Some(_) => self.token("keyword"),
                None => self.token("keywords"),
            }
            self.visit_expr(value);
        }
        self.close();
    }

    fn is_from_outside(&self, callee: &Expr) -> bool {
        let Some((root, attributes)) = dotted_parts(callee) else { return false };
        match self.resolver.meaning(root, None) {
            Meaning::Known(roots) => {
                self.resolver.extend(&roots, &attributes).iter().any(|it| !it.local)
            }
            Meaning::Value | Meaning::Unbound => false,
        }
    }

    fn visit_constant(&mut self, expression: &Expr) {
        match expression {
            Expr::StringLiteral(text) => {
                self.detail("string", hash(text.value.to_str().as_bytes()));
            }
            Expr::NumberLiteral(number) => {
                let value = match &number.value {
                    Number::Int(value) => hash(value.to_string().as_bytes()),
                    Number::Float(value) => value.to_bits(),
                    Number::Complex { real, imag } => mix(real.to_bits()) ^ imag.to_bits(),
                };
                self.detail("number", value);
            }
            Expr::BooleanLiteral(value) => self.detail("boolean", u64::from(value.value)),
            Expr::NoneLiteral(_) => self.token("None"),
            Expr::EllipsisLiteral(_) => self.token("..."),
            Expr::BytesLiteral(bytes) => {
                let all: Vec<u8> = bytes.value.bytes().collect();
                self.detail("bytes", hash(&all));
            }
            _ => {}
        }
    }
}

impl<'a> Visitor<'a> for Normaliser<'_, 'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        self.place = statement.range().start().to_u32();
        match statement {
            Stmt::FunctionDef(function) => {
                self.local(function.name.as_str());
                self.visit_function(function);
            }
            Stmt::ClassDef(class) => {
                self.local(class.name.as_str());
                self.visit_nested_class(class);
            }
            Stmt::Import(_)
            | Stmt::ImportFrom(_)
            | Stmt::Pass(_)
            | Stmt::Global(_)
            | Stmt::Nonlocal(_) => {}
            Stmt::Expr(expression) if expression.value.is_literal_expr() => {}
            Stmt::AnnAssign(assign) => {
                self.token("assign");
                if let Some(value) = &assign.value {
                    self.visit_expr(value);
                }
                self.visit_expr(&assign.target);
                self.close();
            }
            _ => {
                self.token(statement_tag(statement));
                visitor::walk_stmt(self, statement);
                self.close();
            }
        }
    }

    fn visit_annotation(&mut self, _expression: &'a Expr) {}

    fn visit_expr(&mut self, expression: &'a Expr) {
        self.place = expression.range().start().to_u32();
        match expression {
            Expr::Name(_) | Expr::Attribute(_) => self.visit_dotted(expression),
            Expr::Call(call) => self.visit_call(call),
            Expr::Lambda(lambda) => {
                self.token("lambda");
                let parameters = lambda.parameters.as_deref();
                if let Some(parameters) = parameters {
                    self.defaults(parameters);
                }
                self.resolver.push(Scope::of_lambda(parameters, &lambda.body));
                if let Some(parameters) = parameters {
                    self.parameters(parameters);
                }
                self.visit_expr(&lambda.body);
                self.resolver.pop();
                self.close();
            }
            Expr::ListComp(it) => self.visit_generators(&[&it.elt], &it.generators),
            Expr::SetComp(it) => self.visit_generators(&[&it.elt], &it.generators),
            Expr::Generator(it) => self.visit_generators(&[&it.elt], &it.generators),
            Expr::DictComp(it) => match &it.key {
                Some(key) => self.visit_generators(&[key, &it.value], &it.generators),
                None => self.visit_generators(&[&it.value], &it.generators),
            },
            _ if expression.is_literal_expr() => self.visit_constant(expression),
            _ => {
                self.token(expression_tag(expression));
                visitor::walk_expr(self, expression);
                self.close();
            }
        }
    }

    fn visit_bool_op(&mut self, operator: &'a BoolOp) {
        self.token(operator.as_str());
    }

    fn visit_operator(&mut self, operator: &'a Operator) {
        self.token(operator.as_str());
    }

    fn visit_unary_op(&mut self, operator: &'a UnaryOp) {
        self.token(operator.as_str());
    }

    fn visit_cmp_op(&mut self, operator: &'a CmpOp) {
        self.token(operator.as_str());
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        self.token("except");
        visitor::walk_except_handler(self, handler);
        self.close();
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        self.token("pattern");
        let name = match pattern {
            Pattern::MatchAs(capture) => capture.name.as_ref(),
            Pattern::MatchStar(capture) => capture.name.as_ref(),
            Pattern::MatchMapping(capture) => capture.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.local(name.as_str());
        }
        visitor::walk_pattern(self, pattern);
        self.close();
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        if let InterpolatedStringElement::Literal(literal) = element {
            self.detail("string", hash(literal.value.as_bytes()));
        }
        visitor::walk_interpolated_string_element(self, element);
    }
}

fn statement_tag(statement: &Stmt) -> &'static str {
    match statement {
        Stmt::Return(_) => "return",
        Stmt::Delete(_) => "del",
        Stmt::Assign(_) => "assign",
        Stmt::AugAssign(_) => "augmented",
        Stmt::For(_) => "for",
        Stmt::While(_) => "while",
        Stmt::If(_) => "if",
        Stmt::With(_) => "with",
        Stmt::Match(_) => "match",
        Stmt::Raise(_) => "raise",
        Stmt::Try(_) => "try",
        Stmt::Assert(_) => "assert",
        Stmt::Expr(_) => "expression",
        Stmt::Break(_) => "break",
        Stmt::Continue(_) => "continue",
        _ => "statement",
    }
}

fn expression_tag(expression: &Expr) -> &'static str {
    match expression {
        Expr::BoolOp(_) => "logic",
        Expr::Named(_) => "walrus",
        Expr::BinOp(_) => "binary",
        Expr::UnaryOp(_) => "unary",
        Expr::If(_) => "choice",
        Expr::Dict(_) => "dict",
        Expr::Set(_) => "set",
        Expr::Await(_) => "await",
        Expr::Yield(_) => "yield",
        Expr::YieldFrom(_) => "yield from",
        Expr::Compare(_) => "compare",
        Expr::FString(_) => "f-string",
        Expr::TString(_) => "t-string",
        Expr::Subscript(_) => "item",
        Expr::Starred(_) => "star",
        Expr::List(_) => "list",
        Expr::Tuple(_) => "tuple",
        Expr::Slice(_) => "slice",
        _ => "expr",
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
