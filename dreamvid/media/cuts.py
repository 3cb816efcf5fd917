"""The cuts of a film: where one shot ends and another begins."""

from fractions import Fraction

import cv2
import numpy as np

WINDOW = 2
"""Pictures before and after one that it is compared with."""


class CutFinder:
    """Is shown the pictures of a film one by one, and tells where it cuts.

    A picture begins a shot if it differs from the one before three times as much as those around it
    do from theirs. So pans, fades and a shaking camera are no cuts.
    """

    def __init__(self) -> None:
        from scenedetect.detectors import AdaptiveDetector  # here, since it is slow to import

        self._detector = AdaptiveDetector(
            adaptive_threshold=3.0, min_scene_len=1, window_width=WINDOW, min_content_val=15.0
        )
        self._shown = 0
        self._cuts: list[int] = []

    def look(self, picture: np.ndarray) -> None:
        """Shows it the next picture: uint8 (h, w, 3), BGR, which may be a small copy."""
        if self._shown:
            height, width = self._last.shape[:2]
            picture = cv2.resize(picture, (width, height))  # few films change their size
        # At its ends the film stands still, so that all pictures have others around them.
        for _ in range(1 if self._shown else 1 + WINDOW):
            self._show(picture)
        self._last = picture

    def finish(self) -> tuple[int, ...]:
        """The numbers of the pictures that begin a shot, but the first."""
        for _ in range(WINDOW if self._shown else 0):
            self._show(self._last)
        return tuple(self._cuts)

    def _show(self, picture: np.ndarray) -> None:
        from scenedetect.common import FrameTimecode

        now = FrameTimecode(self._shown, Fraction(25))  # it only counts, at any rate
        found = self._detector.process_frame(now, picture)
        self._cuts += [cut.frame_num - WINDOW for cut in found]
        self._shown += 1
