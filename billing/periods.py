"""Days and months of accounts: those of Shanghai, wherever server and reader are."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def day_of(moment: datetime) -> date:
    return moment.astimezone(SHANGHAI).date()


def start_of(day: date) -> datetime:
    return datetime.combine(day, time(), SHANGHAI)


def end_of(day: date) -> datetime:
    """The first moment after the day."""
    return start_of(day + timedelta(days=1))


def month_of(moment: datetime) -> date:
    """The first day of the month."""
    return day_of(moment).replace(day=1)


def next_month(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)
