"""Progress of a render, out of the statistics that Blender hands to its handlers while it works."""

import re
import time

from blend_scene import say

SAMPLE = re.compile(r"Sample (\d+)/(\d+)")
TILE = re.compile(r"Rendered (\d+)/(\d+) Tiles")
REPORT_INTERVAL = 0.2  # seconds between two reports, so that a fast render does not flood its reader


class Reporter:
    """Turns Blender's statistics into lines of progress over all frames; it never goes back."""

    def __init__(self, *, layers: int, frames: int) -> None:
        self.layers, self.frames = max(1, layers), frames
        self.done = 0  # frames
        self.reached = 0.0  # per cent of all frames
        self.reported_at = 0.0
        self.text = ""

    def begin(self, number: int) -> None:
        self.number, self.layer, self.layer_share = number, 0, 0.0
        say(f"openjd_status: frame {number}")

    def on_statistics(self, statistics: object, *_: object) -> None:
        """Handler of Blender; called from its render thread. Blenders before 5.0 hand over no text."""
        if not isinstance(statistics, str):
            return
        text = " | ".join(part for part in statistics.split(" | ") if not part.startswith(("Mem:", "Time:")))
        if sample := SAMPLE.search(text):
            share = int(sample[1]) / max(1, int(sample[2]))
            if tile := TILE.search(text):
                share = min(1.0, (int(tile[1]) + share) / int(tile[2]))
            if share < self.layer_share and self.layer + 1 < self.layers:
                self.layer += 1
            self.layer_share = share
            self.progress((self.layer + share) / self.layers)
        if text and text != self.text and time.monotonic() - self.reported_at > REPORT_INTERVAL:
            self.text, self.reported_at = text, time.monotonic()
            say(f"openjd_status: frame {self.number}: {text}")

    def progress(self, share: float) -> None:
        """Report `share` (0 to 1) of the current frame where it is news: a whole tenth of a per cent."""
        percent = 100 * (self.done + share) / self.frames
        if percent >= self.reached + 0.1:
            self.reached = percent
            say(f"openjd_progress: {percent:.1f}")

    def end(self) -> None:
        self.progress(1.0)
        self.done += 1
