//! The part of Python and of the libraries beside PyTorch that a project may use, as data; what is not
//! here is refused.

/// Builtins, sorted.
#[rustfmt::skip] // one name a line would be hundreds of lines
pub(crate) const BUILTINS: &[&str] = &[
    "ArithmeticError", "AssertionError", "AttributeError", "BaseException", "BaseExceptionGroup",
    "BlockingIOError", "BrokenPipeError", "BufferError", "BytesWarning", "ChildProcessError",
    "ConnectionAbortedError", "ConnectionError", "ConnectionRefusedError", "ConnectionResetError",
    "DeprecationWarning", "EOFError", "Ellipsis", "EncodingWarning", "EnvironmentError",
    "Exception", "ExceptionGroup", "FileExistsError", "FileNotFoundError", "FloatingPointError",
    "FutureWarning", "IOError", "ImportError", "ImportWarning", "IndentationError", "IndexError",
    "InterruptedError", "IsADirectoryError", "KeyError", "LookupError", "MemoryError",
    "ModuleNotFoundError", "NameError", "NotADirectoryError", "NotImplemented",
    "NotImplementedError", "OSError", "OverflowError", "PendingDeprecationWarning",
    "PermissionError", "ProcessLookupError", "PythonFinalizationError", "RecursionError",
    "ReferenceError", "ResourceWarning", "RuntimeError", "RuntimeWarning", "StopAsyncIteration",
    "StopIteration", "SyntaxError", "SyntaxWarning", "SystemError", "TabError", "TimeoutError",
    "TypeError", "UnboundLocalError", "UnicodeDecodeError", "UnicodeEncodeError", "UnicodeError",
    "UnicodeTranslateError", "UnicodeWarning", "UserWarning", "ValueError", "Warning",
    "ZeroDivisionError", "__debug__", "__doc__", "__name__", "abs", "all", "any", "ascii", "bin",
    "bool", "bytearray", "bytes", "callable", "chr", "classmethod", "complex", "delattr", "dict",
    "divmod", "enumerate", "filter", "float", "format", "frozenset", "getattr", "hasattr", "hash",
    "hex", "id", "int", "isinstance", "issubclass", "iter", "len", "list", "map", "max", "min",
    "next", "object", "oct", "ord", "pow", "print", "property", "range", "repr", "reversed",
    "round", "set", "setattr", "slice", "sorted", "staticmethod", "str", "sum", "super", "tuple",
    "type", "zip",
];

