"""Text in the EXIF of a picture."""

from PIL import Image as Pillow

DESCRIPTION = 0x010E
"""The tag of the text."""


def pack(text: str) -> bytes:
    """EXIF with a text in it, as it lies in a PNG and in a WebP."""
    exif = Pillow.Exif()
    exif[DESCRIPTION] = text.encode()  # of a str, Pillow would keep the ASCII only
    return exif.tobytes().removeprefix(b"Exif\0\0")


def unpack(described: str) -> str:
    """The text, of what Pillow makes of it."""
    try:
        return described.encode("latin-1").decode()
    except UnicodeError:
        return described  # another program's
