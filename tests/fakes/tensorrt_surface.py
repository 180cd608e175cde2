"""A library in the clothes of another version: what that version lacks is not there.

`dressed(library, surfaces, version)` wraps a library so that every class and member that the code
reaches for is looked up in that version's surface. One that is not there raises AttributeError, as
it would under that version; all others are kept in `touched`.
"""

from __future__ import annotations

from types import SimpleNamespace

RAW = {"Dims", "Dims2", "Dims3", "Dims4", "IHostMemory", "Weights", "Severity", "ErrorCode"}
"""Values, not surfaces: sequences, buffers and nested enums."""

UNLISTED = {"name"}
"""The surfaces leave out `name` everywhere, also where tensorrt_rtx itself has it."""


class Surface:
    def __init__(self, classes, known):
        self.classes, self.known = classes, known
        self.touched, self.lacked = set(), set()

    def look(self, cls, member):
        if member.startswith("__") or member in UNLISTED:
            return
        if member not in self.classes[cls]:
            self.lacked.add((cls, member))
            raise AttributeError(f"{cls} has no {member} in this version")
        self.touched.add((cls, member))

    def wrap(self, value):
        if isinstance(value, list | tuple):
            return type(value)(self.wrap(item) for item in value)
        kind = value if isinstance(value, type) else type(value)
        name = getattr(kind, "surface_class", kind.__name__)
        foreign = kind.__module__.startswith("tensorrt") or hasattr(kind, "surface_class")
        is_member = hasattr(kind, "__members__") and not isinstance(value, type)
        if not foreign or is_member or name in RAW:
            return value
        assert name in self.known, f"{name} is in no surface: add it to scripts/trim_surfaces.py"
        return Dressed(value, self, name)


class Dressed:
    def __init__(self, real, surface, cls):
        self.__dict__.update(_real=real, _surface=surface, _cls=cls)

    def __getattr__(self, name):
        self._surface.look(self._cls, name)
        value = getattr(self._real, name)
        is_method = callable(value) and not isinstance(value, type)
        return Function(value, self._surface) if is_method else self._surface.wrap(value)

    def __setattr__(self, name, value):
        if name == "__class__":  # a layer seen as its own kind
            self._real.__class__ = bare(value)
            self.__dict__["_cls"] = value._cls
            return
        self._surface.look(self._cls, name)
        setattr(self._real, name, bare(value))

    def __call__(self, *args):
        return self._surface.wrap(self._real(*map(bare, args)))

    def __mro_entries__(self, bases):
        return (self._real,)


class Function:
    """A bound method of a dressed object, which takes and gives dressed objects."""

    def __init__(self, real, surface):
        self._real, self._surface = real, surface

    def __call__(self, *args):
        return self._surface.wrap(self._real(*map(bare, args)))


def bare(value):
    if isinstance(value, Dressed):
        return value._real
    if isinstance(value, list | tuple):
        return type(value)(map(bare, value))
    return value


class _Library:
    def __init__(self, real, surface, version, stand_ins):
        self.__dict__.update(_real=real, surface=surface, __version__=version, _stand_ins=stand_ins)

    def __getattr__(self, name):
        surface = self.surface
        assert name in surface.known, f"{name} is in no surface: add it to scripts/trim_surfaces.py"
        if name not in surface.classes:
            surface.lacked.add(("", name))
            raise AttributeError(f"there is no {name} in this version")
        surface.touched.add(("", name))
        return surface.wrap(self._stand_ins.get(name) or getattr(self._real, name))


def dressed(real, surfaces, version, **stand_ins):
    """Return `real`, or the classes that stand in for its own, as `version` of `surfaces`."""
    known = {name for classes in surfaces.values() for name in classes}
    surface = Surface(surfaces[version], known)
    return _Library(real or SimpleNamespace(), surface, version.split()[1], stand_ins)
