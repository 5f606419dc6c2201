from torch import nn

from . import scale

FACTORIES = {"layer": nn.LayerNorm, "rms": scale.RMSNorm}
FACTORIES["batch"] = nn.BatchNorm1d


def make_norm(name: str, width: int) -> nn.Module:
    assert name in FACTORIES, name
    return FACTORIES[name](width)
