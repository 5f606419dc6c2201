//! The normal form of a definition: a stream of tokens in which names of locals and of members are
//! numbers, references to the project are links, and comments, docstrings, annotations and the order
//! of methods are gone.

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    BoolOp, CmpOp, Comprehension, ExceptHandler, Expr, ExprCall, InterpolatedStringElement,
    Keyword, Number, Operator, Parameters, Pattern, Stmt, StmtClassDef, StmtFunctionDef, UnaryOp,
};

use ruff_text_size::Ranged;

use crate::definitions::{Body, Definitions};
use crate::fingerprint::is_alias;
use crate::key::Key;
use crate::project::{Project, dotted_path};
use crate::resolve::{Meaning, Resolver};
use crate::scope::Scope;
use crate::stream::{Numbers, Stream, Tag};

/// The normal form of the definition `index`.
pub(crate) fn normalise<'a>(
    project: &Project<'a>,
    definitions: &Definitions<'a>,
    members: &BTreeSet<Key<'a>>,
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
        names: Names::default(),
        stream: Stream::with_capacity(extent(definition.body)),
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

/// Bytes of a definition's text that its stream holds itself; a class takes over those of its methods.
fn extent(body: Body<'_>) -> usize {
    let range = match body {
        Body::Function(function) => function.range(),
        Body::Class(class) => class.range(),
        Body::Value(value) => value.range(),
        Body::Statement(statement) => statement.range(),
    };
    range.len().to_usize()
}

struct Normaliser<'p, 'a> {
    resolver: Resolver<'p, 'a>,
    definitions: &'p Definitions<'a>,
    members: &'p BTreeSet<Key<'a>>,
    names: Names<'a>,
    stream: Stream,
    /// Where what is being read begins.
    place: u32,
}

/// The names that are numbers. In a method, those are shared that mean the same in the others.
#[derive(Default)]
struct Names<'a> {
    locals: Numbers<'a>,
    members: Numbers<'a>,
}

/// A method as it is by itself.
struct Method<'a> {
    name: &'a str,
    stream: Stream,
    names: Names<'a>,
}

