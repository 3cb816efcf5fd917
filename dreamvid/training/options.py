"""The options of a training; no JAX here, so that --help stays quick."""

from dataclasses import dataclass

from dreamvid.fields import Options, option


@dataclass(frozen=True)
class Training(Options):
    """How a network is trained."""

    width: float = option(
        0.5, "Channels of the network, over those of the paper's Inception V1.", low=0.125, high=2
    )
    size: int = option(128, "Side of the pictures it is trained on, in pixels.", low=32, high=512)
    first_size: int | None = option(
        None,
        "Side at the beginning, which grows to --size in steps of 16 pixels: small pictures are "
        "quicker to learn from.",
        low=32,
        high=512,
        unset="none",
    )
    epochs: int = option(60, "How often all pictures are seen.", low=1, high=100_000)
    last_epoch: int | None = option(
        None,
        "End after this one, though the rate's course goes on to the last of --epochs: while it is "
        "high, forms stay simple, and dreams are clearer than those of a network that tells "
        "pictures apart a little better.",
        low=1,
        high=100_000,
        unset="none",
    )
    batch: int | None = option(
        None,
        "Pictures in a step; auto is 64, or fewer, so that an epoch of few has 16 steps.",
        low=2,
        high=8192,
        unset="auto",
    )
    seed: int = option(0, "Randomness; the same seed, the same network.", low=0, high=2**32 - 1)

    robust: float | None = option(
        None,
        "Radius of the adversaries that it learns to resist, which gives dreams their forms, "
        "pixels being from 0 to 1; auto is 1 in l2, 0.008 in linf. 0 trains plainly, which tells "
        "pictures apart better.",
        low=0,
        high=1000,
        unset="auto",
    )
    norm: str = option(
        "l2",
        "How that radius is measured: over the picture (l2), or for each value of it (linf).",
        choices=("l2", "linf"),
    )
    attack: str = option(
        "free",
        "How adversaries are made: by the way, from the gradient of the training step itself, "
        "while each batch is seen several times (free); in a step of their own (fast); or in "
        "several (pgd).",
        choices=("free", "fast", "pgd"),
    )
    attack_steps: int = option(2, "How often free sees each batch; steps of pgd.", low=1, high=1000)
    plain: float = option(
        0.35, "Share of the epochs at the beginning without adversaries.", low=0, high=1
    )

    auxiliary: float = option(
        0.3,
        "Weight of a second classifier, on mixed4c, which makes layers in the middle know things; "
        "it is no part of the network that is kept.",
        low=0,
        high=10,
    )

    optimizer: str = option("sgd", "What turns gradients into changes.", choices=("sgd", "adamw"))
    rate: float | None = option(
        None,
        "Highest learning rate; auto is 0.1 for sgd and 0.002 for adamw in steps of 64 pictures, "
        "less in smaller ones, and a fifth with --from.",
        above=0,
        high=10,
        unset="auto",
    )
    schedule: str = option(
        "onecycle",
        "The rate's course: up and down again (onecycle), or down from the start (cosine).",
        choices=("onecycle", "cosine"),
    )
    precision: str = option(
        "auto",
        "Numbers that it computes with; auto is bfloat16 on GPUs and TPUs, float32 on CPUs.",
        choices=("auto", "float32", "bfloat16"),
    )

    least_area: float = option(0.35, "Least share of a picture that a crop keeps.", above=0, high=1)
    flip: bool = option(True, "Mirror every other picture.")
    colour: float = option(
        0.2, "How far brightness, contrast and colourfulness are changed.", low=0, high=1
    )
    balance: float = option(
        0.5,
        "How even classes are made, by seeing small ones more often: 0 not at all, 1 all alike.",
        low=0,
        high=1,
    )
    pretext: str = option(
        "rotations",
        "What is learned from a folder without class folders: to tell which way up a picture is, "
        "or which picture a crop is from.",
        choices=("rotations", "crops"),
    )

    validation: float = option(
        0.1, "Share of each class that is held out, to watch for overfitting.", above=0, high=0.5
    )
    weight_decay: float | None = option(
        None,
        "Pull of the kernels towards 0, a Gaussian prior; auto is 0.0005 for sgd, 0.05 for adamw.",
        low=0,
        high=10,
        unset="auto",
    )
    dropout: float = option(
        0.2, "Share of the last layer's channels left out in a step.", low=0, high=0.95
    )
    smoothing: float = option(
        0.1, "Share of certainty that is spread over all classes.", low=0, high=0.9
    )
    ema: float = option(
        0.998,
        "Weight averaging: how much of the average stays in a step; the average is what is kept.",
        low=0,
        high=0.99999,
    )
    patience: int | None = option(
        None,
        "Early stopping: after so many epochs without progress in validation; never where none.",
        low=1,
        high=100_000,
        unset="none",
    )
    prune: float = option(
        0.0,
        "Share of the kernels' values, the smallest, that is set to 0 afterwards.",
        low=0,
        high=0.99,
    )
    prune_epochs: int = option(
        5, "Epochs of fine-tuning after that, which keep the zeros.", low=0, high=10_000
    )

    half: bool = option(False, "Store numbers of 16 bits: half the size, at nearly the same dream.")
    licence: str = option("unknown", "Under which the network may be used; written into its file.")
    origin: str = option("", "What else to say of its data; written into its file.")

    @property
    def last(self) -> int:
        """The epoch that it ends with, counted from 1."""
        return self.last_epoch or self.epochs
