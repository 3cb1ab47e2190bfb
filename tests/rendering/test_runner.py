"""The runner, with small Python programs in the place of Blender."""

import os
import sys
import time
from collections import deque
from pathlib import Path

import pytest

from common import processes
from common.ids import new_id
from rendering.runner import TOKEN, End, Limits, Outcome, run
from tests.racing import wait_for

FAR = Limits(wall=60, idle=60)


class Program:
    """Runs a piece of Python under the runner and keeps its lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = new_id().hex
        self.lines: list[str] = []

    def run(self, code: str, *, limits: Limits = FAR, **options: object) -> Outcome:
        command = [sys.executable, "-u", "-c", code]
        return run(
            command,
            cwd=self.folder,
            token=self.token,
            on_line=self.lines.append,
            limits=limits,
            **options,  # type: ignore[arg-type]
        )

    def left(self) -> set[int]:
        return processes.pids_with_environment(TOKEN, self.token)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_exit_code_lines_and_usage(program: Program) -> None:
    outcome = program.run(
        "import sys; print('one'); print('two', file=sys.stderr); sum(range(10**6)); x = bytes(50_000_000); sys.exit(7)"
    )

    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert program.lines == ["one", "two"]
    assert outcome.cpu_seconds > 0
    assert outcome.peak_memory_size > 50_000_000


def test_every_line_of_a_talkative_program_arrives_in_order(program: Program) -> None:
    program.run("print('\\n'.join(str(number) for number in range(100_000)))")

    assert program.lines == [str(number) for number in range(100_000)]


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        (b"a\r\nb", ["a", "b"]),
        (b"no newline", ["no newline"]),
        (b"\xff\xe4\xb8\xad\n", ["\ufffd中"]),
        (b"nul \0 byte\n", ["nul \ufffd byte"]),
        (b"", []),
        (b"\n\n", ["", ""]),
        (b"10%\r20%\r\nend\r", ["10%", "20%", "end"]),
    ],
)
def test_whatever_a_program_prints_becomes_lines(program: Program, printed: bytes, lines: list[str]) -> None:
    program.run(f"import os; os.write(1, {printed!r})")

    assert program.lines == lines


def test_a_line_that_comes_in_pieces_is_one_line(program: Program) -> None:
    pieces = [b"wo", b"od\r", b"\nst", b"one\n"]
    program.run(f"import os, time\nfor piece in {pieces}: os.write(1, piece); time.sleep(0.05)")

    assert program.lines == ["wood", "stone"]


def test_a_line_without_end_is_cut(program: Program) -> None:
    program.run("import os\nfor _ in range(64): os.write(1, b'x' * 4096)\nprint('\\nend')")

    assert max(map(len, program.lines)) == 8192
    assert program.lines[-1] == "end"


def test_the_program_knows_no_secrets(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "OSS_ACCESS_KEY_SECRET", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret-of-the-platform")

    program.run("import os\nfor name, value in os.environ.items(): print(f'{name}={value}')")

    names = {line.partition("=")[0] for line in program.lines}
    assert names - {"LC_CTYPE"} <= {"PATH", "LANG", "LD_LIBRARY_PATH", "TZ", "HOME", "TMPDIR", TOKEN} | {
        "YUNTU_PLATFORM",
        "YUNTU_CHILD",
    }
    assert not any("secret-of-the-platform" in line for line in program.lines)
    assert f"HOME={program.folder}" in program.lines


def test_a_program_that_talks_too_long_is_ended(program: Program) -> None:
    started = time.monotonic()
    outcome = program.run(
        "import time\nwhile True: print('.'); time.sleep(0.05)", limits=Limits(wall=0.6, idle=60)
    )

    assert outcome.end is End.TIMEOUT
    assert time.monotonic() - started < 30
    assert program.left() == set()


def test_a_program_that_says_nothing_is_ended(program: Program) -> None:
    outcome = program.run("import time; print('start'); time.sleep(60)", limits=Limits(wall=60, idle=3))

    assert (outcome.end, program.lines) == (End.IDLE, ["start"])
    assert program.left() == set()


def test_a_program_that_talks_now_and_then_is_not_idle(program: Program) -> None:
    outcome = program.run(
        "import time\nfor _ in range(17): print('.'); time.sleep(0.2)", limits=Limits(wall=60, idle=3)
    )

    assert outcome.end is End.EXITED


def test_a_program_that_ignores_sigterm_is_killed_on_demand(program: Program) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
    started = time.monotonic()

    outcome = program.run(code, keep_going=lambda: "up" not in program.lines, poll_seconds=0.1)

    assert (outcome.end, outcome.exit_code) == (End.STOPPED, -9)
    assert time.monotonic() - started < 30


CHILDREN = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
subprocess.Popen(sleep)
subprocess.Popen(sleep, start_new_session=True, stdout=subprocess.DEVNULL)
subprocess.Popen(["setsid", "sh", "-c", "sleep 600 & sleep 600"])
print("up")
"""


@pytest.mark.parametrize("end", ["time.sleep(600)", "sys.exit(0)", "os.abort()"])
def test_no_child_outlives_the_run_wherever_it_went(program: Program, end: str) -> None:
    program.run(CHILDREN + end, keep_going=lambda: "up" not in program.lines, poll_seconds=0.3)

    assert program.left() == set()


