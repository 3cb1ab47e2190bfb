"""One row of each kind, made by the services, which the corpus is copied from."""

from decimal import Decimal

from accounts.services.registration import create_user
from billing.services.credits import credit
from drives.services.drives import default_drive
from rendering.models import RenderJob


def make_first_rows() -> None:
    """A user with a wallet, an entry in the ledger, a drive and a job."""
    user = create_user(username="first", password="Blue-lantern-42", phone="13700000000")  # noqa: S106
    credit(user=user, amount=Decimal(5), key="bench:first", reason="bench")
    RenderJob.objects.create(user=user, drive=default_drive(user=user), task_name="first", engine="blender")
