import time

import pytest

from common.errors import DomainError
from rendering import frame_range
from rendering.errors import FrameRangeInvalid, FrameRangeTooLong


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", [7]),
        ("0", [0]),
        ("1-4", [1, 2, 3, 4]),
        ("1-10:3", [1, 4, 7, 10]),
        ("5,1-3", [1, 2, 3, 5]),
        (" 1 - 3 ", [1, 2, 3]),
        ("1-1:2", [1]),
        ("10-4:-3", [4, 7, 10]),
        ("10-20:5,1", [1, 10, 15, 20]),
    ],
)
def test_expressions(text: str, numbers: list[int]) -> None:
    assert frame_range.parse(text) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "1-",
        "-",
        "1--",
        "5-1",
        "-3",
        "-3-2",
        "1,1",
        "1-5,3",
        "1-5:0",
        "1.5",
        "1;2",
        "１-x",
        "1000001",
        "(1-3)",
        "1-5:-1",
        "1-9:2,2-10:2",
        "9" * 400,
        "1-3" * 100,
        "1," * 249 + "1",
        "-" * 400,
    ],
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(FrameRangeInvalid):
        frame_range.parse(text)


@pytest.mark.parametrize(
    "text",
    ["1-1000000000", "0-100000", "1-999999999999999999999999", "1-50000,60000-999999", "1-1000000000:2"],
)
def test_a_billion_frames_are_refused_before_they_are_counted_out(text: str) -> None:
    started = time.process_time()
    with pytest.raises(DomainError) as caught:
        frame_range.parse(text)
    assert caught.value.code in ("frame_range_too_long", "frame_range_invalid")
    assert time.process_time() - started < 1


def test_the_longest_range_that_is_taken() -> None:
    assert len(frame_range.parse("1-100000")) == 100_000
    with pytest.raises(FrameRangeTooLong) as caught:
        frame_range.parse("1-100001")
    assert caught.value.body()["limit"] == 100_000


@pytest.mark.parametrize(
    ("start", "end", "step", "text"),
    [(1, 10, 1, "1-10"), (1, 10, 3, "1-10:3"), (4, 4, 5, "4"), (0, 0, 1, "0")],
)
def test_start_end_and_step_of_the_old_clients(start: int, end: int, step: int, text: str) -> None:
    assert frame_range.expression(start, end, step) == text


@pytest.mark.parametrize(
    ("start", "end", "step", "field"),
    [
        (5, 1, 1, "end_frame"),
        (-1, 3, 1, "start_frame"),
        (1, 3, 0, "frame_step"),
        (None, 3, 1, "start_frame"),
        (1, None, 1, "end_frame"),
    ],
)
def test_start_end_and_step_that_make_no_range(start: int, end: int, step: int, field: str) -> None:
    with pytest.raises(FrameRangeInvalid) as caught:
        frame_range.expression(start, end, step)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("text", "bounds"),
    [("1-10", (1, 10, 1)), ("1-10:3", (1, 10, 3)), ("3", (3, 3, 1)), ("1-3,9-11:2", (1, 11, 1))],
)
def test_bounds_of_an_expression(text: str, bounds: tuple[int, int, int]) -> None:
    assert frame_range.bounds(text) == bounds


@pytest.mark.parametrize(
    ("text", "more", "joined"),
    [("1-3", [4, 5], "1-5"), ("1-9:2", [11], "1-11:2"), ("5", [5], "5"), ("1-3", [9], "1-3,9")],
)
def test_further_frames_join_an_expression(text: str, more: list[int], joined: str) -> None:
    assert frame_range.joined(text, more) == joined


def test_an_expression_that_grows_too_long() -> None:
    with pytest.raises(FrameRangeInvalid):
        frame_range.joined("1", [number * number for number in range(1, 900)])