impl<'a> Normaliser<'_, 'a> {
    fn tag(&mut self, tag: Tag) {
        self.stream.tag(tag, self.place);
    }

    fn local(&mut self, name: &'a str) {
        let number = self.local_number(Key::new(name));
        self.tag(Tag::Local);
        self.stream.numbers([number]);
    }

    fn local_number(&mut self, name: Key<'a>) -> u64 {
        let resolver = &self.resolver;
        self.names.locals.number(name, || !resolver.is_bound_in_function(name))
    }

    fn member(&mut self, name: &'a str) {
        let key = Key::new(name);
        if !self.members.contains(&key) {
            return self.stream.name(name, self.place);
        }
        let number = self.names.members.number(key, || true);
        self.tag(Tag::Member);
        self.stream.numbers([number]);
    }

    /// A dotted name, or attributes of something else. Tells whether it may come from outside the project.
    fn visit_dotted(&mut self, expression: &'a Expr) -> bool {
        let (base, attributes) = dotted_path(expression);
        let known = if let Expr::Name(name) = base {
            match self.resolver.meaning(name.id.as_str(), None) {
                Meaning::Known(roots) => Some(roots),
                Meaning::Value | Meaning::Unbound => {
                    self.local(name.id.as_str());
                    None
                }
            }
        } else {
            self.visit_expr(base);
            None
        };
        let Some(roots) = known else {
            attributes.into_iter().for_each(|attribute| self.member(attribute));
            return false;
        };
        let targets = self.resolver.extend(&roots, &attributes);
        for target in targets.iter() {
            if !target.local {
                self.stream.name(&target.name, self.place);
                continue;
            }
            self.tag(Tag::Project);
            let Some((group, length)) = self.definitions.named(&target.name) else { continue };
            self.stream.references.push(group);
            let beyond = target.name.get(length..).unwrap_or_default().matches('.').count();
            let kept = attributes.len().saturating_sub(beyond);
            attributes.iter().skip(kept).for_each(|attribute| self.member(attribute));
        }
        targets.iter().any(|target| !target.local)
    }

    fn visit_function(&mut self, function: &'a StmtFunctionDef) {
        self.tag(if function.is_async { Tag::AsyncDef } else { Tag::Def });
        for decorator in &function.decorator_list {
            self.visit_expr(&decorator.expression);
        }
        self.defaults(&function.parameters);
        self.resolver.push_function(function);
        self.parameters(&function.parameters);
        self.visit_body(&function.body);
        self.resolver.pop();
        self.stream.close();
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
            self.tag(match (parameter.is_variadic(), parameter.default().is_some()) {
                (true, _) => Tag::Variadic,
                (false, true) => Tag::Optional,
                (false, false) => Tag::Parameter,
            });
            self.local(parameter.name().as_str());
        }
    }

    fn class_head(&mut self, class: &'a StmtClassDef) {
        self.tag(Tag::Class);
        for decorator in &class.decorator_list {
            self.visit_expr(&decorator.expression);
        }
        if let Some(arguments) = &class.arguments {
            self.visit_arguments(arguments);
        }
        self.resolver.push_class(class);
    }

    /// Methods in an order of their own: the constructor first, which names the members, then by what
    /// they do.
    fn visit_top_level_class(&mut self, class: &'a StmtClassDef) {
        self.class_head(class);
        let mut methods = Vec::new();
        for statement in &class.body {
            match statement {
                Stmt::FunctionDef(function) => methods.push(self.method(function)),
                _ => self.visit_stmt(statement),
            }
        }
        methods.sort_by(|left, right| left.order().cmp(&right.order()));
        for method in methods {
            self.place = method.stream.places.first().copied().unwrap_or(self.place);
            self.member(method.name);
            self.stream.append(method.stream);
            // What the numbers in it are to the other methods.
            let Names { locals, members } = method.names;
            self.stream.numbers([locals.shared.len() as u64, members.shared.len() as u64]);
            for name in locals.shared {
                let number = self.local_number(name);
                self.stream.numbers([number]);
            }
            for name in members.shared {
                let number = self.names.members.number(name, || true);
                self.stream.numbers([number]);
            }
        }
        self.resolver.pop();
        self.stream.close();
    }

    fn method(&mut self, function: &'a StmtFunctionDef) -> Method<'a> {
        let stream = Stream::with_capacity(function.range().len().to_usize());
        let outer = (std::mem::replace(&mut self.stream, stream), std::mem::take(&mut self.names));
        self.visit_function(function);
        Method {
            name: function.name.as_str(),
            stream: std::mem::replace(&mut self.stream, outer.0),
            names: std::mem::replace(&mut self.names, outer.1),
        }
    }

    fn visit_nested_class(&mut self, class: &'a StmtClassDef) {
        self.class_head(class);
        self.visit_body(&class.body);
        self.resolver.pop();
        self.stream.close();
    }

    fn visit_generators(&mut self, elements: &[&'a Expr], generators: &'a [Comprehension]) {
        self.tag(Tag::Comprehension);
        self.resolver.push(Scope::of_comprehension(generators));
        for generator in generators {
            self.tag(Tag::Generator);
            self.visit_expr(&generator.iter);
            self.visit_expr(&generator.target);
            generator.ifs.iter().for_each(|condition| self.visit_expr(condition));
        }
        for element in elements {
            self.visit_expr(element);
        }
        self.resolver.pop();
        self.stream.close();
    }

    fn visit_call(&mut self, call: &'a ExprCall) {
        self.tag(Tag::Call);
        self.place = call.func.range().start().to_u32();
        let named_by_others = if matches!(&*call.func, Expr::Name(_) | Expr::Attribute(_)) {
            self.visit_dotted(&call.func)
        } else {
            self.visit_expr(&call.func);
            false
        };
        call.arguments.args.iter().for_each(|argument| self.visit_expr(argument));
        for Keyword { arg, value, .. } in &call.arguments.keywords {
            match arg {
                // Only who defines a function names its parameters.
                Some(name) if named_by_others => self.stream.name(name.as_str(), self.place),
                Some(_) => self.tag(Tag::Keyword),
                None => self.tag(Tag::Keywords),
            }
            self.visit_expr(value);
        }
        self.stream.close();
    }

    fn visit_lambda(&mut self, parameters: Option<&'a Parameters>, body: &'a Expr) {
        self.tag(Tag::Lambda);
        if let Some(parameters) = parameters {
            self.defaults(parameters);
        }
        self.resolver.push(Scope::of_lambda(parameters, body));
        if let Some(parameters) = parameters {
            self.parameters(parameters);
        }
        self.visit_expr(body);
        self.resolver.pop();
        self.stream.close();
    }

    fn visit_text(&mut self, text: &str) {
        self.tag(Tag::Text);
        self.stream.bytes(text.as_bytes());
    }

    fn visit_constant(&mut self, expression: &Expr) {
        match expression {
            Expr::StringLiteral(text) => self.visit_text(text.value.to_str()),
            Expr::NumberLiteral(number) => {
                self.tag(Tag::Number);
                match &number.value {
                    Number::Int(value) => match value.as_u64() {
                        Some(value) => self.stream.numbers([0, value]),
                        None => self.stream.bytes(value.to_string().as_bytes()),
                    },
                    Number::Float(value) => self.stream.numbers([1, value.to_bits()]),
                    Number::Complex { real, imag } => {
                        self.stream.numbers([2, real.to_bits(), imag.to_bits()]);
                    }
                }
            }
            Expr::BooleanLiteral(value) => {
                self.tag(Tag::Boolean);
                self.stream.numbers([u64::from(value.value)]);
            }
            Expr::NoneLiteral(_) => self.tag(Tag::None),
            Expr::EllipsisLiteral(_) => self.tag(Tag::Ellipsis),
            Expr::BytesLiteral(bytes) => {
                self.tag(Tag::Bytes);
                let all: Vec<u8> = bytes.value.bytes().collect();
                self.stream.bytes(&all);
            }
            _ => {}
        }
    }
}

impl Method<'_> {
    /// Where it stands among the others of its class.
    fn order(&self) -> (bool, &[u8]) {
        (self.name != "__init__", &self.stream.exact)
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
                self.tag(Tag::Assign);
                if let Some(value) = &assign.value {
                    self.visit_expr(value);
                }
                self.visit_expr(&assign.target);
                self.stream.close();
            }
            _ => {
                self.tag(statement_tag(statement));
                visitor::walk_stmt(self, statement);
                self.stream.close();
            }
        }
    }

    fn visit_annotation(&mut self, _expression: &'a Expr) {}

    fn visit_expr(&mut self, expression: &'a Expr) {
        self.place = expression.range().start().to_u32();
        match expression {
            Expr::Name(_) | Expr::Attribute(_) => {
                self.visit_dotted(expression);
            }
            Expr::Call(call) => self.visit_call(call),
            Expr::Lambda(lambda) => {
                self.visit_lambda(lambda.parameters.as_deref(), &lambda.body);
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
                self.tag(expression_tag(expression));
                visitor::walk_expr(self, expression);
                self.stream.close();
            }
        }
    }

    fn visit_bool_op(&mut self, operator: &'a BoolOp) {
        self.stream.operator(Tag::LogicOperator, *operator as u8, self.place);
    }

    fn visit_operator(&mut self, operator: &'a Operator) {
        self.stream.operator(Tag::BinaryOperator, *operator as u8, self.place);
    }

    fn visit_unary_op(&mut self, operator: &'a UnaryOp) {
        self.stream.operator(Tag::UnaryOperator, *operator as u8, self.place);
    }

    fn visit_cmp_op(&mut self, operator: &'a CmpOp) {
        self.stream.operator(Tag::Comparison, *operator as u8, self.place);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        self.tag(Tag::Except);
        visitor::walk_except_handler(self, handler);
        self.stream.close();
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        self.tag(Tag::Pattern);
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
        self.stream.close();
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        if let InterpolatedStringElement::Literal(literal) = element {
            self.visit_text(&literal.value);
        }
        visitor::walk_interpolated_string_element(self, element);
    }
}

