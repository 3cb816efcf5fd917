"""A contact sheet of dreams of every family: `python tests/parity/dreams.py FOLDER`.

FOLDER holds the networks that the originals saved (see run.py). Each dreams a still and ten frames
of a zoom through the command line. Their weights are random, so the dreams are of nothing: the
sheet shows that the whole of dreamvid runs on each, not what they would dream of.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).parent
PICTURE = HERE.parent.parent / "samples" / "sky.jpg"
# File -> layer.
NETWORKS = {
    "tensorflow_inception_graph.pb": "mixed4c",
    "bvlc_googlenet.caffemodel": "inception_4c/output",
    "torchvision_googlenet.pth": "inception4c",
    "torchvision_inception_v3.pth": "Mixed_6b",
    "timm_inception_v3.safetensors": "mixed5",
    "keras_inception_v3.h5": "mixed3",
    "keras_inception_v3.weights.h5": "mixed5",
}
FRAMES, WIDTH, HEIGHT = 10, 192, 128
# Pixels of the square that is shown of each picture, unscaled, and of the line above a row.
SHOWN, LINE = 96, 14


def dream(network: Path, layer: str, folder: Path) -> list[Image.Image]:
    """The still and the frames of one network."""
    picture = folder / "picture.png"
    Image.open(PICTURE).resize((WIDTH, HEIGHT)).save(picture)
    chosen = ("--model", str(network), "--layer", layer, "--octaves", "2")
    moving = (
        "--frames",
        str(FRAMES),
        "--size",
        f"{WIDTH}x{HEIGHT}",
        "--zoom",
        "1.05",
        "--steps",
        "4",
    )
    for words in (
        ("image", str(picture), "-o", str(folder / "still.png"), *chosen),
        ("zoom", str(picture), "-o", str(folder / "f%03d.png"), *moving, *chosen),
    ):
        subprocess.run([sys.executable, "-m", "dreamvid", *words], check=True)
    return [Image.open(path) for path in (folder / "still.png", *sorted(folder.glob("f*.png")))]


def main(folder: Path) -> None:
    """Dreams, and draws the sheet beside this file."""
    sheet = Image.new("RGB", ((FRAMES + 1) * SHOWN, len(NETWORKS) * (SHOWN + LINE)))
    draw = ImageDraw.Draw(sheet)
    left, top = (WIDTH - SHOWN) // 2, (HEIGHT - SHOWN) // 2
    for row, (name, layer) in enumerate(NETWORKS.items()):
        line = row * (SHOWN + LINE)
        draw.text((2, line + 1), f"{name}, {layer}: a still, and ten frames of a zoom", "white")
        with tempfile.TemporaryDirectory() as temporary:
            for column, picture in enumerate(dream(folder / name, layer, Path(temporary))):
                middle = picture.convert("RGB").crop((left, top, left + SHOWN, top + SHOWN))
                sheet.paste(middle, (column * SHOWN, line + LINE))
    sheet.save(HERE / "dreams.jpg", quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
