"""Names to classes."""
_REGISTRY = {}


def register(name):
    def wrap(cls):
        if name in _REGISTRY:
            raise KeyError(f"{name} is taken by {_REGISTRY[name].__name__}")
        _REGISTRY[name] = cls
        return cls

    return wrap


def create(name, *args, **kwargs):
    return _REGISTRY[name](*args, **kwargs)