fn statement_tag(statement: &Stmt) -> Tag {
    match statement {
        Stmt::Return(_) => Tag::Return,
        Stmt::Delete(_) => Tag::Delete,
        Stmt::Assign(_) => Tag::Assign,
        Stmt::AugAssign(_) => Tag::Augmented,
        Stmt::For(_) => Tag::For,
        Stmt::While(_) => Tag::While,
        Stmt::If(_) => Tag::If,
        Stmt::With(_) => Tag::With,
        Stmt::Match(_) => Tag::Match,
        Stmt::Raise(_) => Tag::Raise,
        Stmt::Try(_) => Tag::Try,
        Stmt::Assert(_) => Tag::Assert,
        Stmt::Expr(_) => Tag::Expression,
        Stmt::Break(_) => Tag::Break,
        Stmt::Continue(_) => Tag::Continue,
        _ => Tag::Statement,
    }
}

fn expression_tag(expression: &Expr) -> Tag {
    match expression {
        Expr::BoolOp(_) => Tag::Logic,
        Expr::Named(_) => Tag::Walrus,
        Expr::BinOp(_) => Tag::Binary,
        Expr::UnaryOp(_) => Tag::Unary,
        Expr::If(_) => Tag::Choice,
        Expr::Dict(_) => Tag::Dict,
        Expr::Set(_) => Tag::Set,
        Expr::Await(_) => Tag::Await,
        Expr::Yield(_) => Tag::Yield,
        Expr::YieldFrom(_) => Tag::YieldFrom,
        Expr::Compare(_) => Tag::Compare,
        Expr::FString(_) => Tag::FString,
        Expr::TString(_) => Tag::TString,
        Expr::Subscript(_) => Tag::Item,
        Expr::Starred(_) => Tag::Star,
        Expr::List(_) => Tag::List,
        Expr::Tuple(_) => Tag::Tuple,
        Expr::Slice(_) => Tag::Slice,
        _ => Tag::Other,
    }
}