def test_the_end_does_not_wait_for_a_child_that_holds_the_output(program: Program) -> None:
    started = time.monotonic()
    outcome = program.run(
        "import subprocess; print('up'); subprocess.Popen(['setsid', 'sh', '-c', 'yes & sleep 600'])"
    )

    assert (outcome.end, outcome.exit_code, program.lines[0]) == (End.EXITED, 0, "up")
    assert time.monotonic() - started < 30
    assert program.left() == set()


def test_a_program_that_floods_its_output_is_ended_all_the_same(program: Program) -> None:
    program.lines = deque(maxlen=1)  # type: ignore[assignment]
    outcome = program.run(
        "import os\nwhile True: os.write(1, b'flood' * 1000)", limits=Limits(wall=0.5, idle=60)
    )

    assert (outcome.end, program.left()) == (End.TIMEOUT, set())


def test_a_program_that_closes_its_output_runs_on(program: Program) -> None:
    outcome = program.run(
        "import os, time; print('last'); os.close(1); os.close(2); time.sleep(0.3); os._exit(5)"
    )

    assert (outcome.end, outcome.exit_code, program.lines) == (End.EXITED, 5, ["last"])


# --- what a tree uses ---

MIB = 1 << 20


def child(code: str) -> str:
    """Code that starts a child which runs `code` in a session of its own."""
    return f"subprocess.Popen([sys.executable, '-c', {code!r}], start_new_session=True)"


def test_a_tree_that_takes_too_much_memory_is_ended(program: Program) -> None:
    """No process takes more than allowed, and the one the node started next to nothing."""
    fill = child(f"import time; x = b'x' * {60 * MIB}; time.sleep(60)")
    started = time.monotonic()

    outcome = program.run(
        f"import subprocess, sys, time; {fill}; {fill}; time.sleep(60)",
        limits=Limits(wall=60, idle=60, memory=120 * MIB),
    )

    assert outcome.end is End.MEMORY
    assert time.monotonic() - started < 30
    assert outcome.peak_memory_size > 120 * MIB
    assert program.left() == set()


def test_memory_that_processes_share_counts_once(program: Program) -> None:
    fork = "x = b'x' * 60_000_000; [os.fork() for _ in range(2)]; print('up'); time.sleep(0.8)"

    outcome = program.run(f"import os, time; {fork}", limits=Limits(wall=60, idle=60, memory=200 * MIB))

    assert (outcome.end, len(program.lines)) == (End.EXITED, 4)
    assert 60_000_000 < outcome.peak_memory_size < 200 * MIB


def test_memory_that_the_node_once_had_is_none_of_the_program(program: Program) -> None:
    had = b"x" * 500_000_000
    assert had
    del had

    outcome = program.run("import time; time.sleep(0.5)")

    assert 0 < outcome.peak_memory_size < 200 * MIB


BURN = "import time\nwhile time.process_time() < 0.5: pass\nopen('burnt', 'w')\n"
WAIT = "import os, subprocess, sys, time\n{}\nwhile not os.path.exists('burnt'): time.sleep(0.05)\ntime.sleep({})"
DAEMON = "subprocess.run(['setsid', '-f', sys.executable, '-c', {!r}])"
TREES = {
    "a child that is waited for": WAIT.format(f"subprocess.run([sys.executable, '-c', {BURN!r}])", 0),
    "a child that nobody waits for": WAIT.format(child(BURN + "time.sleep(60)"), 0),
    "a daemon that is gone before the end": WAIT.format(DAEMON.format(BURN + "time.sleep(1)"), 1.3),
    "a daemon that is left behind": WAIT.format(DAEMON.format(BURN + "time.sleep(60)"), 0),
}


@pytest.mark.parametrize("kind", TREES)
def test_cpu_time_is_that_of_the_whole_tree(program: Program, kind: str) -> None:
    assert 0.45 < program.run(TREES[kind]).cpu_seconds < 1


def test_the_kernel_takes_the_program_before_the_node(program: Program) -> None:
    program.run(
        "import resource; print(open('/proc/self/oom_score_adj').read().strip());"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )

    assert program.lines == ["500", "0"]


def test_an_end_by_signal_is_a_negative_exit_code(program: Program) -> None:
    assert program.run("import os; os.kill(os.getpid(), 11)").exit_code == -11


def test_a_listener_that_breaks_leaves_no_process(program: Program) -> None:
    def broken(line: str) -> None:
        raise ValueError(line)

    program.lines = type("Lines", (), {"append": staticmethod(broken)})()
    with pytest.raises(ValueError, match="up"):
        program.run("import time; print('up'); time.sleep(600)")
    assert program.left() == set()


def test_the_program_dies_with_the_thread_that_watches_it(program: Program, tmp_path: Path) -> None:
    """As when a node is killed: the kernel ends what the parent-death signal reaches."""
    pid = os.fork()
    if pid == 0:
        program.run("import time; time.sleep(600)", keep_going=lambda: os._exit(0), poll_seconds=0.5)
    os.waitpid(pid, 0)

    wait_for(lambda: not program.left())
