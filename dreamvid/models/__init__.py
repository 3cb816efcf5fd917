"""Networks: what a model is (spec) and the definitions that build them."""

from dreamvid.models import inception_v1 as inception_v1
from dreamvid.models.spec import ARCHITECTURES as ARCHITECTURES
from dreamvid.models.spec import LayerInfo as LayerInfo
from dreamvid.models.spec import Model as Model
from dreamvid.models.spec import ModelSpec as ModelSpec
