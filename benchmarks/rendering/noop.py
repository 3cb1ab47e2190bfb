"""A Celery application that does nothing, for what its messages alone cost: `celery -A benchmarks.rendering.noop`."""

import os

import redis
from celery import Celery

BROKER = os.environ["REDIS_URL"]
DONE = "bench:done"
# Not the application of this process: the platform's own messages would leave by it, and reach nobody.
app = Celery(
    "noop",
    broker=BROKER.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host="),
    set_as_current=False,
)
app.conf.update(
    task_ignore_result=True,
    task_default_queue="bench-noop",
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)
counter = redis.Redis.from_url(BROKER)


@app.task
def nothing() -> None:
    counter.incr(DONE)
