"""The benchmark of rendering claims from the queue that it says. Nothing is timed here."""

import pytest

from benchmarks.rendering import claims, corpus
from benchmarks.rendering.corpus import Size
from rendering.models import Attempt, ConcurrencyLimit, Frame, RenderJob
from tests.rendering import makers


@pytest.mark.django_db(transaction=True)
def test_it_claims_from_a_queue_of_the_size_it_says() -> None:
    node = corpus.fill(Size(owners=3, jobs=6, frames=12))
    assert (ConcurrencyLimit.objects.count(), RenderJob.objects.count(), Frame.objects.count()) == (3, 6, 12)
    turn = claims.turn_of(node)
    owners = set()
    for number in range(6):
        assert turn(number)
        owners.add(Attempt.objects.latest("created_at").job.user_id)
    assert Attempt.objects.filter(status="succeeded").count() == 6
    assert Frame.objects.filter(status="ready").count() == 12
    assert owners <= set(RenderJob.objects.values_list("user", flat=True))
    assert makers.audit() == {}
    claims.make_queue()
    assert claims.bare_turn(1)