/// Modules and their members, both sorted.
#[rustfmt::skip]
pub(crate) const LIBRARIES: &[(&str, &[&str])] = &[
    ("__future__", &[
        "absolute_import", "annotations", "division", "generator_stop", "generators",
        "nested_scopes", "print_function", "unicode_literals", "with_statement",
    ]),
    ("abc", &[
        "ABC", "ABCMeta", "abstractclassmethod", "abstractmethod", "abstractproperty",
        "abstractstaticmethod",
    ]),
    ("bisect", &[
        "bisect", "bisect_left", "bisect_right", "insort", "insort_left", "insort_right",
    ]),
    ("cmath", &[
        "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "e", "exp", "inf",
        "infj", "isclose", "isfinite", "isinf", "isnan", "log", "log10", "nan", "nanj", "phase",
        "pi", "polar", "rect", "sin", "sinh", "sqrt", "tan", "tanh", "tau",
    ]),
    ("collections", &[
        "ChainMap", "Counter", "OrderedDict", "defaultdict", "deque", "namedtuple",
    ]),
    ("collections.abc", &[
        "AsyncGenerator", "AsyncIterable", "AsyncIterator", "Awaitable", "Buffer", "ByteString",
        "Callable", "Collection", "Container", "Coroutine", "Generator", "Hashable", "ItemsView",
        "Iterable", "Iterator", "KeysView", "Mapping", "MappingView", "MutableMapping",
        "MutableSequence", "MutableSet", "Reversible", "Sequence", "Set", "Sized", "ValuesView",
    ]),
    ("contextlib", &[
        "AbstractContextManager", "ContextDecorator", "ExitStack", "asynccontextmanager",
        "closing", "contextmanager", "nullcontext", "suppress",
    ]),
    ("copy", &[
        "Error", "copy", "deepcopy", "replace",
    ]),
    ("dataclasses", &[
        "Field", "FrozenInstanceError", "InitVar", "KW_ONLY", "MISSING", "asdict", "astuple",
        "dataclass", "field", "fields", "is_dataclass", "replace",
    ]),
    ("enum", &[
        "Enum", "EnumMeta", "EnumType", "Flag", "IntEnum", "IntFlag", "ReprEnum", "StrEnum",
        "auto", "member", "nonmember", "property", "unique",
    ]),
    ("fractions", &[
        "Decimal", "Fraction",
    ]),
    ("functools", &[
        "cache", "cached_property", "cmp_to_key", "lru_cache", "partial", "partialmethod",
        "reduce", "total_ordering", "update_wrapper", "wraps",
    ]),
    ("heapq", &[
        "heapify", "heappop", "heappush", "heappushpop", "heapreplace", "merge", "nlargest",
        "nsmallest",
    ]),
    ("inspect", &[
        "Parameter", "Signature", "isclass", "isfunction", "signature",
    ]),
    ("itertools", &[
        "accumulate", "batched", "chain", "combinations", "combinations_with_replacement",
        "compress", "count", "cycle", "dropwhile", "filterfalse", "groupby", "islice", "pairwise",
        "permutations", "product", "repeat", "starmap", "takewhile", "tee", "zip_longest",
    ]),
    ("json", &[
        "JSONDecodeError", "dumps", "loads",
    ]),
    ("logging", &[
        "CRITICAL", "DEBUG", "ERROR", "INFO", "Logger", "NullHandler", "WARNING", "critical",
        "debug", "error", "getLogger", "info", "warning",
    ]),
    ("math", &[
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "comb",
        "copysign", "cos", "cosh", "degrees", "dist", "e", "erf", "erfc", "exp", "exp2", "expm1",
        "fabs", "factorial", "floor", "fma", "fmod", "frexp", "fsum", "gamma", "gcd", "hypot",
        "inf", "isclose", "isfinite", "isinf", "isnan", "isqrt", "lcm", "ldexp", "lgamma", "log",
        "log10", "log1p", "log2", "modf", "nan", "nextafter", "perm", "pi", "pow", "prod",
        "radians", "remainder", "sin", "sinh", "sqrt", "sumprod", "tan", "tanh", "tau", "trunc",
        "ulp",
    ]),
    ("numbers", &[
        "ABCMeta", "Complex", "Integral", "Number", "Rational", "Real", "abstractmethod",
    ]),
    ("numpy", &[
        "__version__", "abs", "absolute", "add", "all", "allclose", "amax", "amin", "any",
        "append", "arange", "arccos", "arcsin", "arctan", "arctan2", "argmax", "argmin",
        "argpartition", "argsort", "argwhere", "around", "array", "array_equal", "asarray",
        "ascontiguousarray", "atleast_1d", "atleast_2d", "bincount", "bitwise_and", "bitwise_or",
        "bitwise_xor", "bool_", "broadcast_to", "ceil", "clip", "column_stack", "complex128",
        "complex64", "concatenate", "copy", "corrcoef", "cos", "cosh", "cross", "cumprod",
        "cumsum", "deg2rad", "diag", "diff", "digitize", "divide", "dot", "dstack", "dtype", "e",
        "einsum", "empty", "empty_like", "equal", "exp", "expand_dims", "expm1", "eye", "finfo",
        "flatnonzero", "flip", "float16", "float32", "float64", "floating", "floor",
        "floor_divide", "full", "full_like", "gradient", "greater", "greater_equal", "hamming",
        "hanning", "histogram", "hstack", "hypot", "identity", "iinfo", "inf", "inner", "int16",
        "int32", "int64", "int8", "integer", "interp", "intp", "isclose", "isfinite", "isinf",
        "isnan", "isscalar", "kron", "less", "less_equal", "linspace", "log", "log10", "log1p",
        "log2", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor",
        "logspace", "matmul", "max", "maximum", "mean", "median", "meshgrid", "min", "minimum",
        "mod", "moveaxis", "multiply", "nan", "nan_to_num", "nanmean", "ndarray", "ndim",
        "negative", "newaxis", "nonzero", "norm", "not_equal", "number", "ones", "ones_like",
        "outer", "pad", "percentile", "pi", "power", "prod", "ptp", "quantile", "rad2deg",
        "ravel", "reciprocal", "remainder", "repeat", "reshape", "rint", "roll", "rollaxis",
        "rot90", "round", "searchsorted", "shape", "sign", "sin", "sinc", "sinh", "size", "sort",
        "split", "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum", "swapaxes",
        "take", "tan", "tanh", "tensordot", "tile", "trace", "transpose", "trapz", "tri", "tril",
        "tril_indices", "triu", "triu_indices", "uint16", "uint32", "uint64", "uint8", "unique",
        "unravel_index", "var", "vdot", "vectorize", "vstack", "where", "zeros", "zeros_like",
    ]),
    ("numpy.fft", &[
        "fft", "fft2", "fftfreq", "fftn", "fftshift", "ifft", "ifft2", "ifftn", "ifftshift",
        "irfft", "rfft", "rfftfreq",
    ]),
    ("numpy.linalg", &[
        "LinAlgError", "cholesky", "cond", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv",
        "lstsq", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet",
        "solve", "svd",
    ]),
    ("numpy.random", &[
        "Generator", "RandomState", "beta", "binomial", "choice", "default_rng", "dirichlet",
        "exponential", "gamma", "geometric", "gumbel", "laplace", "lognormal", "multinomial",
        "normal", "permutation", "poisson", "rand", "randint", "randn", "random", "random_sample",
        "seed", "shuffle", "standard_normal", "uniform",
    ]),
    ("numpy.typing", &[
        "ArrayLike", "DTypeLike", "NDArray",
    ]),
    ("operator", &[
        "abs", "add", "and_", "concat", "contains", "countOf", "delitem", "eq", "floordiv", "ge",
        "getitem", "gt", "iadd", "iand", "iconcat", "ifloordiv", "ilshift", "imatmul", "imod",
        "imul", "index", "indexOf", "inv", "invert", "ior", "ipow", "irshift", "is_", "is_not",
        "isub", "itemgetter", "itruediv", "ixor", "le", "length_hint", "lshift", "lt", "matmul",
        "mod", "mul", "ne", "neg", "not_", "or_", "pos", "pow", "rshift", "setitem", "sub",
        "truediv", "truth", "xor",
    ]),
    ("prism_challenge", &[

    ]),
    ("prism_challenge.evaluator", &[

    ]),
    ("prism_challenge.evaluator.interface", &[
        "PrismBatch", "PrismContext", "PrismModelModule", "TrainingRecipe", "import_torch",
    ]),
    ("random", &[
        "BPF", "LOG4", "NV_MAGICCONST", "RECIP_BPF", "Random", "SG_MAGICCONST", "TWOPI",
        "betavariate", "choice", "choices", "expovariate", "gammavariate", "gauss", "getrandbits",
        "getstate", "lognormvariate", "normalvariate", "paretovariate", "randbytes", "randint",
        "random", "randrange", "sample", "seed", "setstate", "shuffle", "triangular", "uniform",
        "vonmisesvariate", "weibullvariate",
    ]),
    ("re", &[
        "ASCII", "DOTALL", "I", "IGNORECASE", "M", "MULTILINE", "Match", "Pattern", "S",
        "VERBOSE", "X", "compile", "escape", "findall", "finditer", "fullmatch", "match",
        "search", "split", "sub", "subn",
    ]),
    ("statistics", &[
        "Counter", "Decimal", "Fraction", "LinearRegression", "NormalDist", "StatisticsError",
        "bisect_left", "bisect_right", "correlation", "covariance", "defaultdict", "erf", "exp",
        "fabs", "fmean", "fsum", "geometric_mean", "groupby", "harmonic_mean", "hypot",
        "linear_regression", "log", "mean", "median", "median_grouped", "median_high",
        "median_low", "mode", "mul", "multimode", "namedtuple", "pstdev", "pvariance",
        "quantiles", "reduce", "repeat", "sqrt", "stdev", "tau", "variance",
    ]),
    ("string", &[
        "ascii_letters", "ascii_lowercase", "ascii_uppercase", "digits", "hexdigits", "octdigits",
        "printable", "punctuation", "whitespace",
    ]),
    ("types", &[
        "EllipsisType", "GenericAlias", "MappingProxyType", "NoneType", "SimpleNamespace",
        "UnionType",
    ]),
    ("typing", &[
        "ABCMeta", "AbstractSet", "Annotated", "Any", "AnyStr", "AsyncContextManager",
        "AsyncGenerator", "AsyncIterable", "AsyncIterator", "Awaitable", "BinaryIO", "ByteString",
        "CT_co", "Callable", "ChainMap", "ClassVar", "Collection", "Concatenate", "Container",
        "ContextManager", "Coroutine", "Counter", "DefaultDict", "Deque", "Dict",
        "EXCLUDED_ATTRIBUTES", "Final", "FrozenSet", "Generator", "Generic", "GenericAlias",
        "Hashable", "IO", "ItemsView", "Iterable", "Iterator", "KT", "KeysView", "List",
        "Literal", "LiteralString", "Mapping", "MappingView", "Match", "MethodDescriptorType",
        "MethodWrapperType", "MutableMapping", "MutableSequence", "MutableSet", "NamedTuple",
        "NamedTupleMeta", "Never", "NewType", "NoReturn", "NotRequired", "Optional",
        "OrderedDict", "ParamSpec", "ParamSpecArgs", "ParamSpecKwargs", "Pattern", "Protocol",
        "ReadOnly", "Required", "Reversible", "Self", "Sequence", "Set", "Sized", "SupportsAbs",
        "SupportsBytes", "SupportsComplex", "SupportsFloat", "SupportsIndex", "SupportsInt",
        "SupportsRound", "T", "TYPE_CHECKING", "T_co", "T_contra", "Text", "TextIO", "Tuple",
        "Type", "TypeAlias", "TypeAliasType", "TypeGuard", "TypeIs", "TypeVar", "TypeVarTuple",
        "TypedDict", "Union", "Unpack", "VT", "VT_co", "V_co", "ValuesView",
        "WrapperDescriptorType", "abstractmethod", "assert_never", "assert_type", "cast",
        "clear_overloads", "dataclass_transform", "defaultdict", "final", "get_args",
        "get_origin", "get_overloads", "io", "is_typeddict", "no_type_check",
        "no_type_check_decorator", "overload", "override", "re", "reveal_type",
        "runtime_checkable",
    ]),
    ("typing_extensions", &[
        "ABCMeta", "AbstractSet", "Annotated", "Any", "AnyStr", "AsyncContextManager",
        "AsyncGenerator", "AsyncIterable", "AsyncIterator", "Awaitable", "BinaryIO", "ByteString",
        "CT_co", "Callable", "ChainMap", "ClassVar", "Collection", "Concatenate", "Container",
        "ContextManager", "Coroutine", "Counter", "DefaultDict", "Deque", "Dict",
        "EXCLUDED_ATTRIBUTES", "Final", "FrozenSet", "Generator", "Generic", "GenericAlias",
        "Hashable", "IO", "ItemsView", "Iterable", "Iterator", "KT", "KeysView", "List",
        "Literal", "LiteralString", "Mapping", "MappingView", "Match", "MethodDescriptorType",
        "MethodWrapperType", "MutableMapping", "MutableSequence", "MutableSet", "NamedTuple",
        "NamedTupleMeta", "Never", "NewType", "NoReturn", "NotRequired", "Optional",
        "OrderedDict", "ParamSpec", "ParamSpecArgs", "ParamSpecKwargs", "Pattern", "Protocol",
        "ReadOnly", "Required", "Reversible", "Self", "Sequence", "Set", "Sized", "SupportsAbs",
        "SupportsBytes", "SupportsComplex", "SupportsFloat", "SupportsIndex", "SupportsInt",
        "SupportsRound", "T", "TYPE_CHECKING", "T_co", "T_contra", "Text", "TextIO", "Tuple",
        "Type", "TypeAlias", "TypeAliasType", "TypeGuard", "TypeIs", "TypeVar", "TypeVarTuple",
        "TypedDict", "Union", "Unpack", "VT", "VT_co", "V_co", "ValuesView",
        "WrapperDescriptorType", "abstractmethod", "assert_never", "assert_type", "cast",
        "clear_overloads", "dataclass_transform", "defaultdict", "final", "get_args",
        "get_origin", "get_overloads", "io", "is_typeddict", "no_type_check",
        "no_type_check_decorator", "overload", "override", "re", "reveal_type",
        "runtime_checkable",
    ]),
    ("warnings", &[
        "catch_warnings", "filterwarnings", "simplefilter", "warn",
    ]),
];
