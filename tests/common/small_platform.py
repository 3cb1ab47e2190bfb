"""A platform of the real services and two dummy children: `python -m tests.common.small_platform VAR`.

One child starts a process that leaves its group and its session, the other ignores SIGTERM.
"""

import signal
import sys
from pathlib import Path

from common.embedded.children import ChildSpec
from common.embedded.errors import EmbeddedError
from common.embedded.layout import Layout
from common.embedded.services import EmbeddedServices

RUNAWAY = ChildSpec(name="runaway", argv=["sh", "-c", "setsid sleep 601 & sleep 602"])
STUBBORN = ChildSpec(name="stubborn", argv=["sh", "-c", "trap '' TERM; sleep 603; sleep 604"], grace=0.5)


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with EmbeddedServices(Layout(Path(sys.argv[1]))) as services:
            for spec in (RUNAWAY, STUBBORN):
                services.supervisor.start(spec)
            print("ready", flush=True)
            services.supervisor.run()
    except KeyboardInterrupt:
        print("stopped", flush=True)
    except EmbeddedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
