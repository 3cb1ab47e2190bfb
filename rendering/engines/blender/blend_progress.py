"""Progress of a render, out of the statistics that Blender hands to its handlers while it works."""

import re
import time

from blend_scene import say

SAMPLE = re.compile(r"Sample (\d+)/(\d+)")
TILE = re.compile(r"Rendered (\d+)/(\d+) Tiles")
REPORT_INTERVAL = 0.2  # seconds between two lines of a kind, so that a fast render does not flood its reader


class Reporter:
    """Turns Blender's statistics into lines of progress over all frames; it never goes back."""

    def __init__(self, *, layers: int, frames: int) -> None:
        self.layers, self.frames = max(1, layers), frames
        self.done = 0  # frames
        self.reached = 0.0  # per cent of all frames
        self.progressed_at = self.described_at = float("-inf")  # on the monotonic clock

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
        now = time.monotonic()
        if text and now - self.described_at >= REPORT_INTERVAL:
            self.described_at = now
            say(f"openjd_status: frame {self.number}: {text}")

    def progress(self, share: float) -> None:
        """Report `share` (0 to 1) of the current frame where it is news; the end of a frame always is."""
        percent = 100 * (self.done + share) / self.frames
        now = time.monotonic()
        is_due = share >= 1 or now - self.progressed_at >= REPORT_INTERVAL
        if is_due and percent > self.reached:
            self.reached, self.progressed_at = percent, now
            say(f"openjd_progress: {percent:.1f}")

    def end(self) -> None:
        self.progress(1.0)
        self.done += 1
