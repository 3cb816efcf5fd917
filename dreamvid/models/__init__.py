"""Networks: their facts (spec), their tables (inception_v1, inception_v3), and what runs them."""

from typing import TypeAlias

from dreamvid.models import inception_v1 as inception_v1
from dreamvid.models import inception_v3 as inception_v3
from dreamvid.models.model import Model as Model
from dreamvid.models.network import ARCHITECTURES as ARCHITECTURES
from dreamvid.models.own import OwnModel as OwnModel
from dreamvid.models.spec import LayerInfo as LayerInfo
from dreamvid.models.spec import ModelSpec as ModelSpec

AnyModel: TypeAlias = Model | OwnModel
"""What can dream: a network from a file, or one of the user's own."""
