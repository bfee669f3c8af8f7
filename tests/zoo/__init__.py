"""A zoo of small networks, each a variation on a structure that people use, with its trap named."""

from tests.zoo.dense import DENSE
from tests.zoo.duplicates import duplicate, with_duplicates
from tests.zoo.encoders import ENCODERS
from tests.zoo.entry import Entry, call
from tests.zoo.gated import GATED
from tests.zoo.mobile import MOBILE
from tests.zoo.odd import ODD
from tests.zoo.plain import PLAIN
from tests.zoo.residual import RESIDUAL
from tests.zoo.signals import SIGNALS
from tests.zoo.traced import sites_of, traced
from tests.zoo.transformers import TRANSFORMERS
from tests.zoo.vision_transformers import VISION_TRANSFORMERS

__all__ = ["ZOO", "Entry", "call", "duplicate", "sites_of", "traced", "with_duplicates"]

ZOO: dict[str, Entry] = {
    **PLAIN,
    **RESIDUAL,
    **GATED,
    **MOBILE,
    **DENSE,
    **ENCODERS,
    **SIGNALS,
    **VISION_TRANSFORMERS,
    **TRANSFORMERS,
    **ODD,
}
